"""The order of models over styles: scipy's tau-b, flips that are counted by hand, and chance."""

import itertools

import numpy as np
import pytest
from scipy import stats as scipy_stats

from vipbench.analysis.sweep.scores import Floats
from vipbench.analysis.sweep.stability import Flips, flips, stability_row, styles_alike, taus
from vipbench.stats.comparisons import paired

N_DRAWS = 400


def drawn_of(scores: Floats, seed: int = 0) -> Floats:
    """Draw images; scores (models, styles, images)."""
    n = scores.shape[-1]
    counts = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), N_DRAWS)
    drawn: Floats = np.einsum("dn,msn->dms", counts, scores) / n
    return drawn


def flips_of(scores: Floats) -> list[Flips]:
    n_models, n_styles, n = scores.shape
    changes = [
        [paired(scores[b, s].tolist(), scores[a, s].tolist(), range(n)) for s in range(n_styles)]
        for a, b in itertools.combinations(range(n_models), 2)
    ]
    return flips(scores.mean(-1), drawn_of(scores), changes)


def right(*numbers: int, n: int = 60) -> Floats:
    """Return scores (styles, images) of which so many are right."""
    return np.array([[1.0] * number + [0.0] * (n - number) for number in numbers])


def test_tau_b_is_that_of_scipy_with_ties_too() -> None:
    rng = np.random.default_rng(5)
    accuracies = rng.integers(0, 4, (6, 5)) / 4
    accuracies[:, 2] = 0.5
    expected = [
        scipy_stats.kendalltau(accuracies[:, a], accuracies[:, b]).statistic
        for a, b in itertools.combinations(range(5), 2)
    ]
    assert taus(accuracies) == pytest.approx(expected, nan_ok=True)
    assert np.isnan(taus(accuracies)).sum() == 4
    assert taus(np.stack([accuracies, 1 - accuracies]))[1] == pytest.approx(expected, nan_ok=True)


def test_the_mean_and_the_lowest_of_all_pairs_of_styles() -> None:
    scores = np.stack([right(50, 40, 10), right(30, 20, 20), right(10, 30, 30)])
    row = stability_row("t", "xyz", scores.mean(-1), drawn_of(scores), reliable=True)
    pairs = {(pair.first, pair.second): pair.tau for pair in row.pairs}
    assert pairs == {
        ("x", "y"): pytest.approx(1 / 3),
        ("x", "z"): pytest.approx(-1),
        ("y", "z"): pytest.approx(-1 / 3),
    }
    assert (row.n_models, row.n_styles) == (3, 3)
    assert row.mean == pytest.approx(-1 / 3)
    assert row.lowest is not None
    assert (row.lowest.first, row.lowest.second) == ("x", "z")
    assert row.p is not None
    assert row.p < 0.01
    few = stability_row("t", "xyz", scores.mean(-1), drawn_of(scores), reliable=False)
    assert few == row.model_copy(update={"p": None})


def test_an_order_that_never_changes_and_models_that_are_all_tied() -> None:
    scores = np.stack([right(50, 40), right(20, 10)])
    row = stability_row("t", "xy", scores.mean(-1), drawn_of(scores), reliable=True)
    assert (row.mean, row.by_chance, row.p) == (1, 1, 1)
    tied = np.stack([right(20, 10)] * 2)
    row = stability_row("t", "xy", tied.mean(-1), drawn_of(tied), reliable=True)
    assert (row.mean, row.by_chance, row.p, row.lowest) == (None, None, None, None)
    assert [pair.tau for pair in row.pairs] == [None]


def test_flips_are_pairs_of_styles_with_opposite_orders() -> None:
    # Ahead under two styles, behind under three, and tied under one: 2 x 3 of 15 pairs.
    [row] = flips_of(np.stack([right(40, 30, 10, 10, 20, 25), right(20, 10, 30, 50, 40, 25)]))
    assert (row.n, row.n_pairs) == (6, 15)
    assert row.p_moved == pytest.approx(1 / (1 + N_DRAWS))
    assert row.p_reversed is not None
    assert row.p_reversed < 0.001


def test_a_gap_that_moves_need_not_turn_the_order() -> None:
    [row] = flips_of(np.stack([right(50, 50, 29), right(10, 10, 30)]))
    assert row.n == 2
    assert row.by_chance < 0.1
    assert row.p_moved == pytest.approx(1 / (1 + N_DRAWS))
    assert row.p_reversed is not None
    assert row.p_reversed > 0.5


def test_what_is_harder_for_all_moves_no_order() -> None:
    scores = np.stack([right(50, 30, 12), right(45, 25, 7)])
    accuracies, drawn = scores.mean(-1), drawn_of(scores)
    alike = styles_alike(accuracies, drawn)
    assert alike.mean(-1) == pytest.approx(drawn.mean(-1))
    assert alike.mean(0) == pytest.approx(np.tile([[92 / 180], [77 / 180]], 3), abs=0.02)
    [row] = flips_of(scores)
    assert (row.n, row.p_reversed) == (0, 1)
    assert row.p_moved == 1


def test_chance_alone_is_rarely_taken_for_a_finding() -> None:
    rng = np.random.default_rng(2)
    n, found = 50, 0
    for _ in range(100):
        skill = rng.normal(size=(2, 1, n))
        [row] = flips_of((skill + rng.normal(size=(2, 5, n)) / 2 > 0).astype(float))
        assert row.p_moved is not None
        found += row.p_moved < 0.05
    # At most 5 % are expected: more than ten of a hundred once in a hundred.
    assert found <= 10


def test_too_few_images_give_no_p_value() -> None:
    [row] = flips_of(np.stack([right(4, 2, n=9), right(2, 4, n=9)]))
    assert (row.n, row.p_moved, row.p_reversed) == (1, None, None)
