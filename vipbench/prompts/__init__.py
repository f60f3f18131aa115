"""prompts: what this package is for."""
