"""Means of clustered scores with intervals. Knows nothing about tasks or models."""

import math
from collections import defaultdict
from collections.abc import Hashable, Sequence
from statistics import NormalDist
from typing import NamedTuple

from scipy.special import stdtrit  # scipy.stats takes half a second to import

CONFIDENCE = 0.95


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


def clustered_mean(values: Sequence[float], clusters: Sequence[Hashable]) -> Estimate:
    """Return the mean of scores whose samples share images, with a 95 % interval.

    The standard error sums the deviations within each cluster before squaring them (Miller,
    "Adding Error Bars to Evals", arXiv 2411.00640, section 2.2), times C / (C - 1) for C clusters,
    which for clusters of one sample is the ordinary standard error of a mean.

    The interval is Wilson's, for as many independent samples as carry the same information, so it
    stays within 0-1 and has a width at 0 and 1 too. That number is n over the design effect (not
    below 1), times the squared ratio of Student's t quantiles at n - 1 and C - 1 degrees of
    freedom (Korn and Graubard, Survey Methodology 24, 1998). Where all values are equal, nothing
    is known about the design effect, and each cluster counts as one sample.

    Args:
        values: Scores, each 0-1.
        clusters: One label a score (the image's id); equal labels are one cluster.

    Raises:
        ValueError: No values, a value outside 0-1, or another number of labels.
    """
    n = len(values)
    if n == 0:
        raise ValueError("the mean of no scores is not defined")
    if any(not 0 <= value <= 1 for value in values):
        raise ValueError(f"scores are 0-1, got {min(values)} to {max(values)}")
    mean = math.fsum(values) / n
    deviations: dict[Hashable, list[float]] = defaultdict(list)
    for value, cluster in zip(values, clusters, strict=True):
        deviations[cluster].append(value - mean)
    n_clusters = len(deviations)
    squares = math.fsum((value - mean) ** 2 for value in values)
    stderr = None
    n_effective: float = n_clusters
    if n_clusters > 1:
        between = math.fsum(math.fsum(cluster) ** 2 for cluster in deviations.values())
        variance = between * n_clusters / (n_clusters - 1) / n**2
        stderr = math.sqrt(variance)
        if min(values) < max(values):
            design_effect = max(1.0, variance / (squares / (n * (n - 1))))
            # For values 0 and 1 the first factor is 1; partial credits spread less.
            n_effective = mean * (1 - mean) / (squares / n) * n / design_effect
            n_effective *= (_t_quantile(n - 1) / _t_quantile(n_clusters - 1)) ** 2
    low, high = _wilson(mean, n_effective)
    return Estimate(mean, stderr, low, high, n, n_clusters)


def _wilson(mean: float, n: float) -> tuple[float, float]:
    """Return Wilson's score interval for a share seen in `n` independent samples."""
    z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    centre = (mean + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(mean * (1 - mean) / n + z**2 / (4 * n**2))
    # Rounding may put a bound a hair outside, or beyond the mean where it is 0 or 1.
    return max(0.0, min(mean, centre - half)), min(1.0, max(mean, centre + half))


def _t_quantile(degrees_of_freedom: int) -> float:
    return float(stdtrit(degrees_of_freedom, (1 + CONFIDENCE) / 2))
