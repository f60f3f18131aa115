"""tokens: part of what was vipbench/runners/vipllava/runner.py."""

from typing import Literal, NamedTuple

import numpy as np
import torch

TOP_K = 50
"""Likeliest tokens that sampling draws from. Source: the default of `generate` in transformers
4.37, which the official loader (`model_vqa_loader_vip.py`) leaves as it is."""
_LOGPROB_DIGITS = 6
"""Decimals that are kept: float32 has no more of them to tell."""


class Row(NamedTuple):
    """One prompt on its way through the model."""

    ids: list[int]
    max_new_tokens: int
    temperature: float
    """0: greedy."""
    seed: int
    """Of the draws, one a token, where the temperature is above 0."""
    options: tuple[tuple[int, ...], ...] = ()
    """Tokens that say each option letter; empty where nothing is to be known of options."""


class Answer(NamedTuple):
    """New tokens without the end token; finish `error` where the logits are no numbers."""

    tokens: list[int]
    finish: Literal["stop", "length", "error"]
    option_logprobs: tuple[float, ...] | None = None


def _option_logprobs(logits: torch.Tensor, rows: list[Row]) -> list[tuple[float, ...] | None]:
    """Return the natural-log probabilities of each row's option letters, from its first logits.

    `logits` (batch, vocabulary) are normalised over the whole vocabulary, in float32; a letter with
    several tokens has the sum of their probabilities. None for a row without options.
    """
    n_letters = max(len(row.options) for row in rows)
    if not n_letters:
        return [None] * len(rows)
    n_tokens = max(len(tokens) for row in rows for tokens in row.options)
    table = np.full((len(rows), n_letters, n_tokens), -1)
    for i, row in enumerate(rows):
        for j, tokens in enumerate(row.options):
            table[i, j, : len(tokens)] = tokens
    ids = torch.from_numpy(table).to(logits.device)
    logprobs = torch.log_softmax(logits.float(), -1)
    each = logprobs.gather(1, ids.clamp(min=0).flatten(1)).view(ids.shape)
    values = each.masked_fill(ids < 0, -torch.inf).logsumexp(-1).tolist()
    return [
        tuple(round(value, _LOGPROB_DIGITS) for value in found[: len(row.options)])
        if row.options
        else None
        for found, row in zip(values, rows, strict=True)
    ]


def sample(logits: torch.Tensor, temperature: float, draw: float) -> torch.Tensor:
    """Return the token (vocabulary,) that a number 0-1 falls on, among the TOP_K likeliest."""
    values, ids = logits.float().topk(min(TOP_K, len(logits)))
    # In float64, which MPS lacks.
    cumulative = torch.softmax(values.cpu().double() / temperature, -1).cumsum(-1)
    place = int(torch.searchsorted(cumulative, draw * float(cumulative[-1]), right=True))
    return ids[min(place, len(ids) - 1)]
