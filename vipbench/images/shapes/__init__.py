"""The shapes of marks: one file a family; each is a function to strokes, which are pure data."""
