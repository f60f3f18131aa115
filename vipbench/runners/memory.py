"""What runners of transformers models do about memory: that of the device, and of the process."""

import ctypes
import os
from contextlib import suppress

import torch

from vipbench.errors import RunnerError

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Numbers of `mallopt` (glibc, malloc.h)."""
KEPT = 256 << 20
"""Bytes of freed memory that a process keeps for what comes next; a batch takes tens of MiB."""
_LARGEST = 32 << 20
"""Bytes from which a tensor has pages of its own: the most that glibc moves that limit to by itself
(mallopt(3), M_MMAP_THRESHOLD)."""


def keep_freed_memory() -> None:
    """Let the C library of this process keep the memory that a batch has left for the next one.

    glibc gives it back to the system at once, which then clears each page again: a tenth of the
    time of a small model on a CPU. Other libraries, and what `MALLOC_*` in the environment says,
    are left alone.
    """
    if any(name.startswith("MALLOC_") for name in os.environ):
        return
    with suppress(AttributeError, OSError, TypeError):  # no glibc
        library = ctypes.CDLL(None)
        library.mallopt(_TRIM_THRESHOLD, KEPT)
        library.mallopt(_MMAP_THRESHOLD, _LARGEST)


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
