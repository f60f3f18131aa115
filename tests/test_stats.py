"""Intervals, comparisons and power against other implementations, and on data of known truth."""

import itertools
import math
import random
from collections.abc import Hashable, Sequence

import numpy as np
import pytest
from scipy import stats as reference
from statsmodels.regression.linear_model import OLS
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from tests.coverage_study import NEAR, comparisons, coverage, designs, draw, study
from vipbench.stats import (
    Clusters,
    Design,
    bootstrap_mean,
    clustered_mean,
    contrast,
    group,
    holm,
    kish,
    mean_bounds,
    moments,
    paired,
    share_bound,
)

Labels = Sequence[Hashable]


def clustered_error(values: Sequence[float], clusters: Labels) -> float:
    """Return the standard error of an intercept by clustered least squares, of statsmodels."""
    names = {label: number for number, label in enumerate(dict.fromkeys(clusters))}
    fitted = OLS(np.asarray(values), np.ones(len(values))).fit(
        cov_type="cluster", cov_kwds={"groups": np.array([names[each] for each in clusters])}
    )
    return float(fitted.bse[0])


def made_up(seed: int, n_clusters: int, share: float = 0.6) -> tuple[list[float], list[int]]:
    """Return right and wrong answers in clusters of 1 to 6, half of which are all of one kind."""
    rng = random.Random(seed)
    values, clusters = [], []
    for cluster in range(n_clusters):
        alike, common = rng.random() < 0.5, rng.random() < share
        for _ in range(rng.randint(1, 6)):
            values.append(float(common if alike else rng.random() < share))
            clusters.append(cluster)
    return values, clusters


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


# --- two runs


def changed(seed: int, n_clusters: int, gain: float, loss: float) -> tuple[list[float], ...]:
    """Return base, new and clusters of 1 to 4 samples; half of the clusters change as a whole."""
    rng = random.Random(seed)
    base, new, clusters = [], [], []
    for cluster in range(n_clusters):
        alike, common = rng.random() < 0.5, rng.random()
        for _ in range(rng.randint(1, 4)):
            chance = common if alike else rng.random()
            before, after = (0, 1) if chance < gain else (1, 0) if chance < gain + loss else (1, 1)
            base.append(float(before))
            new.append(float(after))
            clusters.append(float(cluster))
    return base, new, clusters


def test_a_difference_is_new_minus_base_with_its_flips() -> None:
    got = paired([1, 1, 0, 0, 1], [1, 0, 1, 0, 0], range(5))
    assert got.difference == pytest.approx(-0.2)
    assert (got.n, got.n_clusters, got.n_gained, got.n_lost) == (5, 5, 1, 2)
    assert got.discordance == pytest.approx(0.6)
    assert not got.reliable


@pytest.mark.parametrize("seed", range(4))
def test_the_error_of_a_difference_is_that_of_clustered_least_squares(seed: int) -> None:
    base, new, clusters = changed(seed, 50, 0.1, 0.2)
    got = paired(base, new, clusters)
    differences = [after - before for before, after in zip(base, new, strict=True)]
    assert got.stderr == pytest.approx(clustered_error(differences, clusters))


def test_many_independent_changes_have_the_interval_of_a_t_test() -> None:
    rng = np.random.default_rng(2)
    change = rng.choice([-1.0, 0.0, 1.0], 20_000, p=[0.2, 0.7, 0.1])
    got = paired(
        (change < 0).astype(float).tolist(), (change > 0).astype(float).tolist(), range(20_000)
    )
    theirs = reference.ttest_1samp(change, 0).confidence_interval(0.95)
    assert got.bounds() == pytest.approx((theirs.low, theirs.high), abs=2e-5)


@pytest.mark.parametrize(("gained", "lost"), [(0, 0), (3, 0), (1, 9), (12, 12), (40, 61)])
def test_mcnemars_test_is_that_of_statsmodels(gained: int, lost: int) -> None:
    n = 200
    base = [0.0] * gained + [1.0] * (n - gained)
    new = [1.0] * (n - lost) + [0.0] * lost
    table = [[n - gained - lost, lost], [gained, 0]]
    theirs = mcnemar(table, exact=True).pvalue
    assert paired(base, new, range(n)).p_mcnemar() == pytest.approx(theirs)


