"""The fast path: a batch padded on the right, one prefill, and rows that leave as they finish.

Prompts are read without an attention mask: causal attention never looks to the right, so that every
row goes through the same kernels as it would alone. One reading of the prompts gives both the
log-probabilities of the option letters and the first token of each answer. `reference.py` does the
same with transformers' own `generate`; in float32 the answers are equal.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from transformers import DynamicCache
from transformers.cache_utils import Cache

from vipbench.runners.vipllava import packed
from vipbench.runners.vipllava.cache import cache_name, make_room
from vipbench.runners.vipllava.net import Net, image_features
from vipbench.runners.vipllava.shared import Tree
from vipbench.runners.vipllava.tokens import (
    Answer,
    Finish,
    Row,
    finite_rows,
    option_logprobs,
    sample,
)

COVERED = ("llama", "mistral", "phi3")
"""Language models of which tests hold that a padded batch answers like its rows; others are asked
one request at a time."""
_DROP_SHARE = 0.25
"""Finished rows leave the batch once they are this share of it: copying the cache costs too."""


def why_alone(net: Net, rows: list[Row]) -> str | None:
    """Say why rows cannot be read as one padded batch; None: they can."""
    if net.text_model not in COVERED:
        return f"batches of a {net.text_model} are not known to answer like single requests"
    longest = max(len(row.ids) + row.max_new_tokens for row in rows)
    if net.sliding_window and longest > net.sliding_window:
        # It counts padding too, so that padded rows would see less than alone.
        return f"{longest} tokens do not fit into the attention window of {net.sliding_window}"
    if net.rope_limit and longest > net.rope_limit:
        # Beyond it all positions turn otherwise, and the longest row would decide for all.
        return f"positions are stretched beyond {net.rope_limit} tokens, and there are {longest}"
    return None


def decode(
    net: Net, rows: list[Row], pixels: torch.Tensor, tree: Tree | None = None
) -> list[Answer]:
    """Answer a batch: prefill, then decode token by token.

    Args:
        net: answers.
        rows: prompts; of those with the same `picture` it is read once.
        pixels: uint8 (batch, size, size, 3), one image a row.
        tree: what the prompts have in common; None: each is read by itself.

    Raises:
        RunnerError: image tokens and features do not match.
    """
    read = _prefill(net, rows, pixels) if tree is None else _read_tree(net, rows, pixels, tree)
    logits, cache, seen, order = read
    ordered = [rows[i] for i in order]
    positions = torch.tensor([len(row.ids) for row in ordered], device=net.device)
    make_room(cache)
    logprobs = option_logprobs(logits, ordered)
    padded = not bool(seen.all())
    drafts = [_Draft(row) for row in ordered]
    batch = drafts  # those that are still in the tensors
    while True:
        chosen = _choose(batch, logits, net.end_ids)
        unfinished = [i for i, draft in enumerate(batch) if not draft.finished]
        if not unfinished:
            answers = {
                i: Answer(draft.tokens, draft.finish, values)
                for i, draft, values in zip(order, drafts, logprobs, strict=True)
            }
            return [answers[i] for i in range(len(rows))]
        if len(batch) - len(unfinished) >= _DROP_SHARE * len(batch):
            kept = torch.tensor(unfinished, device=net.device)
            cache.batch_select_indices(kept)
            seen, positions, chosen = seen[kept], positions[kept], chosen[kept]
            batch = [batch[i] for i in unfinished]
        seen = torch.nn.functional.pad(seen, (0, 1), value=True)
        output = net.model.model.language_model(
            input_ids=chosen[:, None],
            attention_mask=seen.long() if padded else None,
            position_ids=positions[:, None],
            use_cache=True,
            **{cache_name(net.model.model.language_model): cache},
        )
        positions = positions + 1
        logits = net.model.lm_head(output.last_hidden_state[:, -1])


class _Draft:
    """The answer to a row while it grows."""

    def __init__(self, row: Row) -> None:
        self.row = row
        self.generator = row.generator() if row.temperature else None
        self.tokens: list[int] = []
        self.finish: Finish = "length"
        """Unless something else ends it first."""
        self.finished = False

    def add(self, token: int, end_ids: frozenset[int], *, finite: bool) -> None:
        """Take the token that was chosen, unless the answer has ended before."""
        if self.finished:
            return
        if not finite:
            self.finish, self.finished = "error", True
        elif token in end_ids:
            self.finish, self.finished = "stop", True
        else:
            self.tokens.append(token)
            self.finished = len(self.tokens) == self.row.max_new_tokens


def _choose(batch: list[_Draft], logits: torch.Tensor, end_ids: frozenset[int]) -> torch.Tensor:
    """Add a token to each draft, greedy or sampled, from logits (batch, vocabulary).

    Return the tokens, (batch,); those of drafts that are finished mean nothing.
    """
    finite = finite_rows(logits)
    chosen = logits.argmax(-1)
    for i, draft in enumerate(batch):
        if draft.generator is not None and finite[i]:
            chosen[i] = sample(logits[i], draft.row.temperature, draft.generator.random())
    for draft, token, fine in zip(batch, chosen.tolist(), finite, strict=True):
        draft.add(token, end_ids, finite=fine)
    return chosen


class _Read(NamedTuple):
    """Prompts that were read."""

    logits: torch.Tensor
    """(batch, vocabulary), behind each row's last token."""
    cache: Cache
    seen: torch.Tensor
    """(batch, tokens), True where the cache holds a token of the row; padding is a hole in it."""
    order: Sequence[int]
    """The rows that all of these are of, one after another."""


