"""Keys and values with room behind them, so that a new token is written and not all copied."""

import inspect
from typing import Any

import torch
from transformers.cache_utils import Cache, DynamicLayer

ROOM = 64
"""Tokens that are made room for at a time; more would be memory that most answers never use."""


class RoomyLayer(DynamicLayer):
    """A layer of a `DynamicCache` that grows in place.

    transformers' own joins the new token to all former ones, and so copies them at every step.
    """

    keys: torch.Tensor
    values: torch.Tensor

    def __init__(self, keys: torch.Tensor, values: torch.Tensor, n: int | None = None) -> None:
        """Take what was read so far: each (batch, heads, tokens, width).

        `n`: tokens that were read; behind them is room that may be written to. None: all.
        """
        super().__init__()  # type: ignore[no-untyped-call]  # transformers' own
        self.lazy_initialization(keys, values)
        self.keys, self.values = keys[..., :n, :], values[..., :n, :]
        self._rooms = None if n is None else (keys, values)

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Add tokens, and return all keys and values."""
        begin = self.keys.shape[-2]
        end = begin + key_states.shape[-2]
        if self._rooms is None or end > self._rooms[0].shape[-2]:
            self._rooms = _enlarge(self.keys, end + ROOM), _enlarge(self.values, end + ROOM)
        keys, values = self._rooms
        keys[..., begin:end, :], values[..., begin:end, :] = key_states, value_states
        self.keys, self.values = keys[..., :end, :], values[..., :end, :]
        return self.keys, self.values

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        """Keep some rows."""
        super().batch_select_indices(indices)
        self._rooms = None  # what is kept lies elsewhere now


class HeldLayer(DynamicLayer):  # type: ignore[no-untyped-call]  # transformers' own
    """A layer of a `DynamicCache` that holds what is read at once, as it is; it does not grow.

    transformers' own copies it.
    """

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Take keys and values, and return them."""
        self.lazy_initialization(key_states, value_states)
        self.keys, self.values = key_states, value_states
        return key_states, value_states


def cache_name(model: Any) -> str:
    """Return what a language model calls its cache, as argument and in its output.

    `cache` from transformers 5.24 on, which warns of the other name.
    """
    arguments = inspect.signature(model.forward).parameters
    return "cache" if "cache" in arguments else "past_key_values"


def make_room(cache: Cache) -> None:
    """Let the ordinary layers of a cache grow in place from now on; others stay as they are."""
    for index, layer in enumerate(cache.layers):
        if type(layer) is DynamicLayer and layer.keys is not None and layer.values is not None:
            cache.layers[index] = RoomyLayer(layer.keys, layer.values)


def _enlarge(states: torch.Tensor, n: int) -> torch.Tensor:
    """Copy (batch, heads, tokens, width) to the front of room for `n` tokens."""
    batch, heads, tokens, width = states.shape
    room = states.new_empty(batch, heads, n, width)
    room[..., :tokens, :] = states
    return room
