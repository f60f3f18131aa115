"""Measures what intervals cover, and how often a comparison of equal runs gives a false alarm.

    python tests/coverage_study.py         # the tables of docs/statistics.md; a quarter of an hour

Clusters are drawn by kind: how many clusters of each size have how many right answers is one
multinomial draw, so that 10,000 simulations of a design take milliseconds. The functions under
test are those that reports use, given kinds instead of single clusters.
"""

import argparse
import itertools
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.polynomial.hermite_e import hermegauss
from scipy.special import bdtr, betaln, gammaln, ndtr, ndtri

from vipbench.stats.comparisons import paired
from vipbench.stats.intervals import CONFIDENCE, Clusters, Floats, mean_bounds, moments

SIZES: dict[str, dict[int, float]] = {
    "1": {1: 1},
    "2": {2: 1},
    "5": {5: 1},
    "10": {10: 1},
    "1 to 10": dict.fromkeys(range(1, 11), 0.1),
    "geometric": {size: 0.5**size for size in range(1, 9)},
}
"""Cluster sizes and their shares."""
STRESS: dict[str, dict[int, float]] = {
    "25": {25: 1},
    "1 to 30": {1: 0.6, 2: 0.2, 5: 0.1, 10: 0.06, 30: 0.04},
}
"""Beyond what is promised: large clusters, and a few that hold a third of all samples."""
ACCURACIES = (0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98)
NEAR = (0.02, 0.05, 0.95, 0.98)
CORRELATIONS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.8)
MODELS = ("beta", "probit", "alike")
CLUSTERS = (100, 250, 1000)
FEW_CLUSTERS = (10, 15, 20, 29)


class Design(NamedTuple):
    """How clustered answers come about."""

    n_clusters: int
    accuracy: float
    sizes: str
    correlation: float
    """Of two answers in a cluster; for `probit` of what lies behind them."""
    model: str
    """`beta`: each cluster has its own accuracy, from a Beta distribution. `probit`: normal
    difficulty, common to a cluster in part. `alike`: a share of the clusters is right or wrong as
    a whole, the others answer independently."""


def designs(
    clusters: Iterable[int], sizes: Iterable[str], accuracies: Iterable[float] = ACCURACIES
) -> Iterator[Design]:
    for n, accuracy, size in itertools.product(clusters, accuracies, sizes):
        for correlation, model in itertools.product(CORRELATIONS, MODELS):
            if (correlation == 0 and model != MODELS[0]) or (size == "1" and correlation > 0):
                continue  # the same as another one
            yield Design(n, accuracy, size, correlation, model)


def right_answers(size: int, design: Design) -> Floats:
    """Return the probability of 0 to `size` right answers in a cluster."""
    right = np.arange(size + 1.0)
    p, rho = design.accuracy, design.correlation
    if rho == 0:
        return binomial(right, size, p)
    if design.model == "alike":
        mixed = (1 - rho) * binomial(right, size, p)
        mixed[0] += rho * (1 - p)
        mixed[-1] += rho * p
        return mixed
    if design.model == "beta":
        a, b = p * (1 / rho - 1), (1 - p) * (1 / rho - 1)
        ways = gammaln(size + 1) - gammaln(right + 1) - gammaln(size - right + 1)
        return np.asarray(np.exp(ways + betaln(right + a, size - right + b) - betaln(a, b)))
    points, weights = hermegauss(80)
    shares = ndtr((ndtri(p) + np.sqrt(rho) * points) / np.sqrt(1 - rho))
    return np.asarray(binomial(right[:, None], size, shares) @ (weights / weights.sum()))


def binomial(right: Floats, size: int, share: Floats | float) -> Floats:
    below = np.where(right > 0, bdtr(np.maximum(right - 1, 0), size, share), 0)
    return np.asarray(bdtr(right, size, share) - below)


def draw(design: Design, n_draws: int, rng: np.random.Generator) -> Clusters:
    """Draw data sets: `counts` is (n_draws, kinds)."""
    parts = (SIZES | STRESS)[design.sizes]
    sums = np.concatenate([np.arange(size + 1.0) for size in parts])
    sizes = np.concatenate([np.full(size + 1, float(size)) for size in parts])
    chances = np.concatenate([share * right_answers(size, design) for size, share in parts.items()])
    counts = rng.multinomial(design.n_clusters, chances / chances.sum(), n_draws)
    return Clusters(sums, sums, sizes, counts.astype(np.float64))


