"""Named rules that read an answer out of a model's text; one file a rule."""
