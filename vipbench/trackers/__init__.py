"""Trackers of experiments, which are told the numbers of runs: wandb, TensorBoard, plugins."""
