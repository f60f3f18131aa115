"""Means of clustered scores, and their intervals.

Scores are 0-1. Samples of one cluster share an image, so that their scores go together; all
intervals treat clusters, not samples, as independent. docs/statistics.md says why each method was
chosen, and what it was measured to cover.
"""

import hashlib
import math
from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy  # its parts are loaded when they are first used, which most commands never do

CONFIDENCE = 0.95
MIN_CLUSTERS = 10
"""Below, by number or by Kish's number, an interval says little about how well it holds, and is
marked as unreliable."""
FEW_CLUSTERS = 3.5
"""Clusters' worth of the rarer answer at which the design effect is believed by 1 - 1/e; chosen by
simulation: less does not cover where a few clusters are wrong as a whole."""
MANY_ANSWERS = 20.0
"""Answers of the rarer kind at which the interval is halfway from Clopper-Pearson's to Jeffreys';
chosen by simulation: for independent samples it covers at least 94.2 %, 95.3 % on average."""
RESAMPLES = 10_000
TINY = 1e-300
"""In place of 0 below a fraction line whose upper part is 0 then, too."""
LARGEST_BLOCK = 4_000_000
"""Counts held in memory at a time by the bootstrap."""

Floats = npt.NDArray[np.float64]


class Estimate(NamedTuple):
    """A mean of scores and how well it is known; fractions 0-1."""

    mean: float
    stderr: float | None
    """Clustered standard error; None where there is one cluster only, from which none follows."""
    ci_low: float
    ci_high: float
    """95 % interval, within 0-1."""
    n: int
    n_clusters: int
    n_effective: float
    """Independent right-or-wrong samples that would tell as much."""
    reliable: bool
    """Whether there are at least `MIN_CLUSTERS` clusters, by Kish's number of them too."""


class Clusters(NamedTuple):
    """Clusters by what they hold; arrays (..., kinds) that broadcast, the last axis is summed."""

    sums: Floats
    """Sum of the scores in a cluster of this kind."""
    squares: Floats
    """Sum of their squares."""
    sizes: Floats
    """Number of scores."""
    counts: Floats
    """How many clusters are of this kind."""


class Moments(NamedTuple):
    """What an interval for a mean follows from; arrays of one shape."""

    mean: Floats
    stderr: Floats
    """nan for one cluster."""
    n_effective: Floats
    degrees: Floats
    """Degrees of freedom of the design effect; infinite where it cannot be otherwise."""


def clustered_mean(values: Sequence[float], clusters: Sequence[Hashable]) -> Estimate:
    """Return the mean of scores whose samples share images, with a 95 % interval.

    The standard error sums the deviations within each cluster before squaring them (Miller,
    "Adding Error Bars to Evals", arXiv 2411.00640, section 2.2), times C / (C - 1) for C clusters,
    which for clusters of one sample is the ordinary standard error of a mean. The interval is that
    of `moments` and `mean_bounds`.

    Args:
        values: Scores, each 0-1.
        clusters: One label a score (the image's id); equal labels are one cluster.

    Raises:
        ValueError: No values, a value outside 0-1, or another number of labels.
    """
    check_scores(values)
    cells = group(np.asarray(values, dtype=np.float64), clusters)
    found = moments(cells)
    low, high = mean_bounds(found, (1 - CONFIDENCE) / 2)
    n_clusters = len(cells.sizes)
    mean = math.fsum(values) / len(values)
    return Estimate(
        mean=mean,
        stderr=float(found.stderr) if n_clusters > 1 else None,
        ci_low=min(float(low), mean),
        ci_high=max(float(high), mean),
        n=len(values),
        n_clusters=n_clusters,
        n_effective=float(found.n_effective),
        reliable=kish(cells.sizes) >= MIN_CLUSTERS,
    )


