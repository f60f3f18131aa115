"""judge: what this package is for."""
