"""engine: what this package is for."""
