"""What the whole benchmark would say, told from a part of it: bets on samples in random order.

The samples are a finite population, asked in a random order without replacement; each has a value
within known limits (a score, or the difference of two). What is told here holds at every look at
once, however often one looks and for whatever reason one stops. docs/sequential.md has the
formulas, their sources, and what was measured.
"""

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from vipbench.stats.intervals import Floats

Side = Literal["at least", "at most"]

TOLERANCE = 1e-9
"""By which a mean may miss a margin and is still taken to be on it: sums of floats are rounded."""
MOST = 0.95
"""Of the capital that is bet at most, so that no single sample ruins it."""
PRIOR_VARIANCE = 0.25
"""Of a value before any is seen, with the weight of one sample: Waudby-Smith and Ramdas' (2024)."""
RATIO = 1.6
"""Of one alternative to the next: a bet between two loses less than a tenth of its growth."""


class Wealth(NamedTuple):
    """Capital of bets against "the mean is at most m", of many populations at once.

    Arrays are (...) for the populations; a function of the values seen so far alone.
    """

    n: int
    """Samples seen."""
    total: Floats
    """Sum of their values."""
    squares: Floats
    """Sum of their squares."""
    logs: Floats
    """(..., alternatives): logarithm of each bet's capital."""
    best: Floats
    """Largest logarithm of the mixed capital so far; infinite where the null is impossible."""


class Alternatives(NamedTuple):
    """Means that are bet on, as distances from the margin."""

    gaps: Floats
    """(alternatives,) in the unit of the values, above 0."""
    weights: Floats
    """(alternatives,): shares of the capital; their sum is 1."""


def alternatives(size: int, likely: float | None = None, widest: float = 1.0) -> Alternatives:
    gaps = []
    gap, least = widest / 2, min(widest / 4, 0.4 / math.sqrt(size))
    while gap > least:
        gaps.append(gap)
        gap /= RATIO
    gaps_ = np.array(gaps)
    weights = np.ones(len(gaps))
    if likely is not None:
        weights = 1 / (1 + np.log2(gaps_ / likely) ** 2)
    return Alternatives(gaps_, weights / weights.sum())


def start(shape: tuple[int, ...], bets: Alternatives) -> Wealth:
    """Return the capital before the first sample."""
    zeros = np.zeros(shape)
    logs = np.broadcast_to(np.log(bets.weights), (*shape, len(bets.weights))).copy()
    return Wealth(0, zeros, zeros, logs, zeros)


def advance(
    wealth: Wealth,
    block: Floats,
    size: int,
    mean: Floats | float,
    bets: Alternatives,
    lo: float = -1.0,
    hi: float = 1.0,
) -> Wealth:
    """Bet on a block of values (..., samples) against "the mean of all `size` is at most `mean`"."""
    n = wealth.n + np.arange(block.shape[-1])
    rest = size - n
    total = _carried(wealth.total, block)
    squares = _carried(wealth.squares, block**2)
    before, squared = total[..., :-1], squares[..., :-1]
    aim = np.asarray(mean)[..., None] * size
    null = (aim - before) / rest  # of what is unseen, were the mean just `mean`
    variance = (PRIOR_VARIANCE + squared - before**2 / (n + 1)) / (n + 1)
    gap = np.minimum(bets.gaps[:, None] * size / rest, hi - lo)
    bet = gap / (variance[..., None, :] + gap**2)
    most = MOST / np.maximum(null - lo, TOLERANCE)
    bet = np.minimum(bet, most[..., None, :])
    growth = np.log1p(bet * (block - null)[..., None, :])
    logs = _carried(wealth.logs, growth)[..., 1:]
    top = logs.max(axis=-2)
    mixed = top + np.log(np.exp(logs - top[..., None, :]).sum(axis=-2))
    impossible = total[..., 1:] + (rest - 1) * lo > aim + TOLERANCE * size
    mixed = np.where(impossible, np.inf, mixed)
    best = np.maximum(wealth.best, mixed.max(axis=-1))
    return Wealth(int(n[-1]) + 1, total[..., -1], squares[..., -1], logs[..., -1], best)


def log_evidence(
    values: Sequence[float] | Floats,
    size: int,
    mean: float,
    side: Side,
    looks: Sequence[int],
    *,
    likely: float | None = None,
    lo: float = -1.0,
    hi: float = 1.0,
) -> Floats:
    """Return the logarithm of the evidence against a mean of the whole, at each look (looks,).

    min(1, exp(-evidence)) is an anytime-valid p-value. It never falls from look to look, and is
    infinite where the samples that are not seen cannot save the null any more.

    Args:
        values: Of the samples in the order in which they were asked.
        size: Samples that there are in all.
        mean: The margin.
        side: The null: the mean of all is `at least`, or `at most`, the margin.
        looks: Numbers of samples seen, rising, each up to len(values).
        likely: A distance from the margin that is likely if the null is wrong, such as the margin
            itself: there power is highest. Any is valid; it is chosen before samples are seen.
        lo: No value is below.
        hi: No value is above.
    """
    raise NotImplementedError


def bounds(
    values: Sequence[float] | Floats,
    size: int,
    looks: Sequence[int],
    alpha: float,
    lo: float = -1.0,
    hi: float = 1.0,
) -> Floats:
    """Return a confidence sequence for the mean of all samples (looks, 2): low and high.

    With probability 1 - `alpha` or more the mean lies between them at all looks at once. They never
    widen, and are the mean itself where all are seen.

    Args:
        values: Of the samples in the order in which they were asked.
        size: Samples that there are in all.
        looks: Numbers of samples seen, rising, each up to len(values).
        alpha: Probability with which the mean lies outside at any look, at most.
        lo: No value is below.
        hi: No value is above.
    """
    raise NotImplementedError


def _carried(first: Floats, each: Floats) -> Floats:
    """Return running sums (..., n + 1) that begin with what was summed before."""
    return np.asarray(np.cumsum(np.concatenate([first[..., None], each], axis=-1), axis=-1))