def _prefill(net: Net, rows: list[Row], pixels: torch.Tensor) -> _Read:
    """Read prompts and images, each prompt by itself."""
    width = max(len(row.ids) for row in rows)
    device = net.device
    # By numpy, which reads lists several times faster.
    padded = np.array([row.ids + [0] * (width - len(row.ids)) for row in rows])
    ids = torch.from_numpy(padded).to(device)
    lengths = torch.tensor([len(row.ids) for row in rows], device=device)
    mask = torch.arange(width, device=device) < lengths[:, None]
    embeddings = _embed(net, ids, mask, _features(net, rows, pixels))
    last = torch.arange(len(rows), device=device), lengths - 1
    language_model = net.model.model.language_model
    with _last_layer_cut(net, last):
        output = language_model(inputs_embeds=embeddings, use_cache=True)
    cache = getattr(output, cache_name(language_model))
    logits = net.model.lm_head(output.last_hidden_state[last])
    return _Read(logits, cache, mask, range(len(rows)))


def _read_tree(net: Net, rows: list[Row], pixels: torch.Tensor, tree: Tree) -> _Read:
    """Read what rows have in common once, and all else behind it."""
    layout = packed.lay_out(net, rows, tree)
    features = _features(net, rows, pixels)
    shown, token = [], net.image_token_id
    for piece in layout.pieces:
        ids = rows[piece.row].ids
        begin = ids[: piece.begin].count(token)
        n = ids[piece.begin : piece.end].count(token)
        shown += [features[piece.row][begin : begin + n]] if n else []
    cache = DynamicCache()
    last = packed.read(net, layout, _embed(net, layout.ids, layout.ids >= 0, shown), cache)
    lengths = torch.tensor([len(rows[i].ids) for i in layout.prompts], device=net.device)
    seen = torch.arange(int(lengths.max()), device=net.device) < lengths[:, None]
    return _Read(net.model.lm_head(last), cache, seen, layout.prompts)


def _features(net: Net, rows: list[Row], pixels: torch.Tensor) -> list[torch.Tensor]:
    """Return what the projector gives for each row's image, (features, width); one picture once.

    Raises:
        RunnerError: image tokens and features do not match.
    """
    numbers = [i if row.picture is None else row.picture for i, row in enumerate(rows)]
    shown = sorted({number: i for i, number in reversed([*enumerate(numbers)])}.values())
    token = net.image_token_id
    counts = [row.ids.count(token) for row in rows]
    features = image_features(net, pixels if len(shown) == len(rows) else pixels[shown], counts)
    by_number = {numbers[i]: each for i, each in zip(shown, features, strict=True)}
    return [by_number[number] for number in numbers]


def _embed(
    net: Net, ids: torch.Tensor, mask: torch.Tensor, features: Sequence[torch.Tensor]
) -> torch.Tensor:
    """Embed ids, (batch, tokens), that are no padding where `mask` says so.

    `features` take the places of the image tokens, in order.
    """
    image_mask = (ids == net.image_token_id) & mask
    # The image token may lie beyond the embeddings (as in checkpoints of transformers 4.37).
    embeddings: torch.Tensor = net.model.get_input_embeddings()(ids.masked_fill(image_mask, 0))
    shown = torch.cat([*features]).to(embeddings.device, embeddings.dtype)
    return embeddings.masked_scatter(image_mask[..., None], shown)


@contextmanager
def _last_layer_cut(net: Net, last: tuple[torch.Tensor, torch.Tensor]) -> Iterator[None]:
    """Let the last layer compute nothing that nobody reads.

    Of its output only `last`, (batch,) rows and (batch,) positions, is read. So the output of
    attention is cut to that before its projection, and so is the input of the MLP: it gives
    (batch, 1, width), which is added to every position of the residual, and right at that one.
    Keys and values are whole. Nor is anything cut where quantised layers look at all tokens.
    """
    quantization = net.info.quantization
    if net.text_model not in COVERED or (quantization and not quantization.by_token):
        yield
        return

    def cut(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor]:
        return (inputs[0][last][:, None],)

    layer: Any = net.model.model.language_model.layers[-1]
    parts = (layer.self_attn.o_proj, layer.mlp)
    hooks = [part.register_forward_pre_hook(cut) for part in parts]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