def coverage(design: Design, n_draws: int, rng: np.random.Generator) -> float:
    """Return the share of data sets whose interval holds the true accuracy."""
    low, high = mean_bounds(moments(draw(design, n_draws, rng)), (1 - CONFIDENCE) / 2)
    return float(((low <= design.accuracy) & (design.accuracy <= high)).mean())


def study(
    clusters: Sequence[int],
    sizes: Iterable[str],
    n_draws: int,
    seed: int = 0,
    accuracies: Iterable[float] = ACCURACIES,
) -> dict[Design, float]:
    rng = np.random.default_rng(seed)
    return {each: coverage(each, n_draws, rng) for each in designs(clusters, sizes, accuracies)}


COMPARED_CLUSTERS = (30, 100, 300)
DISCORDANCES = (0.02, 0.1, 0.3)


class Compared(NamedTuple):
    """How paired comparisons of runs end whose difference is known."""

    alarms: float
    """Share of one-sided p-values below 5 % that the new run is worse."""
    covered: float
    """Share of 95 % intervals that hold the difference."""


def comparisons(n_clusters: int, gain: float, loss: float, n_draws: int, seed: int = 0) -> Compared:
    """Compare runs of which a share of answers is gained and another lost; clusters of 1 to 5.

    Half of the clusters change as a whole, in the others each sample changes by itself.
    """
    rng = np.random.default_rng(seed)
    chances = (gain, loss, 1 - gain - loss)
    n_alarms = n_covered = 0
    for _ in range(n_draws):
        labels = np.repeat(np.arange(n_clusters), rng.integers(1, 6, n_clusters))
        own = rng.choice((1, -1, 0), len(labels), p=chances)
        common = rng.choice((1, -1, 0), n_clusters, p=chances)[labels]
        change = np.where(rng.random(n_clusters)[labels] < 0.5, common, own)
        base, new = (change < 0).astype(float), (change > 0).astype(float)
        found = paired(base.tolist(), new.tolist(), labels.tolist())
        low, high = found.bounds()
        n_alarms += found.p_below() < 1 - CONFIDENCE
        n_covered += low <= gain - loss <= high
    return Compared(n_alarms / n_draws, n_covered / n_draws)


def comparison_table(n_draws: int, seed: int) -> Iterator[str]:
    yield "| clusters | answers that change | false alarms | covers no drop | covers a drop |"
    yield "| --- | --- | --- | --- | --- |"
    for n_clusters, changed in itertools.product(COMPARED_CLUSTERS, DISCORDANCES):
        none = comparisons(n_clusters, changed / 2, changed / 2, n_draws, seed)
        drop = comparisons(n_clusters, changed / 4, changed * 3 / 4, n_draws, seed)
        shares = (none.alarms, none.covered, drop.covered)
        cells = " | ".join(f"{100 * share:.1f} %" for share in shares)
        yield f"| {n_clusters} | {changed:.0%} | {cells} |"


def table(title: str, found: dict[Design, float]) -> Iterator[str]:
    yield f"| {title} | designs | mean | lowest | at the lowest |"
    yield "| --- | --- | --- | --- | --- |"
    rows: dict[str, dict[Design, float]] = defaultdict(dict)
    for design, value in found.items():
        near = design.accuracy in NEAR
        rows["accuracy 2, 5, 95, 98 %" if near else "accuracy 10 to 90 %"][design] = value
    for label, values in rows.items():
        worst = min(values, key=values.__getitem__)
        where = (
            f"{worst.n_clusters} clusters of {worst.sizes}, accuracy {worst.accuracy:.0%}, "
            f"{worst.model} {worst.correlation:g}"
        )
        mean = sum(values.values()) / len(values)
        yield (
            f"| {label} | {len(values):,} | {100 * mean:.1f} % | "
            f"{100 * values[worst]:.1f} % | {where} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=10_000, help="data sets a design")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    for title, clusters, sizes in (
        ("100 to 1000 clusters", CLUSTERS, SIZES),
        ("50 clusters", (50,), SIZES),
        ("10 to 29 clusters", FEW_CLUSTERS, SIZES),
        ("beyond: sizes 25, and 1 to 30", CLUSTERS, STRESS),
    ):
        lines = table(title, study(clusters, sizes, given.draws, given.seed))
        sys.stdout.writelines(f"{line}\n" for line in (*lines, ""))
        sys.stdout.flush()
    sys.stdout.writelines(f"{line}\n" for line in comparison_table(given.draws, given.seed))


if __name__ == "__main__":
    main()