def test_the_p_value_and_the_bound_agree() -> None:
    for seed in range(20):
        base, new, clusters = changed(seed, 40, 0.05, 0.12)
        got = paired(base, new, clusters)
        for margin in (0.0, -0.02, -0.1):
            assert (got.p_below(margin) < 0.05) == (got.bounds(0.05)[1] < margin)
        low, high = got.bounds()
        assert (got.p_two_sided() < 0.05) == (not low <= 0 <= high)


def test_exchanged_runs_mirror_the_difference() -> None:
    base, new, clusters = changed(3, 40, 0.05, 0.12)
    one, other = paired(base, new, clusters), paired(new, base, clusters)
    assert other.difference == -one.difference
    assert other.bounds() == pytest.approx(tuple(-bound for bound in reversed(one.bounds())))
    assert other.p_below() == pytest.approx(1 - one.p_below())


def test_where_nothing_changed_the_interval_has_a_width_and_nothing_is_found() -> None:
    got = paired([1.0, 0.0] * 50, [1.0, 0.0] * 50, range(100))
    assert got.difference == 0
    assert got.bounds()[0] < -0.02 < 0.02 < got.bounds()[1]
    assert (got.p_two_sided(), got.p_mcnemar()) == (1, 1)


def test_few_changes_are_no_finding_and_the_fifth_is() -> None:
    def p(n_lost: int) -> float:
        return paired([1.0] * 400, [0.0] * n_lost + [1.0] * (400 - n_lost), range(400)).p_below()

    assert p(3) > p(4) > 0.05 > p(5)


def test_one_cluster_tells_nothing_about_a_difference() -> None:
    got = paired([1.0] * 9, [0.0] * 9, ["image"] * 9)
    assert got.stderr is None
    assert got.bounds() == (-1, 1)
    assert got.p_below() == 0.5


def test_runs_of_different_lengths_cannot_be_paired() -> None:
    with pytest.raises(ValueError, match="3 scores cannot be paired with 2"):
        paired([1, 1, 1], [1, 1], range(3))


def test_the_paired_bootstrap_agrees_with_the_interval() -> None:
    base, new, clusters = changed(5, 500, 0.1, 0.15)
    got = paired(base, new, clusters)
    differences = [after - before for before, after in zip(base, new, strict=True)]
    drawn = bootstrap_mean(differences, clusters, key="test")
    assert drawn == pytest.approx(got.bounds(), abs=0.004)


def test_images_of_unequal_size_leave_few_degrees_of_freedom() -> None:
    # By hand: 8 samples on images of 5, 1, 1 and 1 are as many as 64 / 28 images.
    got = paired([1.0] * 8, [0.0] * 5 + [1.0] * 3, [0, 0, 0, 0, 0, 1, 2, 3])
    assert got.degrees == pytest.approx(64 / 28 - 1)
    # Five answers of one image are lost together: hardly more is known than of one.
    assert got.p_two_sided() == pytest.approx(
        2 * reference.t.sf(-got.centre / got.half_width, 64 / 28 - 1)
    )
    assert got.p_two_sided() > 0.3
    equal = paired([1.0] * 8, [0.0] * 5 + [1.0] * 3, [0, 0, 1, 1, 2, 2, 3, 3])
    assert equal.degrees == 3


def test_the_design_effect_is_what_changing_together_does_to_the_variance() -> None:
    change = ([1.0, 0.0], [0.0, 1.0], [1.0, 1.0])
    base, new = ([pair[side] for pair in change * 20] for side in (0, 1))
    alone = paired(base, new, range(60))
    assert alone.design_effect == pytest.approx(1)
    # Each sample four times, on one image: four times the variance, but for n - 1.
    fourfold = paired(base * 4, new * 4, [*range(60)] * 4)
    assert fourfold.design_effect == pytest.approx(4 * 239 / 236)
    assert paired([1.0] * 9, [1.0] * 9, range(9)).design_effect == 1


@pytest.mark.parametrize("n_clusters", [30, 150])
def test_false_alarms_are_no_more_than_the_level(n_clusters: int) -> None:
    runs = 600
    noise = 4 * math.sqrt(0.05 * 0.95 / runs)
    equal = comparisons(n_clusters, 0.08, 0.08, runs)
    assert 0 < equal.alarms < 0.05 + noise
    assert equal.covered > 0.95 - noise
    worse = comparisons(n_clusters, 0.05, 0.15, runs)
    assert worse.covered > 0.95 - noise
    assert worse.alarms > equal.alarms + 0.2


