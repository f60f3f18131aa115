"""Steps 5 and 6: answers -> scores -> rows of metrics. Sees no model and no image."""
