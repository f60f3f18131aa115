"""exchange: what this package is for."""
