"""Intervals of means against other implementations, and on data of known truth."""

import itertools
import math
import random

import numpy as np
import pytest
from scipy import stats as reference
from statsmodels.stats.proportion import proportion_confint

from tests.coverage_study import NEAR, coverage, designs, draw, study
from tests.stats.made import clustered_error, made_up
from vipbench.stats.intervals import (
    Clusters,
    bootstrap_mean,
    clustered_mean,
    group,
    mean_bounds,
    moments,
    share_bound,
)

# --- one mean


@pytest.mark.parametrize("right", [0, 1, 5, 17, 24, 25])
def test_independent_samples_lie_between_clopper_pearson_and_jeffreys(right: int) -> None:
    got = clustered_mean([1.0] * right + [0.0] * (25 - right), range(25))
    outer = proportion_confint(right, 25, method="beta")
    inner = proportion_confint(right, 25, method="jeffreys")
    assert outer[0] - 1e-9 <= got.ci_low <= max(inner[0], outer[0]) + 1e-9
    assert min(inner[1], outer[1]) - 1e-9 <= got.ci_high <= outer[1] + 1e-9
    assert (got.n, got.n_clusters, got.reliable) == (25, 25, True)
    assert got.n_effective == pytest.approx(25)


def test_of_no_wrong_answer_the_interval_is_clopper_pearsons() -> None:
    got = clustered_mean([1.0] * 40, range(40))
    assert (got.ci_low, got.ci_high) == pytest.approx(proportion_confint(40, 40, method="beta"))


def test_many_independent_samples_have_jeffreys_interval() -> None:
    got = clustered_mean([1.0] * 6000 + [0.0] * 4000, range(10_000))
    jeffreys = proportion_confint(6000, 10_000, method="jeffreys")
    assert (got.ci_low, got.ci_high) == pytest.approx(jeffreys, abs=2e-6)
    assert got.stderr == pytest.approx(math.sqrt(0.24 / 9999))


@pytest.mark.parametrize("seed", range(5))
def test_the_standard_error_is_that_of_clustered_least_squares(seed: int) -> None:
    values, clusters = made_up(seed, 30)
    if seed % 2:
        values = [(value + 0.1 * (place % 4)) / 1.3 for place, value in enumerate(values)]
    assert clustered_mean(values, clusters).stderr == pytest.approx(
        clustered_error(values, clusters)
    )


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


def test_one_sample_doubled_tells_no_more_than_once() -> None:
    rng = random.Random(1)
    values = [float(rng.random() < 0.6) for _ in range(100)]
    once = clustered_mean(values, range(100))
    twice = clustered_mean(values * 2, [*range(100), *range(100)])
    assert twice.stderr == pytest.approx(once.stderr)
    assert once.ci_low - 0.003 < twice.ci_low <= once.ci_low
    assert once.ci_high <= twice.ci_high < once.ci_high + 0.003


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
    assert got.n_effective == pytest.approx(n_clusters)
    assert got.ci_high - got.ci_low > 0.9 / (n_clusters + 2)
    if value in (0.0, 1.0):
        exact = proportion_confint(int(value * n_clusters), n_clusters, method="beta")
        assert (got.ci_low, got.ci_high) == pytest.approx(exact)


