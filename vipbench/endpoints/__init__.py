"""endpoints: what this package is for."""
