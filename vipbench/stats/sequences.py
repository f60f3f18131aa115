"""What the whole benchmark would say, told from a part of it: bets on samples in random order.

The samples are a finite population, asked in a random order without replacement; each has a value
within known limits (a score, or the difference of two). What is told here holds at all looks
together, however often one looks and for whatever reason one stops. docs/sequential.md has the
formulas and their sources, and what was measured.
"""

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from vipbench.stats.intervals import Floats

Null = Literal["at least", "at most"]

TOLERANCE = 1e-9
"""By which a mean may miss a margin and is taken to be on it: sums of floats are rounded."""
MOST = 0.75
"""Share of the capital that is bet at most, so that no single sample takes all: of the values that
Waudby-Smith and Ramdas (2024) name, 1/2 and 3/4, the better one by simulation."""
PRIOR_VARIANCE = 0.25
"""Of the values before any is seen, with the weight of one sample: theirs (2024)."""
RATIO = 2.0
"""Of one alternative to the next. A bet between two of them has 88 % of the best one's growth."""
LEAST = 0.4
"""Over the root of the size: the smallest alternative. For 15 % of values that are -1 or 1, this
is the mean's distance that is found when nine tenths are seen: sqrt(2 log(1/0.05) 0.15 / 9)."""
N_MEANS = 48
"""At which the bounds' evidence is computed; between them it is bounded from below."""
FINEST = 100
"""Parts of the width: a null nearer to the lower limit than one is bet against as if one away."""
CHAIN = 128
"""Factors that are multiplied before a logarithm is taken. One is 1 - MOST to 1 + MOST * FINEST, so
that their product is a float."""


class Bets(NamedTuple):
    """Distances from the margin at which the mean may lie, and the capital that is bet on each."""

    gaps: Floats
    """(alternatives,) in the unit of the values, above 0."""
    shares: Floats
    """(alternatives,); they sum to 1."""


class Wealth(NamedTuple):
    """What bets against "the mean of all is at most m" have become, in populations of shape (...).

    Under this null each capital is a supermartingale that begins with 1: it ever reaches x with
    probability 1/x at most (Ville).
    """

    n: int
    """Samples seen."""
    total: Floats
    """(...): sum of their values."""
    squares: Floats
    """(...): sum of the squared values."""
    logs: Floats
    """(..., alternatives): logarithm of each capital."""
    best: Floats
    """(...): largest logarithm of their sum so far; infinite where no values that are not seen yet
    could make the null true."""


def spread_bets(size: int, likely: float | None = None, widest: float = 1.0) -> Bets:
    """Return bets on alternatives of all sizes that could be told from the margin.

    Args:
        size: Samples that there are in all.
        likely: An alternative that gets most of the capital, the others the less the farther they
            are from it: 1 / (1 + octaves²)², chosen by simulation. None: all get the same.
        widest: The farthest alternative.
    """
    least = min(widest / 2, LEAST / math.sqrt(size))
    first = widest if likely is None else max(likely, least)
    farther = range(math.ceil(math.log(first / widest, RATIO)), 1)
    nearer = range(1, max(2, math.ceil(math.log(first / least, RATIO)) + 1))
    octaves = np.array([*farther, *nearer], dtype=np.float64)
    shares = np.ones(len(octaves)) if likely is None else 1 / (1 + octaves**2) ** 2
    return Bets(first / RATIO**octaves, shares / shares.sum())


def begin(shape: tuple[int, ...], bets: Bets) -> Wealth:
    """Return what there is before the first sample."""
    nothing = np.zeros(shape)
    logs = np.broadcast_to(np.log(bets.shares), (*shape, len(bets.shares)))
    return Wealth(0, nothing, nothing, logs, nothing)


def go_on(
    wealth: Wealth,
    block: Floats,
    size: int,
    mean: float,
    bets: Bets,
    lo: float = -1.0,
    hi: float = 1.0,
) -> Wealth:
    """Bet on the next samples, against "the mean of all is at most `mean`".

    Were it `mean`, the mean of what is not seen would be known, (N m - S) / (N - t + 1) before
    sample t (Waudby-Smith and Ramdas, NeurIPS 2020). An alternative at distance g gives it
    another mean, farther by g N / (N - t + 1); the bet on it is that of the largest growth for this
    distance and the variance so far (Kelly's, to second order, as their aGRAPA: JRSS B 2024).
    Whatever the bets, they depend on earlier samples alone, which is all that validity asks.

    Args:
        wealth: What there is.
        block: (..., samples) in the order in which they were asked, each `lo` to `hi`.
        size: Samples that there are in all.
        mean: The margin.
        bets: Those that `wealth` began with.
        lo: No value is below.
        hi: No value is above.
    """
    n = wealth.n + np.arange(block.shape[-1])
    total = _carried(wealth.total, block)
    null = (size * mean - total[..., :-1]) / (size - n)
    after = place(wealth, block, null, size, bets, lo, hi)
    least = total[..., 1:] + (size - n - 1) * lo
    impossible = (least > (mean + TOLERANCE) * size).any(axis=-1)
    return after._replace(best=np.where(impossible, np.inf, after.best))


