"""run: what this package is for."""
