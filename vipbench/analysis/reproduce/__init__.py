"""reproduce: what this package is for."""
