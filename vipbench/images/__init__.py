"""images: what this package is for."""
