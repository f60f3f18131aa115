"""Checkpoints in transformers' layout: checking them, their sizes, and loading them."""