def place(
    wealth: Wealth,
    block: Floats,
    null: Floats,
    size: int,
    bets: Bets,
    lo: float = -1.0,
    hi: float = 1.0,
) -> Wealth:
    """Bet on the next samples, each of which has a mean of `null` at most, given those before it.

    Args:
        wealth: What there is.
        block: (..., samples) in the order in which they were asked, each `lo` to `hi`.
        null: Of the same shape; a function of earlier samples alone.
        size: Samples that there are in all.
        bets: Those that `wealth` began with.
        lo: No value is below.
        hi: No value is above.
    """
    n = wealth.n + np.arange(block.shape[-1])
    total = _carried(wealth.total, block)
    squares = _carried(wealth.squares, block**2)
    null = np.maximum(null, lo)
    most = MOST / np.maximum(null - lo, (hi - lo) / FINEST)
    factors = _bet(n, total[..., :-1], squares[..., :-1], size, bets.gaps, hi - lo)
    np.minimum(factors, most[..., None, :], out=factors)
    factors *= (block - null)[..., None, :]
    factors += 1
    logs, best = wealth.logs, wealth.best
    for first in range(0, len(n), CHAIN):
        products = np.cumprod(factors[..., first : first + CHAIN], axis=-1)
        top = logs.max(axis=-1)
        mixed = np.einsum("...a,...as->...s", np.exp(logs - top[..., None]), products)
        best = np.maximum(best, np.log(mixed.max(axis=-1)) + top)
        logs = logs + np.log(products[..., -1])
    return Wealth(wealth.n + len(n), total[..., -1], squares[..., -1], logs, best)


def _bet(
    n: npt.NDArray[np.intp],
    total: Floats,
    squares: Floats,
    size: int,
    gaps: Floats,
    width: float,
) -> Floats:
    """Return (..., alternatives, samples): what each alternative bets a unit, after n samples."""
    spread = np.maximum(squares - total**2 / np.maximum(n, 1), 0)
    variance = (PRIOR_VARIANCE + spread) / (n + 1)
    gap = np.minimum(gaps[:, None] * size / (size - n), width)
    bet = variance[..., None, :] + gap**2
    return np.asarray(np.divide(gap, bet, out=bet))


def _carried(first: Floats, each: Floats) -> Floats:
    """Return running sums (..., n + 1) that begin with `first`."""
    return np.asarray(np.cumsum(np.concatenate([first[..., None], each], axis=-1), axis=-1))


def log_sum(logs: Floats, axis: int) -> Floats:
    """Return the logarithm of a sum, given those of its terms."""
    top = logs.max(axis=axis, keepdims=True)
    return np.asarray(np.log(np.exp(logs - top).sum(axis=axis)) + top.squeeze(axis))


def log_evidence(
    values: Sequence[float] | Floats,
    size: int,
    mean: float,
    null: Null,
    looks: Sequence[int],
    *,
    likely: float | None = None,
    lo: float = -1.0,
    hi: float = 1.0,
) -> Floats:
    """Return the logarithm of the evidence against a mean of the whole, at each look (looks,).

    exp(-evidence) is an anytime-valid p-value, 1 or less. It never rises from look to look, and is
    0 where the samples that are not seen cannot save the null any more.

    Args:
        values: Of the samples in the order in which they were asked.
        size: Samples that there are in all.
        mean: The margin.
        null: Says that the mean of all is `at least`, or `at most`, the margin.
        looks: Numbers of samples seen, rising, each up to len(values).
        likely: A distance from the margin that is likely if the null is wrong, where power is to be
            highest. Whatever it is the p-value is valid, if it was chosen before.
        lo: No value is below.
        hi: No value is above.

    Raises:
        ValueError: A value is outside its limits, or there are more of them than `size`.
    """
    seen = _checked(values, size, lo, hi)
    if null == "at least":
        seen, mean, lo, hi = -seen, -mean, -hi, -lo
    bets = spread_bets(size, likely, (hi - lo) / 2)
    wealth = begin((), bets)
    found = []
    for look in looks:
        if look > wealth.n:
            wealth = go_on(wealth, seen[wealth.n : look], size, mean, bets, lo, hi)
        found.append(float(wealth.best))
    return np.array(found)


