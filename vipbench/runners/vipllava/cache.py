"""Keys and values with room behind them, so that a new token is written and not all copied."""

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

    def __init__(self, keys: torch.Tensor, values: torch.Tensor) -> None:
        """Take what was read so far: each (batch, heads, tokens, width)."""
        super().__init__()  # type: ignore[no-untyped-call]  # transformers' own
        self.lazy_initialization(keys, values)
        self.keys, self.values = keys, values
        self._rooms: tuple[torch.Tensor, torch.Tensor] | None = None

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


class SharedLayer(RoomyLayer):
    """A layer that holds beginnings, until the first tokens behind them come: then rows of its own.

    Each row is copied once, into the room that its answer grows in; what was read of the beginnings
    is free from then on, so that the layers together hold little more than the rows.
    """

    def __init__(
        self, keys: torch.Tensor, values: torch.Tensor, beginning_of: torch.Tensor
    ) -> None:
        """Take the beginnings, each (beginnings, heads, tokens, width); `beginning_of`: (rows,)."""
        super().__init__(keys, values)
        self._beginning_of: torch.Tensor | None = beginning_of

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Add tokens of all rows, and return all keys and values."""
        if self._beginning_of is not None:
            begin = self.keys.shape[-2]
            n = begin + key_states.shape[-2] + ROOM
            keys = _enlarge(self.keys[self._beginning_of], n)
            values = _enlarge(self.values[self._beginning_of], n)
            self._rooms, self._beginning_of = (keys, values), None
            self.keys, self.values = keys[..., :begin, :], values[..., :begin, :]
        return super().update(key_states, value_states, *args, **kwargs)


def share(cache: Cache, beginning_of: torch.Tensor) -> None:
    """Let each row continue one of the beginnings that a cache holds: (rows,) of their indices."""
    for index, layer in enumerate(cache.layers):
        cache.layers[index] = SharedLayer(layer.keys, layer.values, beginning_of)


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
