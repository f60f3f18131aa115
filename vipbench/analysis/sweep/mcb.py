"""Which styles may be the best one: Hsu's multiple comparisons with the best, clustered and paired.

Source: Hsu, Constrained simultaneous confidence intervals for multiple comparisons with the best,
Annals of Statistics 12, 1984; for unequal variances and correlations Hsu, Multiple Comparisons:
Theory and Methods, 1996, chapter 7. Arithmetic on scores; knows no run.
"""

import hashlib
import math
from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np

from vipbench.analysis.sweep.scores import Floats
from vipbench.stats.intervals import CONFIDENCE, kish

N_DRAWS = 50_000
"""Of each critical value, whose standard error is then 0.01."""
NO_VARIANCE = 1e-13
"""Variance of a difference below which it is rounding: 1e-15 in `paired`, whose sums are
exact."""


class AgainstBest(NamedTuple):
    """A style against the best of all others; fractions, -1 to 1."""

    difference: float
    """Its mean minus the highest mean of the others."""
    low: float
    high: float
    """95 % interval, which holds for all styles at once. Not above and not below 0, as far as 0 is
    not inside: that one of the styles is the best is known beforehand."""
    may_be_best: bool
    """Whether the scores leave open that no other is better."""


class Against(NamedTuple):
    """A style against a given one; fractions, -1 to 1."""

    difference: float
    low: float
    high: float
    """95 % interval, which holds for all styles at once, and so for the one that looks best."""


class Spread(NamedTuple):
    """All paired differences of some styles, and how they go together; the last axes are styles."""

    difference: Floats
    """(styles, styles): mean of the first minus that of the second."""
    centre: Floats
    half_width: Floats
    """(styles, styles): as in `Paired`; what quantiles are multiplied by."""
    root: Floats
    """(styles, styles): symmetric root of the clustered covariance of the means, shrunk as in
    `paired`."""
    added: Floats
    """(styles, styles): what the squared half width has beyond that covariance."""
    degrees: float


def against_best(
    values: Floats, clusters: Sequence[Hashable], *, key: str, n_draws: int = N_DRAWS
) -> list[AgainstBest]:
    """Compare each style with the best of the others.

    A style is not the best if some other is better by more than chance makes the others look better
    than it at once, in 95 % of all cases: with two styles the one-sided test of `paired` at
    5 %. With probability 95 % or more, the style that is truly best is among those that are left.

    Args:
        values: (samples, styles), each score 0-1; at least two styles.
        clusters: One label a sample; at least two different ones.
        key: Names the draw: the same key gives the same result.
        n_draws: Number of draws for each critical value.
    """
    spread = _spread(values, clusters)
    n = len(spread.centre)
    draws = _draws(spread, key, n_draws)
    critical = np.array([_critical(spread, i, draws, two_sided=False) for i in range(n)])
    upper = spread.centre + critical[:, None] * spread.half_width
    np.fill_diagonal(upper, np.inf)
    upper = upper.min(1)
    may_be_best = upper > 0
    lower = spread.centre - critical * spread.half_width
    others = may_be_best & ~np.eye(n, dtype=bool)
    lower = np.where(others, lower, 0.0).min(1)
    difference = np.where(np.eye(n, dtype=bool), np.inf, spread.difference).min(1)
    return [
        AgainstBest(float(d), max(-1.0, float(low)), min(1.0, max(0.0, float(high))), bool(may))
        for d, low, high, may in zip(difference, lower, upper, may_be_best, strict=True)
    ]


def against(
    values: Floats,
    base: Sequence[float],
    clusters: Sequence[Hashable],
    *,
    key: str,
    n_draws: int = N_DRAWS,
) -> list[Against]:
    """Compare each style with a given one by intervals that hold at once (Dunnett's).

    Args:
        values: (samples, styles), each score 0-1.
        base: The scores of the given one, sample by sample.
        clusters: One label a sample; at least two different ones.
        key: Names the draw: the same key gives the same result.
        n_draws: Number of draws for the critical value.
    """
    spread = _spread(np.column_stack([np.asarray(base), values]), clusters)
    draws = _draws(spread, key, n_draws)
    reach = _critical(spread, 0, draws, two_sided=True) * spread.half_width[1:, 0]
    centre = spread.centre[1:, 0]
    return [
        Against(float(d), max(-1.0, float(c - r)), min(1.0, float(c + r)))
        for d, c, r in zip(spread.difference[1:, 0], centre, reach, strict=True)
    ]


def _spread(values: Floats, clusters: Sequence[Hashable]) -> Spread:
    """Return what `paired` says of each two styles, for all pairs at once."""
    n = len(values)
    columns = np.unique(np.asarray(clusters), return_inverse=True)[1]
    sizes = np.bincount(columns).astype(np.float64)
    sums = np.array([np.bincount(columns, each) for each in values.T])
    mean = np.array([math.fsum(each) / n for each in values.T])
    off = sums - sizes * mean[:, None]
    covariance = off @ off.T * len(sizes) / (len(sizes) - 1) / n**2
    difference = mean[:, None] - mean
    variance = _of_differences(covariance)
    independent = (_of_differences(values.T @ values / n) - difference**2) / max(1, n - 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        effect = np.where(independent > NO_VARIANCE, variance / independent, 1.0)
    shrink = n / (n + 2)
    added = 2 * np.maximum(1, effect) / (n + 2) ** 2
    scales, axes = np.linalg.eigh(covariance)
    return Spread(
        difference=difference,
        centre=difference * shrink,
        half_width=np.sqrt(variance * shrink**2 + added),
        root=axes * np.sqrt(np.maximum(scales, 0)) @ axes.T * shrink,
        added=added,
        degrees=max(1.0, kish(sizes) - 1),
    )


def _of_differences(moments: Floats) -> Floats:
    """Return the second moment of each difference, of those of two things together; not below 0."""
    own = np.diag(moments)
    found: Floats = np.maximum(own[:, None] + own - 2 * moments, 0)
    return found


class Draws(NamedTuple):
    """What chance adds to the scores, from a multivariate t distribution."""

    means: Floats
    """(draws, styles), with the clustered covariance of the means."""
    own: Floats
    """(draws, styles), independent; divided by the same root of chi square."""


def _draws(spread: Spread, key: str, n_draws: int) -> Draws:
    digest = hashlib.sha256(f"vipbench best {key}".encode()).digest()
    rng = np.random.default_rng(int.from_bytes(digest[:16]))
    scale = np.sqrt(rng.chisquare(spread.degrees, n_draws) / spread.degrees)[:, None]
    means, own = rng.standard_normal((2, n_draws, len(spread.root)))
    return Draws(means @ spread.root / scale, own / scale)


def _critical(spread: Spread, style: int, draws: Draws, *, two_sided: bool) -> float:
    """Return what the largest of all differences from a style stays below in 95 % of the draws.

    They are in units of their half widths; what a half width has beyond the clustered covariance
    of the scores is drawn by itself.
    """
    largest = np.zeros(len(draws.means)) if two_sided else np.full(len(draws.means), -np.inf)
    for other in range(len(spread.root)):
        if other != style:
            ahead = draws.means[:, other] - draws.means[:, style]
            ahead += np.sqrt(spread.added[style, other]) * draws.own[:, other]
            ahead /= spread.half_width[style, other]
            np.maximum(largest, np.abs(ahead) if two_sided else ahead, out=largest)
    return float(np.quantile(largest, CONFIDENCE))