def group(values: Floats, clusters: Sequence[Hashable]) -> Clusters:
    """Sum scores by cluster; ValueError for another number of labels than of scores."""
    indices = _indices(clusters)
    if len(indices) != len(values):
        raise ValueError(f"{len(values)} scores have {len(indices)} labels of clusters")
    return Clusters(
        sums=np.bincount(indices, values).astype(np.float64),
        squares=np.bincount(indices, values**2).astype(np.float64),
        sizes=np.bincount(indices).astype(np.float64),
        counts=np.ones(int(indices.max()) + 1),
    )


def kish(sizes: npt.ArrayLike) -> float:
    """Return how many clusters of one size would tell as much: n² / sum of squared sizes (Kish).

    At most the number of clusters, and equal to it where all are of one size.
    """
    counts = np.asarray(sizes, dtype=np.float64)
    # Sizes are whole numbers, so that both sums are exact: ten equal clusters are ten.
    return float(counts.sum() ** 2 / (counts**2).sum())


def _indices(clusters: Sequence[Hashable]) -> npt.NDArray[np.intp]:
    """Number the labels in the order of their first use."""
    numbers: dict[Hashable, int] = {}
    found = (numbers.setdefault(label, len(numbers)) for label in clusters)
    return np.fromiter(found, np.intp, len(clusters))


def check_scores(values: Sequence[float]) -> None:
    """Raise ValueError for no scores, or one outside 0-1."""
    if len(values) == 0:
        raise ValueError("the mean of no scores is not defined")
    if any(not 0 <= value <= 1 for value in values):
        raise ValueError(f"scores are 0-1, got {min(values)} to {max(values)}")


