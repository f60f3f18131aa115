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


SHORT = 16
"""Tokens of an answer that there is room for from the start; letters are shorter."""


class Level(NamedTuple):
    """Pieces of similar length, padded on the right.

    All of them begin prompts, or none; and all of them end prompts, or none.
    """

    queries: torch.Tensor
    """(pieces, tokens): where each of their tokens lies."""
    keys: torch.Tensor | None
    """(pieces, positions): where each token lies that leads to them, and their own; None: they end
    prompts, whose keys and values are gathered anyway."""
    rows: torch.Tensor | slice
    """Whose prompts they end."""
    n_keys: int
    """Positions of the longest."""
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
    """(rows, positions): where each token of each prompt lies, padded on the right; and then room
    for `SHORT` tokens more."""
    last: torch.Tensor
    """(rows,): where each prompt's last token lies."""
    end: Level
    """These tokens, each a piece of its own: all that the last layer is asked about."""


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
    row_of = {number: row for row, number in enumerate(tree.last)}
    alike: dict[tuple[bool, bool, int], list[int]] = {}
    for number, piece in enumerate(tree.pieces):
        # Those of unlike lengths would be padded to the longest.
        kind = piece.before is None, number in row_of, int(2 * log2(piece.end))
        alike.setdefault(kind, []).append(number)
    levels, order, n_before = [], np.zeros(len(ids), np.int64), 0
    for (begins_prompt, ends_prompt, _), numbers in sorted(alike.items()):
        numbers.sort(key=lambda number: row_of.get(number, -1))
        pieces = [tree.pieces[number] for number in numbers]
        queries = _padded([spans[number][-tree.pieces[number].n :] for number in numbers])
        for i, (number, piece) in enumerate(zip(numbers, pieces, strict=True)):
            at = n_before + i * queries.shape[1]
            order[spans[number][-piece.n :]] = np.arange(at, at + piece.n)
        n_before += queries.numel()
        n_keys = max(piece.end for piece in pieces)
        keys, mask = None, None
        if not ends_prompt:
            keys = _padded([spans[number] for number in numbers]).to(device)
        if not begins_prompt:
            begins = torch.tensor([piece.begin for piece in pieces], device=device)
            mask = _mask(begins, queries.shape[1], n_keys, net.dtype)
        ended = _indices([row_of[number] for number in numbers if ends_prompt], device)
        levels.append(Level(queries.to(device), keys, ended, n_keys, mask))
    last = torch.tensor([spans[number][-1] for number in tree.last], device=device)
    lengths = torch.tensor([tree.pieces[number].end for number in tree.last], device=device)
    n_keys = max(len(row.ids) for row in rows)
    mask = _mask(lengths - 1, 1, n_keys, net.dtype)
    positions = np.concatenate([np.arange(piece.begin, piece.end) for piece in tree.pieces])
    return Layout(
        ids=torch.from_numpy(np.array([ids])).to(device),
        positions=torch.from_numpy(positions)[None].to(device),
        levels=levels,
        order=torch.from_numpy(order).to(device),
        rows=_padded([spans[number] for number in tree.last], SHORT).to(device),
        last=last,
        end=Level(last[:, None], None, slice(None), n_keys, mask),
    )


def _padded(indices: list[np.ndarray], room: int = 0) -> torch.Tensor:
    """Return lists of places as one tensor, padded with a place whose token nobody sees there.

    `room` is padding behind the longest.
    """
    padded = np.empty((len(indices), max(map(len, indices)) + room), np.int64)
    for row, each in zip(padded, indices, strict=True):
        row[: len(each)], row[len(each) :] = each, each[-1]
    return torch.from_numpy(padded)


def _indices(numbers: list[int], device: torch.device) -> torch.Tensor | slice:
    """Return ascending numbers as what takes them from a tensor: without a copy where it can be."""
    if numbers and numbers[-1] - numbers[0] == len(numbers) - 1:
        return slice(numbers[0], numbers[-1] + 1)
    return torch.tensor(numbers, dtype=torch.int64, device=device)


def _mask(begins: torch.Tensor, n_queries: int, n_keys: int, dtype: torch.dtype) -> torch.Tensor:
    """Return what is added to attention: each token sees the positions up to its own."""
    positions = begins[:, None] + torch.arange(n_queries, device=begins.device)
    unseen = torch.arange(n_keys, device=begins.device) > positions[..., None]
    mask = torch.zeros(unseen.shape, dtype=dtype, device=begins.device)
    return mask.masked_fill_(unseen, torch.finfo(dtype).min)[:, None]


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
            vipbench_tree=(layout, cache),
            **{cache_name(language_model): cache},
        )
    last: torch.Tensor = output.last_hidden_state[0, layout.last]
    return last


def _attend(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    vipbench_tree: tuple[Layout, Cache],
    scaling: float | None = None,
    **kwargs: object,
) -> tuple[torch.Tensor, None]:
    """Let each piece see those that lead to it; all (1, heads, tokens, width), as transformers'.

    The layer of the cache then holds the keys and values of each row, and what was read no more.
    """
    attend = ALL_ATTENTION_FUNCTIONS[_WITHIN]
    layout, cache = vipbench_tree
    queries, keys, values = (_by_token(states) for states in (query, key, value))
    by_row = _take(keys, layout.rows), _take(values, layout.rows)
    layers: list[Any] = cache.layers
    layers[module.layer_idx] = RoomyLayer(*by_row, n=layout.rows.shape[1] - SHORT)
    is_last = module.layer_idx == len(layers) - 1
    seen = []
    for level in [layout.end] if is_last else layout.levels:
        if level.keys is None:
            led = [_take_rows(states, level.rows)[:, :, : level.n_keys] for states in by_row]
        else:
            led = [_take(states, level.keys) for states in (keys, values)]
        output, _ = attend(module, _take(queries, level.queries), *led, level.mask, scaling=scaling)
        seen.append(output.flatten(0, 1))
    joined = torch.cat(seen)
    if is_last:
        return joined.new_zeros(queries.shape).index_copy_(0, layout.last, joined)[None], None
    return joined.index_select(0, layout.order)[None], None


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


def _take_rows(states: torch.Tensor, rows: torch.Tensor | slice) -> torch.Tensor:
    """Return some rows of what `_take` gives, in the same layout; a slice is not copied."""
    if isinstance(rows, slice):
        return states[rows]
    return states.transpose(1, 2).index_select(0, rows).transpose(1, 2)


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