def test_the_first_wrong_answer_does_not_make_the_mean_better_known() -> None:
    clusters = [i // 10 for i in range(1000)]
    none = clustered_mean([1.0] * 1000, clusters)
    one = clustered_mean([0.0] + [1.0] * 999, clusters)
    assert one.ci_low < none.ci_low


@pytest.mark.parametrize("size", [2, 3])
def test_clusters_that_are_all_alike_have_an_interval(size: int) -> None:
    values = ([1.0] + [0.0] * (size - 1)) * 40
    got = clustered_mean(values, [i // size for i in range(len(values))])
    assert got.stderr == pytest.approx(0, abs=1e-9)
    single = clustered_mean(values, range(len(values)))
    assert (got.ci_low, got.ci_high) == pytest.approx((single.ci_low, single.ci_high), abs=0.01)


def test_no_arrangement_of_a_few_answers_leaves_the_interval_undefined() -> None:
    for values in itertools.product([0.0, 1 / 3, 1.0], repeat=4):
        for clusters in itertools.product(range(3), repeat=4):
            got = clustered_mean(values, clusters)
            assert 0 <= got.ci_low <= got.mean <= got.ci_high <= 1
            assert got.n_effective > 0


def test_one_cluster_has_no_standard_error() -> None:
    got = clustered_mean([1.0, 0.0, 1.0], ["image"] * 3)
    assert got.stderr is None
    assert got.ci_high - got.ci_low > 0.7


@pytest.mark.parametrize(("n_clusters", "reliable"), [(1, False), (9, False), (10, True)])
def test_under_ten_clusters_the_interval_is_marked(n_clusters: int, reliable: bool) -> None:
    values = [float(i % 3 == 0) for i in range(60)]
    assert clustered_mean(values, [i % n_clusters for i in range(60)]).reliable is reliable


def test_unequal_clusters_count_as_fewer() -> None:
    equal = clustered_mean([1.0] * 100, [i % 20 for i in range(100)])
    unequal = clustered_mean([1.0] * 100, [min(i, 19) for i in range(100)])
    assert equal.n_clusters == unequal.n_clusters == 20
    assert unequal.n_effective == pytest.approx(100**2 / (19 + 81**2))
    assert unequal.ci_low < equal.ci_low - 0.2


def test_partial_credit_has_a_narrower_interval_than_right_and_wrong() -> None:
    partial = clustered_mean([0.4, 0.6] * 10, range(20))
    whole = clustered_mean([0.0, 1.0] * 10, range(20))
    assert partial.ci_low > whole.ci_low
    assert partial.ci_high < whole.ci_high


def test_one_partial_credit_among_equal_ones_says_little_about_their_spread() -> None:
    one = clustered_mean([0.5] * 99 + [0.6], range(100))
    assert one.ci_high - one.ci_low > 0.03


def test_the_order_of_the_samples_does_not_matter() -> None:
    rng = random.Random(3)
    values = [rng.random() for _ in range(50)]
    clusters = [rng.randrange(9) for _ in range(50)]
    order = rng.sample(range(50), 50)
    shuffled = clustered_mean([values[i] for i in order], [clusters[i] for i in order])
    assert shuffled == pytest.approx(clustered_mean(values, clusters))


def test_right_and_wrong_exchanged_mirror_the_interval() -> None:
    values, clusters = made_up(8, 25, share=0.8)
    one = clustered_mean(values, clusters)
    other = clustered_mean([1 - value for value in values], clusters)
    assert (other.ci_low, other.ci_high) == pytest.approx((1 - one.ci_high, 1 - one.ci_low))


@pytest.mark.parametrize(
    ("values", "clusters"), [([], []), ([1.5], ["a"]), ([math.nan], ["a"]), ([1.0], ["a", "b"])]
)
def test_what_is_no_list_of_scores_is_refused(values: list[float], clusters: list[str]) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        clustered_mean(values, clusters)


# --- coverage: what tests/coverage_study.py measures in full

DRAWS = 2000
NOISE = 4 * math.sqrt(0.95 * 0.05 / DRAWS)
"""Four standard errors of a coverage from so many draws."""


def test_kinds_of_clusters_give_what_single_clusters_give() -> None:
    rng = np.random.default_rng(5)
    design = next(each for each in designs([40], ["geometric"]) if each.correlation == 0.3)
    kinds = draw(design, 1, rng)
    values: list[float] = []
    clusters: list[int] = []
    for right, size, count in zip(kinds.sums, kinds.sizes, kinds.counts[0], strict=True):
        for _ in range(int(count)):
            values += [1.0] * int(right) + [0.0] * int(size - right)
            clusters += [len(set(clusters))] * int(size)
    low, high = mean_bounds(moments(kinds), 0.025)
    got = clustered_mean(values, clusters)
    assert (got.ci_low, got.ci_high) == pytest.approx((low[0], high[0]))
    assert got.n_clusters == 40


def test_the_interval_covers_with_a_hundred_clusters() -> None:
    found = study([100], ["1", "2", "5", "1 to 10"], DRAWS, 11, (0.02, 0.1, 0.5, 0.7, 0.95))
    assert min(found.values()) > 0.935 - NOISE
    middle = [value for design, value in found.items() if design.accuracy not in NEAR]
    assert 0.945 < sum(middle) / len(middle) < 0.965
    near = [value for design, value in found.items() if design.accuracy in NEAR]
    assert min(near) > 0.94 - NOISE


def test_the_interval_covers_with_few_clusters() -> None:
    found = study([10, 29], ["1", "5", "geometric"], DRAWS, 12, (0.02, 0.2, 0.5))
    assert min(found.values()) > 0.94 - NOISE


def test_the_interval_of_partial_credits_covers() -> None:
    rng = np.random.default_rng(13)
    for a, b in ((8, 2), (1, 1), (0.5, 4)):  # of a Beta distribution, common to half of a cluster
        hits = 0
        for _ in range(400):
            own, common = rng.beta(a, b, (100, 4)), rng.beta(a, b, (100, 1))
            values = np.where(rng.random((100, 4)) < 0.5, own, common)
            got = clustered_mean(values.ravel().tolist(), np.repeat(np.arange(100), 4).tolist())
            hits += got.ci_low <= a / (a + b) <= got.ci_high
        assert hits / 400 > 0.95 - 4 * math.sqrt(0.95 * 0.05 / 400)


def test_the_study_sees_an_interval_that_does_not_cover() -> None:
    design = next(each for each in designs([100], ["10"]) if each.correlation == 0.8)
    rng = np.random.default_rng(1)
    kinds = draw(design, DRAWS, rng)
    single = Clusters(  # as if all samples were independent
        sums=np.array([0.0, 1.0]),
        squares=np.array([0.0, 1.0]),
        sizes=np.array([1.0, 1.0]),
        counts=np.stack(
            [kinds.counts @ (kinds.sizes - kinds.sums), kinds.counts @ kinds.sums], axis=1
        ),
    )
    low, high = mean_bounds(moments(single), 0.025)
    naive = ((low <= design.accuracy) & (design.accuracy <= high)).mean()
    assert naive < 0.7 < 0.94 < coverage(design, DRAWS, rng) + NOISE


# --- bootstrap


def test_the_bootstrap_agrees_with_the_interval() -> None:
    values, clusters = made_up(4, 400)
    got = clustered_mean(values, clusters)
    low, high = bootstrap_mean(values, clusters, key="test")
    assert low == pytest.approx(got.ci_low, abs=0.006)
    assert high == pytest.approx(got.ci_high, abs=0.006)


def test_the_bootstrap_agrees_with_scipys() -> None:
    values, clusters = made_up(6, 60)
    cells = group(np.asarray(values), clusters)
    theirs = reference.bootstrap(
        (cells.sums, cells.sizes),
        lambda sums, sizes, axis: sums.sum(axis) / sizes.sum(axis),
        paired=True,
        method="percentile",
        n_resamples=5000,
        rng=np.random.default_rng(0),
    ).confidence_interval
    ours = bootstrap_mean(values, clusters, key="test")
    assert ours == pytest.approx((theirs.low, theirs.high), abs=0.012)


def test_the_bootstrap_is_fixed_by_its_key() -> None:
    values, clusters = made_up(4, 50)
    first = bootstrap_mean(values, clusters, key="a", n_resamples=500)
    np.random.default_rng().random()
    assert first == bootstrap_mean(values, clusters, key="a", n_resamples=500)
    assert first != bootstrap_mean(values, clusters, key="b", n_resamples=500)


def test_a_key_of_the_bootstrap_draws_the_same_in_every_version() -> None:
    values = [1.0, 0, 1, 1, 0, 1, 0, 1, 1, 1]
    drawn = bootstrap_mean(values, [0, 0, 1, 1, 2, 2, 3, 4, 5, 6], key="pinned", n_resamples=100)
    assert drawn == pytest.approx((0.47083333333333, 0.9))


# --- shares


@pytest.mark.parametrize(("found", "n"), [(0, 200), (4, 200), (12, 40), (199, 200), (7, 7)])
def test_the_bound_of_a_share_is_clopper_and_pearsons(found: int, n: int) -> None:
    expected = proportion_confint(found, n, alpha=0.1, method="beta")[1]
    assert share_bound(found, n, 0.05) == pytest.approx(expected)