def test_an_image_with_most_of_the_samples_makes_an_interval_unreliable() -> None:
    uneven = [*range(200), *[200] * 200]
    values = [1.0] * 395 + [0.0] * 5
    estimate = clustered_mean(values, uneven)
    assert (estimate.n_clusters, estimate.reliable) == (201, False)
    assert not paired(values, values[::-1], uneven).reliable
    assert kish([1] * 200 + [200]) == pytest.approx(3.98, abs=0.01)
    for size in (1, 3, 7):
        even = [i // size for i in range(10 * size)]
        assert clustered_mean([1.0] * len(even), even).reliable
        assert paired([1.0] * len(even), [0.0] * len(even), even).reliable


# --- weighted sums


@pytest.mark.parametrize("shift", [0.6, 0.0, -0.3])
def test_a_contrast_of_samples_of_their_own_is_a_t_test(shift: float) -> None:
    values = (np.random.default_rng(8).normal(0, 0.4, 40) + shift).tolist()
    theirs = reference.ttest_1samp(values, 0)
    got = contrast(values, range(40))
    assert got.mean == pytest.approx(np.mean(values))
    assert (got.ci_low, got.ci_high) == pytest.approx(tuple(theirs.confidence_interval(0.95)))
    assert got.p == pytest.approx(theirs.pvalue)


def test_the_error_of_a_contrast_is_that_of_clustered_least_squares() -> None:
    values, clusters = [0.5, -0.25, 1.0, 0.25, 0.75, 0.0], [0, 0, 1, 2, 2, 3]
    got = contrast(values, clusters)
    error, degrees = clustered_error(values, clusters), 36 / 10 - 1  # images of 2, 1, 2 and 1
    assert (got.ci_high - got.mean) / error == pytest.approx(reference.t.ppf(0.975, degrees))
    assert got.p == pytest.approx(2 * reference.t.sf(got.mean / error, degrees))


@pytest.mark.parametrize(("n_clusters", "finding"), [(2, False), (4, False), (5, True), (90, True)])
@pytest.mark.parametrize("value", [1.0, -1.0])
def test_images_that_agree_are_a_finding_where_they_are_for_two_runs(
    value: float, n_clusters: int, *, finding: bool
) -> None:
    got = contrast([value] * n_clusters, range(n_clusters))
    scores = [0.0] * n_clusters, [1.0] * n_clusters
    two = paired(*(scores if value > 0 else scores[::-1]), range(n_clusters))
    assert got.p == pytest.approx(two.p_two_sided())
    reach = reference.t.ppf(0.975, n_clusters - 1) * two.half_width
    assert (got.ci_low, got.ci_high) == pytest.approx((two.centre - reach, two.centre + reach))
    assert got.ci_low <= got.mean <= got.ci_high
    assert (got.p < 0.05, not got.ci_low <= 0 <= got.ci_high) == (finding, finding)


def test_no_change_on_a_few_images_says_little() -> None:
    got = contrast([0.0] * 6, [0, 0, 1, 1, 2, 2], largest=0.5)
    assert (got.mean, got.p) == (0, 1)
    assert got.ci_high == -got.ci_low == pytest.approx(0.5 * 2**0.5 / 5 * 4.302653)
    assert contrast([0.5] * 3, ["a"] * 3) == (0.5, -math.inf, math.inf, 1)
    with pytest.raises(ValueError, match="no values"):
        contrast([], [])


# --- several comparisons, power


def test_holms_correction_is_that_of_statsmodels() -> None:
    rng = random.Random(9)
    for n in (1, 2, 7, 30):
        p_values = [rng.random() ** 3 for _ in range(n)]
        theirs = multipletests(p_values, method="holm")[1]
        assert holm(p_values) == pytest.approx(list(theirs))
    assert holm([]) == []


@pytest.mark.parametrize("discordance", [0.05, 0.15, 0.3])
@pytest.mark.parametrize("drop", [0.02, 0.04])
def test_power_is_as_promised(discordance: float, drop: float) -> None:
    n = Design(0, discordance).samples_for(drop)
    rng = np.random.default_rng(int(1000 * discordance + 100 * drop))
    gain, loss = (discordance - drop) / 2, (discordance + drop) / 2
    runs, found = 500, 0
    for gained, lost, _ in rng.multinomial(n, [gain, loss, 1 - gain - loss], runs):
        base = np.zeros(n)
        new = np.zeros(n)
        base[:lost], new[lost : lost + gained] = 1, 1
        found += paired(base.tolist(), new.tolist(), range(n)).p_below() < 0.05
    assert found / runs == pytest.approx(0.8, abs=4 * math.sqrt(0.8 * 0.2 / runs))


@pytest.mark.parametrize(("alpha", "power"), [(0.05, 0.8), (0.05, 0.6), (0.05, 0.9), (0.01, 0.8)])
@pytest.mark.parametrize("discordance", [0.02, 0.1, 0.4])
@pytest.mark.parametrize("share", [1.0, 0.95, 0.8])
def test_power_is_kept_where_nearly_every_change_is_a_loss(
    alpha: float, power: float, discordance: float, share: float
) -> None:
    drop = discordance * share
    n = Design(0, discordance, 1.0, alpha, power).samples_for(drop)
    gain, loss = (discordance - drop) / 2, (discordance + drop) / 2
    rng = np.random.default_rng(11)
    runs, found = 4000, 0
    draws = rng.multinomial(n, [gain, loss, 1 - gain - loss], runs)
    for (gained, lost, _), times in zip(*np.unique(draws, axis=0, return_counts=True), strict=True):
        base, new = np.zeros(n), np.zeros(n)
        base[:lost], new[lost : lost + gained] = 1, 1
        found += times * (paired(base.tolist(), new.tolist(), range(n)).p_below() < alpha)
    assert found / runs > power - 3 * math.sqrt(power * (1 - power) / runs)
    smallest = Design(n, discordance, 1.0, alpha, power).smallest_drop()
    assert smallest is not None
    assert smallest <= drop * (1 + 1e-9)


def test_power_of_clustered_samples_is_as_promised() -> None:
    # Pairs of questions that change together: the design effect is 2.
    design = Design(0, 0.2, design_effect=2.0)
    n = design.samples_for(0.04)
    rng = np.random.default_rng(7)
    runs, found = 400, 0
    for _ in range(runs):
        change = np.repeat(rng.choice([1, -1, 0], n // 2, p=[0.08, 0.12, 0.8]), 2)
        base, new = (change < 0).astype(float), (change > 0).astype(float)
        got = paired(base.tolist(), new.tolist(), [i // 2 for i in range(len(change))])
        found += got.p_below() < 0.05
    assert found / runs == pytest.approx(0.8, abs=4 * math.sqrt(0.8 * 0.2 / runs))


def test_the_smallest_drop_is_the_inverse_of_the_samples_needed() -> None:
    for n in (100, 1000, 20_000):
        drop = Design(n, 0.15, 1.3).smallest_drop()
        assert drop is not None
        needed = Design(0, 0.15, 1.3).samples_for(drop * (1 + 1e-9))
        assert needed in (n, n - 1)


def test_a_drop_larger_than_the_discordance_changes_as_much_itself() -> None:
    few = Design(60, 0.01).smallest_drop()
    assert few == Design(60, 0.05).smallest_drop()
    # Five lost are a finding; 6.7 of 60 have to be expected for five or more to be likely enough.
    assert few == pytest.approx(6.7 / 60, rel=0.03)
    assert Design(0, 0.05).samples_for(0.1) == Design(0, 0.1).samples_for(0.1)


@pytest.mark.parametrize("n", [0, 1, 2])
def test_next_to_no_samples_find_no_drop(n: int) -> None:
    assert Design(n, 0.05).smallest_drop() is None


@pytest.mark.parametrize("drop", [0, -0.1, 1.1])
def test_no_samples_are_needed_for_what_is_no_drop(drop: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        Design(0, 0.05).samples_for(drop)


@pytest.mark.parametrize(("found", "n"), [(0, 200), (4, 200), (12, 40), (199, 200), (7, 7)])
def test_the_bound_of_a_share_is_clopper_and_pearsons(found: int, n: int) -> None:
    expected = proportion_confint(found, n, alpha=0.1, method="beta")[1]
    assert share_bound(found, n, 0.05) == pytest.approx(expected)
