"""analysis: what this package is for."""
