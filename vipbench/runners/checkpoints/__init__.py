"""checkpoints: what this package is for."""
