"""trials: what this package is for."""
