"""Tokens on their way in and out: rows of a batch, the letters of options, sampling."""

from typing import Literal, NamedTuple

import numpy as np
import torch

from vipbench.errors import RunnerError
from vipbench.runners.vipllava.net import Net
from vipbench.schema import Request

TOP_K = 50
"""Likeliest tokens that sampling draws from. Source: the default of `generate` in transformers
4.37, which the official loader (`model_vqa_loader_vip.py`) leaves as it is."""
_LOGPROB_DIGITS = 6
"""Decimals that are kept: float32 does not resolve more."""

Finish = Literal["stop", "length", "error"]
"""Why an answer ends: at an end token, at its limit, or at logits that are NaN or infinite."""


class Row(NamedTuple):
    """One prompt on its way through the model."""

    ids: list[int]
    max_new_tokens: int
    temperature: float
    """0: greedy."""
    seed: int
    """Of the draws, one a token, where the temperature is above 0."""
    options: tuple[tuple[int, ...], ...] = ()
    """Tokens that stand for each option letter; empty where no log-probabilities are wanted."""
    picture: int | None = None
    """Rows of a batch with the same number show the same pixels; None: nothing is read once for
    several rows."""

    def generator(self) -> np.random.Generator:
        """Return the generator of the row's draws, from its start."""
        return np.random.Generator(np.random.PCG64(self.seed))


class Answer(NamedTuple):
    """What the model answered to a row."""

    tokens: list[int]
    """New tokens, without the end token."""
    finish: Finish
    option_logprobs: tuple[float, ...] | None = None
    """Natural logarithms, one an option."""


def encode(net: Net, request: Request) -> list[int]:
    """Return the token ids of a request's prompt, the image token once a feature.

    Raises:
        RunnerError: the tokenizer gives an id that the model has no embedding for.
    """
    ids = net.prompts.encode(request)
    highest = max(set(ids) - {net.image_token_id}, default=0)
    if highest >= net.n_embeddings:
        raise RunnerError(
            f"{net.info.name}: the tokenizer gives id {highest}, but the model has "
            f"{net.n_embeddings} embeddings · expected a tokenizer made for this model"
        )
    return ids


def letter_tokens(net: Net, letter: str) -> tuple[int, ...]:
    """Return the tokens with which an answer that is one bare letter may begin.

    They are what the tokenizer gives for the letter behind the end of the prompt, with and without
    a space between (`▁A` and `A`): an answer is stripped before it is compared. Empty where the
    letter has no token of its own.
    """
    return tuple(
        token
        for token in net.prompts.option_tokens(letter)
        if token < net.n_embeddings
        and str(net.tokenizer.decode([token], skip_special_tokens=True)).strip() == letter
    )


def option_logprobs(logits: torch.Tensor, rows: list[Row]) -> list[tuple[float, ...] | None]:
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
    by_token = logprobs.gather(1, ids.clamp(min=0).flatten(1)).view(ids.shape)
    by_letter = by_token.masked_fill(ids < 0, -torch.inf).logsumexp(-1).tolist()
    return [
        tuple(round(value, _LOGPROB_DIGITS) for value in values[: len(row.options)])
        if row.options
        else None
        for values, row in zip(by_letter, rows, strict=True)
    ]


def finite_rows(logits: torch.Tensor) -> list[bool]:
    """Whether a token can be chosen for each row of logits (batch, vocabulary)."""
    finite: list[bool] = torch.isfinite(logits.float().max(-1).values).tolist()
    return finite


def sample(logits: torch.Tensor, temperature: float, draw: float) -> torch.Tensor:
    """Return the token (vocabulary,) that a number 0-1 falls on, among the TOP_K likeliest."""
    values, ids = logits.float().topk(min(TOP_K, len(logits)))
    # In float64, which MPS lacks.
    cumulative = torch.softmax(values.cpu().double() / temperature, -1).cumsum(-1)
    index = int(torch.searchsorted(cumulative, draw * float(cumulative[-1]), right=True))
    return ids[min(index, len(ids) - 1)]
