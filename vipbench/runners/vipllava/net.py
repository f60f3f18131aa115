"""net: part of what was vipbench/runners/vipllava/runner.py."""

import torch


def free_memory() -> None:
    """Give back to the device what a batch has left."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
