"""Comparisons with the best: Dunnett's tables, one-sided tests, simulations of known truth."""

import itertools

import numpy as np
import pytest

from vipbench.analysis.sweep.mcb import _critical, _draws, _spread, against, against_best
from vipbench.analysis.sweep.scores import Floats
from vipbench.stats.comparisons import paired


def answers(rng: np.random.Generator, truth: list[float], n_images: int, per_image: int) -> Floats:
    """Draw right and wrong answers that depend on the image, and on the question, as usual."""
    n = n_images * per_image
    image = np.repeat(rng.random(n_images) < 0.3, per_image)
    hardness = np.where(image, np.repeat(rng.random(n_images), per_image), rng.random(n))
    own = rng.random((n, len(truth)))
    shared = rng.random((n, len(truth))) < 0.6
    right: Floats = (np.where(shared, hardness[:, None], own) < truth).astype(np.float64)
    return right


def test_pairs_are_those_of_the_paired_comparison() -> None:
    rng = np.random.default_rng(0)
    values = rng.integers(0, 3, (120, 4)) / 2
    values[:, 3] = values[:, 2]  # a pair without a difference
    images = [f"image{n}" for n in rng.integers(0, 30, 120)]
    spread = _spread(values, images)
    for a, b in itertools.permutations(range(4), 2):
        expected = paired(values[:, b].tolist(), values[:, a].tolist(), images)
        found = spread.difference[a, b], spread.centre[a, b], spread.half_width[a, b]
        known = expected.difference, expected.centre, expected.half_width
        assert found == pytest.approx(known, abs=1e-12)
        assert spread.degrees == pytest.approx(expected.degrees)


ONE_SIDED = {2: 1.645, 3: 1.916, 5: 2.160, 10: 2.417}
TWO_SIDED = {2: 1.960, 3: 2.212, 6: 2.511}
"""Dunnett, JASA 50, 1955, and Biometrics 20, 1964, at 95 %: infinite degrees of freedom and
correlation 0.5; by the number of styles, with the one that they are compared with."""


@pytest.mark.parametrize(
    ("n_styles", "two_sided", "expected"),
    [
        *((n_styles, False, expected) for n_styles, expected in ONE_SIDED.items()),
        *((n_styles, True, expected) for n_styles, expected in TWO_SIDED.items()),
    ],
)
def test_critical_values_are_those_of_dunnett(
    n_styles: int, two_sided: bool, expected: float
) -> None:
    # Columns of a Hadamard matrix: right in half of the cases, and nothing goes together.
    bits = (np.arange(16)[:, None] & (1 << np.arange(4)) > 0).astype(int)
    columns = [bits[:, list(which)].sum(1) % 2 for n in (1, 2, 3, 4)
               for which in itertools.combinations(range(4), n)]  # fmt: skip
    values = np.tile(np.array(columns[:n_styles]).T, (500, 1)).astype(np.float64)
    spread = _spread(values, range(len(values)))
    found = _critical(spread, 0, _draws(spread, "t", 50_000), two_sided=two_sided)
    assert found == pytest.approx(expected, abs=0.03)


def test_of_two_styles_it_is_the_one_sided_test() -> None:
    for n_lost, p_below in ((4, False), (7, True)):
        values = np.array([[1.0, 1.0]] * 90 + [[1.0, 0.0]] * n_lost + [[0.0, 0.0]] * 6)
        base, new = values.T.tolist()
        assert (paired(base, new, range(len(base))).p_below() < 0.05) is p_below
        first, second = against_best(values, range(len(values)), key="t")
        assert (first.may_be_best, second.may_be_best) == (True, not p_below)


def test_intervals_say_who_is_behind_and_by_how_much() -> None:
    values = answers(np.random.default_rng(3), [0.9, 0.85, 0.4], 200, 2)
    images = np.repeat(np.arange(200), 2).tolist()
    found = against_best(values, images, key="t")
    means = values.mean(0)
    assert [row.may_be_best for row in found] == [True, False, False]
    assert found[0].difference == pytest.approx(means[0] - means[1])
    assert (found[0].low, found[1].high, found[2].high) == (0, 0, 0)
    for row, mean in zip(found[1:], means[1:], strict=True):
        assert row.low < row.difference == pytest.approx(mean - means[0])
    assert found == against_best(values, images, key="t")
    assert found != against_best(values, images, key="another")


def test_styles_with_the_same_answers_may_all_be_best() -> None:
    found = against_best(np.ones((30, 4)), range(30), key="t")
    assert all(row.may_be_best and row.low < 0 < row.high for row in found)


def test_the_gain_of_the_one_that_looks_best_is_covered() -> None:
    """Eight styles that are worth as much: the best of them seems worth more, by chance."""
    rng, n, covered, naive = np.random.default_rng(6), 150, 0, 0
    for _ in range(150):
        scores = (rng.random((n, 9)) < 0.6).astype(np.float64)
        base, values = scores[:, 0].tolist(), scores[:, 1:]
        best = int(values.mean(0).argmax())
        gain = against(values, base, range(n), key="t", n_draws=2000)[best]
        low, high = paired(base, values[:, best].tolist(), range(n)).bounds()
        covered += gain.low <= 0 <= gain.high
        naive += low <= 0 <= high
    assert covered >= 138  # 95 % are expected, and 138 or fewer of 150 once in 20
    assert naive < covered


@pytest.mark.parametrize("truth", [[0.7] * 6, [0.7, 0.7, 0.65, 0.6, 0.5, 0.4]])
def test_the_true_best_is_rarely_left_out(truth: list[float]) -> None:
    """Of equal styles, the first is left out as often as any other: in 5 % of the cases at most."""
    rng, n_images, kept, far = np.random.default_rng(4), 60, 0, 0
    images = np.repeat(np.arange(n_images), 3).tolist()
    for _ in range(200):
        found = against_best(answers(rng, truth, n_images, 3), images, key="t", n_draws=1000)
        kept += found[0].may_be_best
        far += found[-1].may_be_best
    assert 182 <= kept <= 200  # of 200 at 95 %, less than 182 once in 100
    if truth[-1] < truth[0]:
        assert far == 0
    else:
        assert kept < 200
