"""What runners of transformers models do when a batch does not fit into the device's memory."""

import torch

from vipbench.errors import RunnerError


def free_memory() -> None:
    """Give back to the device what a batch has left."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def out_of_memory(name: str, n_tokens: int, device: torch.device) -> RunnerError:
    """Return the error for a single request of `n_tokens` that does not fit on model `name`'s."""
    return RunnerError(
        f"{name}: out of memory with one request of {n_tokens} tokens on {device} · use a larger "
        "device or a 16-bit --dtype"
    )
