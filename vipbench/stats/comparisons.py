"""Differences of two runs on the same samples, weighted sums of scores, and several tests at once.

Scores are 0-1; clusters, not samples, are independent, as in `intervals`.
"""

import math
from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np
import scipy  # its parts are loaded when they are first used, which most commands never do

from vipbench.stats.intervals import CONFIDENCE, MIN_CLUSTERS, check_scores, group, kish


class Paired(NamedTuple):
    """The difference of two runs on the same samples, new minus base; fractions, -1 to 1."""

    difference: float
    stderr: float | None
    """Clustered standard error; None for one cluster, from which none follows."""
    n: int
    n_clusters: int
    n_gained: int
    """Samples that are scored higher in the new run."""
    n_lost: int
    discordance: float
    """Mean squared change of a sample; for right and wrong the share that changed."""
    design_effect: float
    """Clustered over independent variance of the difference; 1 where nothing changed."""
    centre: float
    """Of the interval: the difference with one sample gained and one lost in addition."""
    half_width: float
    """What is multiplied by a quantile of Student's t; infinite for one cluster."""
    degrees: float
    """Degrees of freedom."""
    reliable: bool
    """Whether there are at least `MIN_CLUSTERS` clusters, by Kish's number of them too."""

    @property
    def churn(self) -> float:
        """Discordance without the net difference: what changes to and fro."""
        return self.discordance - abs(self.difference)

    def bounds(self, tail: float = (1 - CONFIDENCE) / 2) -> tuple[float, float]:
        """Return the bounds beyond which the difference lies with probability `tail` each."""
        reach = float(scipy.special.stdtrit(self.degrees, 1 - tail)) * self.half_width
        return max(-1.0, self.centre - reach), min(1.0, self.centre + reach)

    def p_below(self, margin: float = 0.0) -> float:
        """Return the one-sided p-value of "the difference is `margin` or more".

        It is below a level where, and only where, the upper bound at this level is below `margin`.
        """
        return float(scipy.special.stdtr(self.degrees, (self.centre - margin) / self.half_width))

    def p_two_sided(self) -> float:
        """Return the p-value of "there is no difference", in either direction."""
        below = self.p_below()
        return 2 * min(below, 1 - below)

    def p_mcnemar(self) -> float:
        """Return the exact two-sided p-value of McNemar's test, which knows no clusters.

        Of the samples that differ, a fair coin says which are gained and which are lost.
        """
        fewer, all_ = min(self.n_gained, self.n_lost), self.n_gained + self.n_lost
        return min(1.0, 2 * float(scipy.special.bdtr(fewer, all_, 0.5)))


def paired(base: Sequence[float], new: Sequence[float], clusters: Sequence[Hashable]) -> Paired:
    """Compare two runs on the same samples.

    The interval is that of Student's t for the clustered standard error of the differences, with
    one sample gained and one lost added in (Bonett and Price, Journal of Educational and Behavioral
    Statistics 37, 2012), so that it has a width where nothing changed, and three changes of four
    hundred are not a finding. Degrees of freedom: clusters - 1, by Kish's number of them where
    sizes differ.

    Args:
        base: Scores of one run, each 0-1.
        new: Scores of the other, sample by sample.
        clusters: One label a sample.

    Raises:
        ValueError: No scores, a score outside 0-1, or sequences of different lengths.
    """
    check_scores(base)
    check_scores(new)
    if len(base) != len(new):
        raise ValueError(f"{len(base)} scores cannot be paired with {len(new)}")
    change = np.asarray(new, dtype=np.float64) - np.asarray(base, dtype=np.float64)
    cells = group(change, clusters)
    n, n_clusters = len(change), len(cells.sizes)
    difference = math.fsum(change) / n
    discordance = math.fsum(change**2) / n
    between = math.fsum((cells.sums - cells.sizes * difference) ** 2)
    variance = between * n_clusters / (n_clusters - 1) / n**2 if n_clusters > 1 else math.inf
    independent = (discordance - difference**2) / (n - 1) if n > 1 else 0.0
    known = n_clusters > 1 and independent > 1e-15
    effect = variance / independent if known else 1.0
    added = 2 * max(1.0, effect) / (n + 2) ** 2
    return Paired(
        difference=difference,
        stderr=math.sqrt(variance) if n_clusters > 1 else None,
        n=n,
        n_clusters=n_clusters,
        n_gained=int((change > 0).sum()),
        n_lost=int((change < 0).sum()),
        discordance=discordance,
        design_effect=effect,
        centre=difference * n / (n + 2),
        half_width=math.sqrt(variance * (n / (n + 2)) ** 2 + added),
        degrees=max(1.0, n**2 / math.fsum(cells.sizes**2) - 1),
        reliable=kish(cells.sizes) >= MIN_CLUSTERS,
    )


def holm(p_values: Sequence[float], true: int | None = None) -> list[float]:
    """Adjust p-values for their number (Holm, Scandinavian Journal of Statistics 6, 1979).

    Where all that are adjusted below a level are taken for findings, the probability of one false
    finding or more is at most this level, however the tests depend on each other.

    Args:
        p_values: Of the null hypotheses.
        true: How many of those can be true at once; fewer than all need less of an adjustment
            (Shaffer, Journal of the American Statistical Association 81, 1986). None: all can.
    """
    adjusted = [0.0] * len(p_values)
    most = len(p_values) if true is None else true
    largest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        factor = min(len(p_values) - rank, most)
        largest = max(largest, min(1.0, p_values[index] * factor))
        adjusted[index] = largest
    return adjusted


# --- weighted sums of scores


class Contrast(NamedTuple):
    """The mean of a weighted sum of scores, such as one mark's effect; any range."""

    mean: float
    ci_low: float
    ci_high: float
    """95 % interval; infinite for one cluster."""
    p: float
    """Two-sided p-value of "the mean is 0"."""


def contrast(
    values: Sequence[float], clusters: Sequence[Hashable], largest: float = 1.0
) -> Contrast:
    """Return the mean of sums that are weighted alike in each sample, with Student's t interval.

    Clustered as in `clustered_mean`; degrees of freedom: clusters - 1, by Kish's number of them
    where sizes differ. Without the corrections of `paired`, which are about counts; but where all
    clusters agree, and no error follows from them, as `paired` does it: with one sum of `largest`
    and one of -`largest` added to as many sums as there are clusters.

    Args:
        values: One sum a sample.
        clusters: One label a sample.
        largest: How far from 0 a sum can lie, above 0.

    Raises:
        ValueError: No values, or another number of labels.
    """
    if len(values) == 0:
        raise ValueError("the mean of no values is not defined")
    cells = group(np.asarray(values, dtype=np.float64), clusters)
    n, n_clusters = len(values), len(cells.sizes)
    mean = math.fsum(values) / n
    if n_clusters < 2:
        return Contrast(mean, -math.inf, math.inf, 1.0)
    between = math.fsum((cells.sums - cells.sizes * mean) ** 2)
    stderr, centre = math.sqrt(between * n_clusters / (n_clusters - 1)) / n, mean
    effective = kish(cells.sizes)
    degrees = max(1.0, effective - 1)
    if stderr < 1e-12:  # rounding
        stderr = math.sqrt(2) * largest / (effective + 2)
        centre = mean * effective / (effective + 2)
    reach = float(scipy.special.stdtrit(degrees, (1 + CONFIDENCE) / 2)) * stderr
    p = 2 * float(scipy.special.stdtr(degrees, -abs(centre) / stderr))
    return Contrast(mean, centre - reach, centre + reach, p)
