"""Conversion of checkpoints in the layout of the official ViP-LLaVA code: `vipbench convert`."""
