"""Means of clustered scores, paired differences, tests and power. Knows no task and no model.

Scores are 0-1. Samples of one cluster share an image, so that their scores go together; all
intervals treat clusters, not samples, as independent. docs/statistics.md says why each method was
chosen, and what it was measured to cover.
"""

import functools
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
FEW_GAINS = 5.0
"""Expected gained samples up to which the power is computed exactly; with more, the normal
distribution is off by less than 0.005, by simulation."""
MOST_GAINS = 30
"""Gained samples that the exact power looks at; more are gained once in 1e13 where FEW_GAINS are
expected."""
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
    _check_scores(values)
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


def _check_scores(values: Sequence[float]) -> None:
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


# --- two runs on the same samples


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
    _check_scores(base)
    _check_scores(new)
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


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values for their number (Holm, Scandinavian Journal of Statistics 6, 1979).

    Where all that are adjusted below a level are taken for findings, the probability of one false
    finding or more is at most this level, however the tests depend on each other.
    """
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, p_values[index] * (len(p_values) - rank)))
        adjusted[index] = largest
    return adjusted


# --- power of a paired comparison


class Design(NamedTuple):
    """What the power of a paired comparison depends on."""

    n: int
    """Samples."""
    discordance: float
    """Share of the samples whose score changes (for partial credits the mean squared change); where
    a drop is larger, it is that of the drop."""
    design_effect: float = 1.0
    """Clustered over independent variance of the difference."""
    alpha: float = 0.05
    """Level of the one-sided test."""
    power: float = 0.8
    """Probability with which a drop is found."""

    def samples_for(self, drop: float) -> int:
        """Return how many samples find a drop (0-1).

        Under no drop, the variance of a change is the discordance; under the drop, less its square
        (Miettinen, Biometrics 24, 1968). Where next to nothing is gained, losses are too few for
        the normal distribution: there the exact power is looked at too. Raises ValueError for a
        drop outside 0-1, or 0.
        """
        if not 0 < drop <= 1:
            raise ValueError(f"drop = {drop}: expected a number above 0, up to 1")
        effective = (self._needed(drop) / drop) ** 2
        low = high = math.ceil(effective)
        if self._keeps_promise(high, drop):
            return math.ceil(effective * self.design_effect)
        while not self._keeps_promise(high, drop):
            low, high = high + 1, 2 * high
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if self._keeps_promise(middle, drop) else (middle + 1, high)
        return math.ceil(high * self.design_effect)

    def smallest_drop(self) -> float | None:
        """Return the smallest drop that is found; None where not even a drop to nothing is."""
        low, high = 0.0, 1.0
        if not self._finds(high):
            return None
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (low, middle) if self._finds(middle) else (middle, high)
        return high

    def _finds(self, drop: float) -> bool:
        effective = self.n / self.design_effect
        if drop * math.sqrt(effective) < self._needed(drop):
            return False
        return self._keeps_promise(math.floor(effective), drop)

    def _needed(self, drop: float) -> float:
        """Return what the drop, times the root of the effective n, has to reach."""
        changed = max(self.discordance, drop)
        level, reach = map(float, scipy.special.ndtri([1 - self.alpha, self.power]))
        return level * math.sqrt(changed) + reach * math.sqrt(changed - drop**2)

    def _keeps_promise(self, n: int, drop: float) -> bool:
        """Say whether `n` independent samples have the power, where gains are few; else True."""
        changed = max(self.discordance, drop)
        gain, loss = (changed - drop) / 2, (changed + drop) / 2
        if n * gain > FEW_GAINS:
            return True
        if n < 2:
            return False
        gained = np.arange(min(n, MOST_GAINS) + 1)
        critical = np.array(_critical_losses(n, self.alpha))
        share = scipy.special.bdtr(gained, n, gain)
        share[1:] -= share[:-1].copy()
        found = scipy.special.bdtrc(critical - 1, n - gained, min(1.0, loss / (1 - gain)))
        return float(share @ np.where(critical > n - gained, 0, found)) >= self.power


@functools.lru_cache(maxsize=256)
def _critical_losses(n: int, alpha: float) -> tuple[int, ...]:
    """Return, for 0, 1, … gained samples of `n`, how few lost ones are a finding; n + 1: none."""
    gained = np.arange(min(n, MOST_GAINS) + 1)
    low, high = np.zeros_like(gained), n - gained
    never = _p_of_counts(n, gained, high) >= alpha
    while (low < high).any():
        middle = (low + high) // 2
        finds = _p_of_counts(n, gained, middle) < alpha
        low, high = (
            np.where(finds, low, np.minimum(middle + 1, high)),
            np.where(finds, middle, high),
        )
    return tuple(np.where(never, n + 1, high).tolist())


def _p_of_counts(n: int, gained: npt.NDArray[np.intp], lost: npt.NDArray[np.intp]) -> Floats:
    """Return `paired(…).p_below()` of `n` > 1 independent samples that are right or wrong."""
    difference = (gained - lost) / n
    variance = ((gained + lost) / n - difference**2) / (n - 1)
    half_width = np.sqrt(variance * (n / (n + 2)) ** 2 + 2 / (n + 2) ** 2)
    return np.asarray(scipy.special.stdtr(n - 1, difference * n / (n + 2) / half_width))


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
