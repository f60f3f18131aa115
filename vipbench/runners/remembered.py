"""Prompts that were tokenised, so that none is written and tokenised twice; needs no torch.

A run needs each prompt to plan its batches and to ask it, and its workers are processes of their
own: they are handed what the one that planned remembers.
"""

from array import array
from collections.abc import Mapping

ROOM = 4 << 20
"""Tokens that are remembered, one for each image: some ten thousands of prompts."""


class _Memory:
    """Token ids, up to a size."""

    def __init__(self) -> None:
        self.ids: dict[bytes, array[int]] = {}
        """By what names the tokenizer and all that writes a prompt."""
        self.room = ROOM


_memory = _Memory()


def find(key: bytes) -> "array[int] | None":
    """Return the token ids of a prompt; None: they are not remembered."""
    return _memory.ids.get(key)


def keep(key: bytes, ids: "array[int]") -> None:
    """Remember the token ids of a prompt if there is room.

    Those that came first stay: a run reads its prompts from the first to the last, so that the
    latest ones would be gone whenever they are needed.
    """
    if key not in _memory.ids and len(ids) <= _memory.room:
        _memory.room -= len(ids)
        _memory.ids[key] = ids


def remembered_prompts() -> "dict[bytes, array[int]]":
    """Return all that this process remembers, for `remember_prompts` of another."""
    return dict(_memory.ids)


def remember_prompts(prompts: "Mapping[bytes, array[int]]") -> None:
    """Take what another process remembers; what is known here already stays."""
    for key, ids in prompts.items():
        keep(key, ids)
