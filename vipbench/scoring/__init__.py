"""Answers -> scores -> rows of metrics. Sees no model and no image."""
