"""conversion: what this package is for."""
