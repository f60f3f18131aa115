"""Reads the prompts of a batch as a tree whose pieces are read once each.

The tokens of all pieces lie in one row without padding, so that whatever a layer does with each
token is done for all of them at once. Attention alone knows of pieces: each sees those that lead to
it. Keys and values are then laid out row by row, as if each prompt had been read by itself.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from math import log2
from typing import Any, NamedTuple

import numpy as np
import torch
from transformers import AttentionInterface
from transformers.cache_utils import Cache
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from vipbench.runners.vipllava.cache import HeldLayer, RoomyLayer, cache_name
from vipbench.runners.vipllava.net import Net
from vipbench.runners.vipllava.shared import Tree
from vipbench.runners.vipllava.tokens import Row

ATTENTION = "vipbench_packed"
"""What transformers calls the attention below."""
_WITHIN = "sdpa"
"""The attention that each level of pieces goes through; models with another are not read so."""


class Level(NamedTuple):
    """Pieces of similar length, padded on the right; all of them begin prompts, or none."""

    queries: torch.Tensor
    """(pieces, tokens): where each of their tokens lies."""
    keys: torch.Tensor
    """(pieces, positions): where each token lies that leads to them, and their own."""
    mask: torch.Tensor | None
    """(pieces, 1, tokens, positions), added to attention; None: causal, as where prompts begin."""


class Layout(NamedTuple):
    """Where the tokens of a tree lie in one row, and what each of them sees."""

    ids: torch.Tensor
    """(1, tokens)"""
    positions: torch.Tensor
    """(1, tokens), each in its prompt."""
    levels: list[Level]
    order: torch.Tensor
    """(tokens,): where each lies in the joined outputs of the levels, padding included."""
    rows: torch.Tensor
    """(rows, positions): where each token of each prompt lies, padded on the right."""
    last: torch.Tensor
    """(rows,): where each prompt's last token lies."""


def can_pack(net: Net) -> bool:
    """Say whether a model's attention can be told of pieces."""
    return bool(net.model.model.language_model.config._attn_implementation == _WITHIN)


def lay_out(net: Net, rows: list[Row], tree: Tree) -> Layout:
    """Place the tokens of a tree in one row, piece after piece."""
    device = net.device
    ids: list[int] = []
    spans: list[np.ndarray] = []
    for piece in tree.pieces:
        # Where all tokens lie that lead to its end.
        led = [] if piece.before is None else [spans[piece.before]]
        spans.append(np.concatenate([*led, np.arange(len(ids), len(ids) + piece.n)]))
        ids += rows[piece.row].ids[piece.begin : piece.end]
    alike: dict[tuple[bool, int], list[int]] = {}
    for number, piece in enumerate(tree.pieces):
        # Those of unlike lengths would be padded to the longest.
        alike.setdefault((piece.before is None, int(2 * log2(piece.end))), []).append(number)
    levels, order, n_before = [], np.zeros(len(ids), np.int64), 0
    for (begins_prompt, _), numbers in sorted(alike.items()):
        pieces = [tree.pieces[number] for number in numbers]
        keys = _padded([spans[number] for number in numbers])
        queries = _padded([spans[number][-tree.pieces[number].n :] for number in numbers])
        for i, (number, piece) in enumerate(zip(numbers, pieces, strict=True)):
            at = n_before + i * queries.shape[1]
            order[spans[number][-piece.n :]] = np.arange(at, at + piece.n)
        n_before += queries.numel()
        begins = torch.tensor([piece.begin for piece in pieces], device=device)
        mask = None if begins_prompt else _mask(net, begins, queries.shape[1], keys.shape[1])
        levels.append(Level(queries.to(device), keys.to(device), mask))
    positions = np.concatenate([np.arange(piece.begin, piece.end) for piece in tree.pieces])
    return Layout(
        ids=torch.tensor([ids], device=device),
        positions=torch.from_numpy(positions)[None].to(device),
        levels=levels,
        order=torch.from_numpy(order).to(device),
        rows=_padded([spans[number] for number in tree.last]).to(device),
        last=torch.tensor([spans[number][-1] for number in tree.last], device=device),
    )


def _padded(indices: list[np.ndarray]) -> torch.Tensor:
    """Return lists of places as one tensor, padded with a place whose token nobody sees there."""
    padded = np.empty((len(indices), max(map(len, indices))), np.int64)
    for row, each in zip(padded, indices, strict=True):
        row[: len(each)], row[len(each) :] = each, each[-1]
    return torch.from_numpy(padded)


