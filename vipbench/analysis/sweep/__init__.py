"""How answers depend on the style: against the headline, by factor, and for the order of models."""
