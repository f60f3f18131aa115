"""Comparisons of two runs against other implementations, and on data of known truth."""

import math
import random

import numpy as np
import pytest
from scipy import stats as reference
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from tests.coverage_study import comparisons
from tests.stats.made import clustered_error
from vipbench.stats.comparisons import contrast, holm, paired
from vipbench.stats.intervals import bootstrap_mean, clustered_mean, kish

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


# --- several comparisons


def test_holms_correction_is_that_of_statsmodels() -> None:
    rng = random.Random(9)
    for n in (1, 2, 7, 30):
        p_values = [rng.random() ** 3 for _ in range(n)]
        theirs = multipletests(p_values, method="holm")[1]
        assert holm(p_values) == pytest.approx(list(theirs))
    assert holm([]) == []


def test_fewer_nulls_that_can_be_true_need_less_of_an_adjustment() -> None:
    assert holm([0.01, 0.02, 0.03]) == pytest.approx([0.03, 0.04, 0.04])
    assert holm([0.01, 0.02, 0.03], true=2) == pytest.approx([0.02, 0.04, 0.04])
    assert holm([0.03, 0.01], true=1) == pytest.approx([0.03, 0.01])