def moments(cells: Clusters) -> Moments:
    """Return mean, clustered standard error and effective number of samples.

    The effective number is n over the design effect (clustered over independent variance, not
    below 1), times the variance that right-or-wrong scores of this mean have over that of the
    scores. Two things that few clusters cannot show are taken for the worse, the more so the fewer
    they are: with little of the rarer answer, that the clusters are all of one answer (their number
    by Kish's formula, n² / sum of squared sizes, is then the effective one); with few clusters off
    the mean, that scores are right or wrong. So the interval shrinks steadily from the one for
    equal scores, which say nothing about either.

    The degrees of freedom are Satterthwaite's, from the noise of the design effect by the delta
    method, and those that unequal and few clusters leave; samples of their own lose none.
    """
    sums, squares, sizes, counts = cells

    def total(each: Floats) -> Floats:
        return np.asarray((counts * each).sum(-1))

    ones = np.ones_like(sizes)
    n, n_clusters = total(sizes), total(ones)
    mean = np.clip(total(sums) / n, 0, 1)
    middle = mean[..., None]
    off = sums - sizes * middle
    off = np.where(total(off**2)[..., None] > 1e-18 * n[..., None] ** 2, off, 0)  # less is rounding
    spread = np.maximum(squares - 2 * middle * sums + sizes * middle**2, 0)
    between, within = total(off**2), total(spread)
    equal = (within <= 1e-12 * n) | (n_clusters < 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = between * n_clusters / (n_clusters - 1) / n**2
        whole = total(sizes**2) / n
        n_whole = n / whole
        effect = np.maximum(1, variance * n * (n - 1) / within)
        doubt = np.exp(-n_whole * np.minimum(mean, 1 - mean) / FEW_CLUSTERS)
        effect = effect * np.maximum(1, whole / effect) ** doubt
        narrower = np.maximum(1, mean * (1 - mean) * n / within)
        n_off = between**2 / np.maximum(total(off**4), TINY)
        narrower = narrower ** (1 - np.exp(-n_off / FEW_CLUSTERS))
        share = off**2 / np.maximum(between, TINY)[..., None]
        noise = total((share - spread / within[..., None]) ** 2)
        lost = noise / 2 + 1 / np.maximum(n_whole - 1, 0.5) - 1 / np.maximum(n - 1, 1)
        degrees = 1 / np.maximum(lost, 1e-9)
        return Moments(
            mean=mean,
            stderr=np.sqrt(np.where(n_clusters > 1, variance, np.nan)),
            n_effective=np.where(equal, n_whole, n / effect * narrower),
            degrees=np.where(equal, np.inf, degrees),
        )


def mean_bounds(found: Moments, tail: float) -> tuple[Floats, Floats]:
    """Return the bounds below and above which a mean lies with probability `tail` each.

    They are quantiles of Beta distributions for the effective numbers x and y of right and wrong
    answers, between Clopper-Pearson's (x, y + 1 below) and Jeffreys' (x + 1/2, y + 1/2): the former
    where one of them is small, where the latter would not cover, the latter where both are large,
    where the former would be too wide. The effective number is first lowered by the squared ratio
    of the quantiles of Student's t and the normal distribution, as in Korn and Graubard (Survey
    Methodology 24, 1998).
    """
    normal = scipy.special.ndtri(1 - tail)
    student = scipy.special.stdtrit(np.minimum(found.degrees, 1e9), 1 - tail)
    n = np.maximum(found.n_effective * (normal / student) ** 2, 1)
    right, wrong = n * found.mean, n * (1 - found.mean)
    rarer = np.minimum(right, wrong)
    shift = rarer / (rarer + MANY_ANSWERS) / 2
    tiny = 1e-12  # a Beta distribution has no parameter 0; the bound is then 0 or 1
    low = scipy.special.betaincinv(np.maximum(right + shift, tiny), wrong + 1 - shift, tail)
    high = scipy.special.betaincinv(right + 1 - shift, np.maximum(wrong + shift, tiny), 1 - tail)
    low = np.where(found.mean <= 0, 0, np.minimum(low, found.mean))
    return low, np.where(found.mean >= 1, 1, np.maximum(high, found.mean))


def bootstrap_mean(
    values: Sequence[float],
    clusters: Sequence[Hashable],
    *,
    key: str,
    tail: float = (1 - CONFIDENCE) / 2,
    n_resamples: int = RESAMPLES,
) -> tuple[float, float]:
    """Return percentiles of the mean over clusters redrawn with replacement: a check.

    With few clusters, or a mean near 0 or 1, it is narrower than it should be; that is why it is
    not the interval that is reported.

    Args:
        values: Scores in any range; for a paired comparison their differences.
        clusters: One label a score.
        key: Names the draw: the same key gives the same result.
        tail: Probability on either side.
        n_resamples: Number of draws.
    """
    cells = _kinds(group(np.asarray(values, dtype=np.float64), clusters))
    n_clusters = int(cells.counts.sum())
    shares = cells.counts / n_clusters
    digest = hashlib.sha256(f"vipbench bootstrap {key}".encode()).digest()
    rng = np.random.default_rng(int.from_bytes(digest[:16]))
    block = max(1, LARGEST_BLOCK // len(shares))
    means = []
    for start in range(0, n_resamples, block):
        drawn = rng.multinomial(n_clusters, shares, min(block, n_resamples - start))
        means.append(drawn @ cells.sums / (drawn @ cells.sizes))
    low, high = np.quantile(np.concatenate(means), (tail, 1 - tail))
    return float(low), float(high)


def _kinds(cells: Clusters) -> Clusters:
    """Put clusters that hold the same into one kind: a draw then counts kinds, which are few."""
    table = np.stack([cells.sums, cells.squares, cells.sizes])
    kinds, counts = np.unique(table, axis=1, return_counts=True)
    return Clusters(kinds[0], kinds[1], kinds[2], counts.astype(np.float64))


def share_bound(n_found: int, n: int, tail: float) -> float:
    """Return the upper bound of a share, by Clopper and Pearson: exact for independent samples.

    Args:
        n_found: Samples that have the property.
        n: All samples, at least one.
        tail: Probability that the share lies above, at most.
    """
    if n_found >= n:
        return 1.0
    return float(scipy.special.betaincinv(n_found + 1, n - n_found, 1 - tail))
