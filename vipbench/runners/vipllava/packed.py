"""Reads the prompts of a batch as a tree whose pieces are read once each.

The tokens of all pieces lie in one row without padding, so that whatever a layer does with each
token is done for all of them at once. Attention alone knows of pieces: each sees those that lead to
it. Keys and values are then laid out row by row, as if each prompt had been read by itself.
"""

from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from transformers import AttentionInterface
from transformers.cache_utils import Cache
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from vipbench.runners.vipllava.cache import HeldLayer, RoomyLayer, cache_name
from vipbench.runners.vipllava.net import Net
from vipbench.runners.vipllava.shared import Piece, Tree
from vipbench.runners.vipllava.tokens import Row

ATTENTION = "vipbench_packed"
"""What transformers calls the attention below."""
_WITHIN = "sdpa"
"""The attention that each level of pieces goes through; models with another are not read so."""
PADDED = 4096
"""Pairs of a query and a key that may be padding in one call for attention, to save another one: a
call costs about as much by itself (on a CPU; 0 and 16,384 were no faster). Of many, a quarter."""
SHORT = 4
"""Tokens of an answer that there is room for from the start; letters are shorter."""


class Level(NamedTuple):
    """Pieces of similar length, padded on the right; all of them end prompts, or none."""

    queries: torch.Tensor
    """(pieces, tokens): where each of their tokens lies."""
    own: torch.Tensor
    """Indices into the flattened `queries` that are not padding, in order."""
    keys: torch.Tensor | slice
    """(pieces, positions): where each token lies that leads to them, and their own. Or, of pieces
    that end prompts, whose prompts they end: keys and values of those are gathered anyway."""
    n_keys: int
    """Positions of the longest."""
    mask: torch.Tensor | None
    """(pieces, 1, tokens, positions), added to attention; None: causal, since all begin prompts."""


class Layout(NamedTuple):
    """Where the tokens of a tree lie in one row, and what each of them sees."""

    pieces: list[Piece]
    """In the order in which they lie there."""
    ids: torch.Tensor
    """(1, tokens)"""
    positions: torch.Tensor
    """(1, tokens), each in its prompt."""
    levels: list[Level]
    """In the same order."""
    prompts: list[int]
    """The batch's rows in the order in which all that follows has them: level by level, so that
    what is gathered of the rows of a level lies in one run."""
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
    """Place the tokens of a tree in one row, level after level, piece after piece."""
    pieces, device = tree.pieces, net.device
    zero = torch.zeros((), dtype=net.dtype, device=device)
    longest = max(len(row.ids) for row in rows)
    row_of = {number: row for row, number in enumerate(tree.last)}
    groups = _alike(pieces, row_of)
    order = np.concatenate(groups)
    lengths = np.array([piece.n for piece in pieces])
    ends = np.array([piece.end for piece in pieces])
    begins = ends - lengths
    starts = np.empty_like(lengths)
    starts[order] = np.cumsum(lengths[order]) - lengths[order]
    places = _places(pieces, starts, longest + SHORT)
    levels: list[Level] = []
    prompts: list[int] = []
    for numbers in groups:
        steps = np.arange(lengths[numbers].max())
        own = np.flatnonzero(steps < lengths[numbers, None])
        queries = starts[numbers, None] + np.minimum(steps, lengths[numbers, None] - 1)
        n_keys = int(ends[numbers].max())
        keys: torch.Tensor | slice = slice(len(prompts), len(prompts) + len(numbers))
        if numbers[0] in row_of:
            prompts += [row_of[number] for number in numbers]
        else:
            keys = torch.from_numpy(places[numbers, :n_keys]).to(device)
        mask = None
        if begins[numbers].any():
            mask = _mask(begins[numbers], len(steps), n_keys, zero)
        levels.append(
            Level(
                queries=torch.from_numpy(queries).to(device),
                own=torch.from_numpy(own).to(device),
                keys=keys,
                n_keys=n_keys,
                mask=mask,
            )
        )
    last = [tree.last[row] for row in prompts]
    at_last = torch.from_numpy(starts[last] + lengths[last] - 1).to(device)
    ordered = [pieces[number] for number in order]
    ids = np.concatenate([rows[piece.row].ids[piece.begin : piece.end] for piece in ordered])
    positions = np.concatenate([np.arange(piece.begin, piece.end) for piece in ordered])
    return Layout(
        pieces=ordered,
        ids=torch.from_numpy(ids)[None].to(device),
        positions=torch.from_numpy(positions)[None].to(device),
        levels=levels,
        prompts=prompts,
        rows=torch.from_numpy(places[last]).to(device),
        last=at_last,
        end=Level(
            queries=at_last[:, None],
            own=torch.arange(len(prompts), device=device),
            keys=slice(0, len(prompts)),
            n_keys=longest,
            mask=_mask(ends[last] - 1, 1, longest, zero),
        ),
    )


