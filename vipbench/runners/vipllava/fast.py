"""The fast path: a batch padded on the right, one prefill, and rows that leave as they finish.

Prompts are read without an attention mask: causal attention never looks to the right, so that every
row goes through the same kernels as it would alone. One reading of the prompts gives both the
log-probabilities of the option letters and the first token of each answer. `reference.py` does the
same with transformers' own `generate`; in float32 the answers are equal.
"""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from transformers.cache_utils import Cache

from vipbench.runners.vipllava.cache import make_room
from vipbench.runners.vipllava.net import Net, image_features
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


def decode(net: Net, rows: list[Row], pixels: torch.Tensor) -> list[Answer]:
    """Answer a batch: prefill once, then decode token by token.

    `pixels` are uint8 (batch, size, size, 3), one image a row.

    Raises:
        RunnerError: image tokens and features do not match.
    """
    lengths = torch.tensor([len(row.ids) for row in rows], device=net.device)
    logits, cache = _prefill(net, rows, pixels, lengths)
    make_room(cache)
    logprobs = option_logprobs(logits, rows)
    width = max(len(row.ids) for row in rows)
    # True where the cache holds a token of the row; what is padding stays a hole in it.
    seen = torch.arange(width, device=net.device) < lengths[:, None]
    positions = lengths
    padded = not bool(seen.all())
    drafts = [_Draft(row) for row in rows]
    batch = drafts  # those that are still in the tensors
    while True:
        chosen = _choose(batch, logits, net.end_ids)
        unfinished = [i for i, draft in enumerate(batch) if not draft.finished]
        if not unfinished:
            return [
                Answer(draft.tokens, draft.finish, values)
                for draft, values in zip(drafts, logprobs, strict=True)
            ]
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
        self.generator = row.generator()
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
        if draft.row.temperature and finite[i]:
            chosen[i] = sample(logits[i], draft.row.temperature, draft.generator.random())
    for draft, token, fine in zip(batch, chosen.tolist(), finite, strict=True):
        draft.add(token, end_ids, finite=fine)
    return chosen


def _prefill(
    net: Net, rows: list[Row], pixels: torch.Tensor, lengths: torch.Tensor
) -> tuple[torch.Tensor, Cache]:
    """Read prompts and images; return logits after each row's last token, and the cache.

    `lengths` are those of the prompts, (batch,), on the model's device.
    """
    model = net.model
    width = max(len(row.ids) for row in rows)
    ids = torch.tensor([row.ids + [0] * (width - len(row.ids)) for row in rows])
    ids = ids.to(model.device)
    image_mask = (ids == net.image_token_id) & (
        torch.arange(width, device=model.device) < lengths[:, None]
    )
    features = image_features(net, pixels, image_mask)
    # The image token may lie beyond the embeddings (as in checkpoints of transformers 4.37).
    embeddings = model.get_input_embeddings()(ids.masked_fill(image_mask, 0))
    features = features.to(embeddings.device, embeddings.dtype)
    embeddings = embeddings.masked_scatter(image_mask[..., None], features)
    last = torch.arange(len(rows), device=model.device), lengths - 1
    with _last_layer_cut(net, last):
        output = model.model.language_model(inputs_embeds=embeddings, use_cache=True)
    return model.lm_head(output.last_hidden_state[last]), getattr(
        output, cache_name(model.model.language_model)
    )


def cache_name(model: Any) -> str:
    """Return what a language model calls its cache, as argument and in its output.

    `cache` from transformers 5.24 on, which warns of the other name.
    """
    arguments = inspect.signature(model.forward).parameters
    return "cache" if "cache" in arguments else "past_key_values"


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