def _checked(values: Sequence[float] | Floats, size: int, lo: float, hi: float) -> Floats:
    seen = np.asarray(values, dtype=np.float64)
    if len(seen) > size:
        raise ValueError(f"{len(seen)} values of {size} samples")
    if len(seen) and not lo <= seen.min() <= seen.max() <= hi:
        raise ValueError(f"values are {lo:g} to {hi:g}, got {seen.min():g} to {seen.max():g}")
    return seen


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
    widen, are nowhere wider than what samples that are not seen could still add, and are the mean
    itself where all are seen.

    Args:
        values: Of the samples in the order in which they were asked.
        size: Samples that there are in all.
        looks: Numbers of samples seen, rising, each up to len(values).
        alpha: Probability with which the mean lies outside at any look, at most.
        lo: No value is below.
        hi: No value is above.

    Raises:
        ValueError: A value is outside its limits, or there are more of them than `size`.
    """
    seen = _checked(values, size, lo, hi)
    at = np.asarray(looks, dtype=np.intp)
    sums = np.concatenate([[0.0], np.cumsum(seen)])[at]
    low = np.maximum(
        (sums + (size - at) * lo) / size, _lower(seen, size, at, math.log(2 / alpha), lo, hi)
    )
    high = np.minimum(
        (sums + (size - at) * hi) / size, -_lower(-seen, size, at, math.log(2 / alpha), -hi, -lo)
    )
    low = np.maximum.accumulate(low)
    high = np.maximum(low, np.minimum.accumulate(high))  # crossed bounds have failed: a point
    mean = sums / size
    return np.stack([np.where(at == size, mean, low), np.where(at == size, mean, high)], axis=1)


def _lower(
    seen: Floats, size: int, looks: npt.NDArray[np.intp], enough: float, lo: float, hi: float
) -> Floats:
    """Return, for each look, up to which margin "the mean is at most this" has `enough` against it.

    The bets are those of `go_on`, cut at a share of the capital for the worst margin, so that they
    do not depend on it. Then each logarithm falls with the margin and is concave in it, and between
    two margins lies above its chord, which is taken in its place: the bound is never too high.
    """
    found = np.full(len(looks), lo, dtype=np.float64)
    last = int(looks.max(initial=0))
    if last == 0:
        return found
    bets = spread_bets(size, widest=(hi - lo) / 2)
    mean = seen[:last].mean()
    distances = np.geomspace(0.25 / size, max(mean - lo, 1 / size), N_MEANS - 1)
    margins = np.concatenate([(mean - distances)[::-1], [mean]])
    logs = _logs_at(seen[:last], size, looks, margins, bets, lo, hi)
    reached = log_sum(logs, axis=-1) >= enough  # (margins, looks)
    some = np.flatnonzero(reached.any(axis=0))
    place = len(margins) - 1 - reached[::-1].argmax(axis=0)[some]
    beyond = np.minimum(place + 1, len(margins) - 1)
    left, right = logs[place, some], logs[beyond, some]
    inside, outside = np.zeros(len(some)), np.ones(len(some))
    for _ in range(30):
        middle = (inside + outside) / 2
        holds = log_sum(left + middle[:, None] * (right - left), axis=-1) >= enough
        inside, outside = np.where(holds, middle, inside), np.where(holds, outside, middle)
    found[some] = margins[place] + inside * (margins[beyond] - margins[place])
    return found


def _logs_at(
    seen: Floats,
    size: int,
    looks: npt.NDArray[np.intp],
    margins: Floats,
    bets: Bets,
    lo: float,
    hi: float,
) -> Floats:
    """Return the logarithms of capital (margins, looks, alternatives), against each margin."""
    n = np.arange(len(seen))
    before = np.cumsum(seen) - seen
    bet = _bet(n, before, np.cumsum(seen**2) - seen**2, size, bets.gaps, hi - lo)
    bet = np.minimum(bet, MOST / (hi - lo))
    starts = np.union1d(n[::CHAIN], looks[looks < len(seen)])
    ends = np.concatenate([starts[1:], [len(seen)]])
    places = np.searchsorted(ends, looks, side="right")  # pieces that lie before each look
    found = np.empty((len(margins), len(looks), len(bets.gaps)))
    for number, margin in enumerate(margins):
        null = np.maximum((size * margin - before) / (size - n), lo)
        pieces = np.multiply.reduceat(1 + bet * (seen - null), starts, axis=-1)
        sums = _carried(np.log(bets.shares), np.log(pieces))
        found[number] = sums[:, places].T
    return found
