import math
import random

import pytest
from scipy import stats as reference

from vipbench.stats import clustered_mean


def test_independent_samples_have_the_ordinary_error_and_wilsons_interval() -> None:
    values = [1.0] * 17 + [0.0] * 8
    got = clustered_mean(values, range(25))
    assert got.mean == 17 / 25
    assert got.stderr == pytest.approx(reference.sem(values))
    wilson = reference.binomtest(17, 25).proportion_ci(method="wilson")
    assert (got.ci_low, got.ci_high) == pytest.approx((wilson.low, wilson.high))
    assert (got.n, got.n_clusters) == (25, 25)


def test_one_sample_doubled_tells_no_more_than_once() -> None:
    rng = random.Random(1)
    values = [float(rng.random() < 0.6) for _ in range(40)]
    once = clustered_mean(values, range(40))
    twice = clustered_mean(values * 2, [*range(40), *range(40)])
    assert twice.stderr == pytest.approx(once.stderr)
    # Twice the sample, with degrees of freedom of the clusters: a hair wider, never narrower.
    assert once.ci_low - 0.005 < twice.ci_low <= once.ci_low
    assert once.ci_high <= twice.ci_high < once.ci_high + 0.005


def test_the_standard_error_is_millers() -> None:
    values = [1.0, 1, 0, 0, 1, 0, 1, 1, 0, 1]
    clusters = ["a", "a", "a", "b", "b", "c", "c", "c", "c", "d"]
    n, n_clusters = len(values), 4
    mean = sum(values) / n
    pairs = sum(
        (values[i] - mean) * (values[j] - mean)
        for i in range(n)
        for j in range(n)
        if clusters[i] == clusters[j]
    )
    expected = math.sqrt(pairs / n**2 * n_clusters / (n_clusters - 1))
    assert clustered_mean(values, clusters).stderr == pytest.approx(expected)


def test_answers_that_go_together_widen_the_interval() -> None:
    values = ([1.0] * 4 + [0.0] * 4) * 5
    apart = clustered_mean(values, range(40))
    together = clustered_mean(values, [i // 4 for i in range(40)])
    assert together.mean == apart.mean
    assert together.ci_low < apart.ci_low - 0.05
    assert together.ci_high > apart.ci_high + 0.05


@pytest.mark.parametrize("n_clusters", [1, 2, 10])
@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_equal_values_leave_an_interval_as_wide_as_the_clusters_are_few(
    value: float, n_clusters: int
) -> None:
    got = clustered_mean([value] * 20, [i % n_clusters for i in range(20)])
    assert 0 <= got.ci_low <= got.mean <= got.ci_high <= 1
    assert got.ci_high - got.ci_low > 0.9 / (n_clusters + 2)
    if value in (0.0, 1.0):
        wilson = reference.binomtest(int(value * n_clusters), n_clusters).proportion_ci(
            method="wilson"
        )
        assert (got.ci_low, got.ci_high) == pytest.approx((wilson.low, wilson.high))


def test_one_cluster_has_no_standard_error() -> None:
    got = clustered_mean([1.0, 0.0, 1.0], ["image"] * 3)
    assert got.stderr is None
    assert got.ci_high - got.ci_low > 0.7


def test_the_interval_covers_what_it_says() -> None:
    rng = random.Random(7)
    share, runs, hits = 0.6, 400, 0
    for _ in range(runs):
        values, clusters = [], []
        for image in range(30):
            # Half of the images have one answer for all of their questions.
            alike = rng.random() < 0.5
            common = float(rng.random() < share)
            for _ in range(4):
                values.append(common if alike else float(rng.random() < share))
                clusters.append(image)
        got = clustered_mean(values, clusters)
        hits += got.ci_low <= share <= got.ci_high
    assert 0.93 <= hits / runs <= 0.98


def test_partial_credit_has_a_narrower_interval_than_right_and_wrong() -> None:
    partial = clustered_mean([0.4, 0.6] * 10, range(20))
    whole = clustered_mean([0.0, 1.0] * 10, range(20))
    assert partial.ci_low > whole.ci_low
    assert partial.ci_high < whole.ci_high


def test_the_order_of_the_samples_does_not_matter() -> None:
    rng = random.Random(3)
    values = [rng.random() for _ in range(50)]
    clusters = [rng.randrange(9) for _ in range(50)]
    order = rng.sample(range(50), 50)
    shuffled = clustered_mean([values[i] for i in order], [clusters[i] for i in order])
    assert shuffled == pytest.approx(clustered_mean(values, clusters))


@pytest.mark.parametrize(
    ("values", "clusters"), [([], []), ([1.5], ["a"]), ([math.nan], ["a"]), ([1.0], ["a", "b"])]
)
def test_what_is_no_list_of_scores_is_refused(values: list[float], clusters: list[str]) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        clustered_mean(values, clusters)
