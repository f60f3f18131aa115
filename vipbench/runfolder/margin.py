"""What `scores.jsonl` keeps of the log-probabilities of options: how far the likeliest is ahead."""

import math
from collections.abc import Sequence

DIGITS = 2
"""Decimals of a margin in natural logarithms; more would tell the rounding of one batch size from
that of another."""


def kept_margin(logprobs: Sequence[float]) -> float | None:
    """Return how far the likeliest of two and more options is ahead of the second.

    None where the second is impossible.
    """
    *_, second, first = sorted(logprobs)
    return None if math.isinf(second) else round(first - second, DIGITS)


def is_at_an_edge(logprobs: Sequence[float], width: float) -> bool:
    """Say whether a change of `width` could change the margin that is kept, or who is likeliest."""
    if len(logprobs) < 2:
        return False
    *_, second, first = sorted(logprobs)
    margin = first - second
    if not math.isfinite(margin):
        return False
    step = 10.0**-DIGITS
    return margin < width or abs(margin % step - step / 2) < width
