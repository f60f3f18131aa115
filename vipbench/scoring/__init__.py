"""scoring: what this package is for."""