def _alike(pieces: Sequence[Piece], ending: Container[int]) -> list[list[int]]:
    """Group pieces that attention is called for at once: few calls, and little padding.

    `ending` are the numbers of those that end prompts, with which no other is together.
    """
    kinds: dict[tuple[bool, bool], list[int]] = {}
    for number, piece in enumerate(pieces):
        ends = number in ending
        kinds.setdefault((ends, ends and piece.before is None), []).append(number)
    groups: list[list[int]] = []
    for _, numbers in sorted(kinds.items()):
        numbers.sort(key=lambda number: pieces[number].n)
        group: list[int] = []
        needed = n_keys = 0
        for number in numbers:
            piece = pieces[number]
            n_keys = max(n_keys, piece.end)
            needed += piece.n * piece.end
            if (len(group) + 1) * piece.n * n_keys > max(needed + PADDED, 1.25 * needed):
                groups.append(group)
                group, needed, n_keys = [], piece.n * piece.end, piece.end
            group.append(number)
        groups.append(group)
    return groups


def _places(pieces: Sequence[Piece], starts: np.ndarray, n: int) -> np.ndarray:
    """Return where the tokens lie that lead to each piece, and its own: int64 (pieces, `n`).

    Padded with its last token, which nobody sees there. `starts` is where each begins.
    """
    places = np.empty((len(pieces), n), np.int64)
    for of_piece, piece, start in zip(places, pieces, starts, strict=True):
        if piece.before is not None:
            of_piece[: piece.begin] = places[piece.before, : piece.begin]
        of_piece[piece.begin : piece.end] = np.arange(start, start + piece.n)
        of_piece[piece.end :] = start + piece.n - 1
    return places


def _mask(begins: np.ndarray, n_queries: int, n_keys: int, like: torch.Tensor) -> torch.Tensor:
    """Return what is added to attention: each token sees the positions up to its own.

    `begins` are int64 (pieces,); the result is (pieces, 1, queries, keys), of the dtype of `like`
    and where that lies.
    """
    first = int(begins.min())
    least = torch.finfo(like.dtype).min
    by_position = like.new_full((n_keys - first, n_keys), least).triu_(first + 1)
    # Padding behind a piece sees what the last position sees: no one looks at it.
    positions = np.minimum(begins[:, None] + np.arange(n_queries), n_keys - 1) - first
    chosen = torch.from_numpy(positions.ravel()).to(like.device)
    return by_position.index_select(0, chosen).view(len(begins), 1, n_queries, n_keys)


def read(net: Net, layout: Layout, embeddings: torch.Tensor, cache: Cache) -> torch.Tensor:
    """Read a tree; return what follows each prompt's last token, (rows, width), as laid out.

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

    def look(level: Level) -> torch.Tensor:
        """Let the tokens of a level see; (tokens, heads, width), padding included."""
        if isinstance(level.keys, slice):
            led = [states[level.keys, :, : level.n_keys] for states in by_row]
        else:
            led = [_take(states, level.keys) for states in (keys, values)]
        chosen = _take(queries, level.queries)
        output: torch.Tensor = attend(module, chosen, *led, level.mask, scaling=scaling)[0]
        return output.flatten(0, 1)

    if module.layer_idx == len(layers) - 1:
        seen = queries.new_zeros(queries.shape)  # of other tokens, nobody reads it
        return seen.index_copy_(0, layout.last, look(layout.end))[None], None
    seen = queries.new_empty(queries.shape)
    end = 0
    for level in layout.levels:
        begin, end = end, end + len(level.own)
        torch.index_select(look(level), 0, level.own, out=seen[begin:end])
    return seen[None], None


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
