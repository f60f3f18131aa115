"""sweep: what this package is for."""