def _mask(net: Net, begins: torch.Tensor, n_queries: int, n_keys: int) -> torch.Tensor:
    """Return what is added to attention: each token sees the positions up to its own."""
    positions = begins[:, None] + torch.arange(n_queries, device=net.device)
    seen = torch.arange(n_keys, device=net.device) <= positions[..., None]
    unseen = torch.finfo(net.dtype).min
    return torch.zeros(seen.shape, dtype=net.dtype, device=net.device).masked_fill(~seen, unseen)[
        :, None
    ]


def read(net: Net, layout: Layout, embeddings: torch.Tensor, cache: Cache) -> torch.Tensor:
    """Read a tree; return what follows each prompt's last token, (rows, width).

    `embeddings` are (1, tokens, width). The cache, which is empty, then holds each row's own keys
    and values, padded on the right.
    """
    language_model: Any = net.model.model.language_model
    cache.layers = [HeldLayer() for _ in language_model.layers]  # type: ignore[no-untyped-call]
    with _attention(language_model.config), _last_layer_cut(net, layout):
        output = language_model(
            inputs_embeds=embeddings,
            position_ids=layout.positions,
            use_cache=True,
            vipbench_layout=layout,
            **{cache_name(language_model): cache},
        )
    layers: list[Any] = cache.layers
    for index, layer in enumerate(layers):
        keys, values = (_by_token(states) for states in (layer.keys, layer.values))
        # One layer after another, so that what was read and the rows are not held both as a whole.
        layers[index] = RoomyLayer(_take(keys, layout.rows), _take(values, layout.rows))
    last: torch.Tensor = output.last_hidden_state[0, layout.last]
    return last


def _attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    vipbench_layout: Layout,
    scaling: float | None = None,
    **kwargs: object,
) -> tuple[torch.Tensor, None]:
    """Let each piece see those that lead to it; all (1, heads, tokens, width), as transformers'."""
    attend = ALL_ATTENTION_FUNCTIONS[_WITHIN]

    queries, keys, values = (_by_token(states) for states in (query, key, value))
    seen = []
    for level in vipbench_layout.levels:
        output, _ = attend(
            module,
            _take(queries, level.queries),
            _take(keys, level.keys),
            _take(values, level.keys),
            level.mask,
            scaling=scaling,
        )
        seen.append(output.flatten(0, 1))
    return torch.cat(seen).index_select(0, vipbench_layout.order)[None], None


def _by_token(states: torch.Tensor) -> torch.Tensor:
    """Return (1, heads, tokens, width) as (tokens, heads, width), which is how projections write.

    So nothing is copied.
    """
    return states[0].transpose(0, 1)


def _take(states: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """Return some tokens of (tokens, heads, width) as attention takes them.

    `places` are (rows, positions); the result is (rows, heads, positions, width). Each token is
    copied whole, which takes a quarter of the time of indexing it by its place.
    """
    taken = states.flatten(1).index_select(0, places.flatten())
    return taken.view(*places.shape, *states.shape[1:]).transpose(1, 2)


AttentionInterface.register(ATTENTION, _attend)


@contextmanager
def _attention(config: Any) -> Iterator[None]:
    """Let a language model attend as above."""
    config._attn_implementation = ATTENTION
    try:
        yield
    finally:
        config._attn_implementation = _WITHIN


@contextmanager
def _last_layer_cut(net: Net, layout: Layout) -> Iterator[None]:
    """Let the last layer compute nothing that nobody reads: as in `fast.py`, of one packed row.

    What is behind attention is computed of the prompts' last tokens alone, and 0 for all others.
    """

    def cut(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor]:
        return (inputs[0][:, layout.last],)

    def spread(module: torch.nn.Module, inputs: object, output: torch.Tensor) -> torch.Tensor:
        states = output.new_zeros(1, layout.ids.shape[1], output.shape[-1])
        states[:, layout.last] = output
        return states

    layer: Any = net.model.model.language_model.layers[-1]
    parts = (layer.self_attn.o_proj, layer.mlp)
    hooks = [part.register_forward_pre_hook(cut) for part in parts]
    hooks += [part.register_forward_hook(spread) for part in parts]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
