"""The order of several models: counts that are known by construction, and scipy's tau."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from scipy import stats as scipy_stats

from tests.analysis.sweep.made import make, two
from vipbench.analysis.sweep import ranking
from vipbench.analysis.sweep.overview import sweep


def test_who_beats_whom_under_how_many_styles(tmp_path: Path) -> None:
    [row] = sweep(two(tmp_path, [15, 15, -2, 0])).orders
    assert (row.first, row.second, row.n_styles) == ("A", "B", 4)
    assert (row.n_first, row.n_second) == (2, 1)
    assert (row.n_first_clear, row.n_second_clear) == (2, 0)
    assert row.sentence == "A beats B under 2 of 4 styles, loses under 1 and ties under 1"
    # Two styles surely, one surely not, and half of a tie.
    assert row.resampled == pytest.approx((1 + 1 + 0.07 + 0.5) / 4, abs=0.03)
    [turned] = sweep(two(tmp_path / "b", [-5, -5])).orders
    assert turned.sentence == "B beats A under 2 of 2 styles"


def test_ranks_and_kendalls_tau(tmp_path: Path) -> None:
    names = ["official_rectangles", "rectangle:red", "arrow:red"]
    table = {"A": (0.9, 0.8, 0.5), "B": (0.6, 0.7, 0.6), "C": (0.3, 0.75, 0.7)}
    runs = [
        make(
            tmp_path / model,
            model,
            {
                name: [1.0] * round(40 * share) + [0.0] * (40 - round(40 * share))
                for name, share in zip(names, shares, strict=True)
            },
        )
        for model, shares in table.items()
    ]
    rows = sweep(runs).ranks
    columns = np.array(list(table.values())).T
    expected = [
        scipy_stats.kendalltau(columns[a], columns[b]).statistic
        for a, b in itertools.combinations(range(3), 2)
    ]
    assert [row.tau for row in rows] == [pytest.approx(np.mean(expected))] * 3
    assert [row.model for row in rows] == ["A", "B", "C"]
    assert sum(row.mean for row in rows) == pytest.approx(6)
    assert all(row.low <= row.mean <= row.high for row in rows)
    assert [(row.best, row.worst) for row in rows] == [(1, 3), (2, 3), (1, 3)]
    [stability] = sweep(runs).stability
    assert [pair.tau for pair in stability.pairs] == [pytest.approx(tau) for tau in expected]
    flips = {(row.first, row.second): row.flips.n for row in sweep(runs).orders if row.flips}
    assert flips == {("A", "B"): 2, ("A", "C"): 2, ("C", "B"): 2}
    assert sweep(runs) == sweep(runs)


def test_ranks_need_no_pair_of_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = two(tmp_path, [15, 15, -2, 0])
    whole = sweep(runs)
    monkeypatch.delattr(ranking, "paired")
    found = sweep(runs, with_orders=False)
    assert found == whole.model_copy(update={"orders": (), "stability": ()})


def test_only_styles_and_samples_that_all_have_count(tmp_path: Path) -> None:
    a = make(tmp_path / "a", "A", {"official_rectangles": [1, 1, None, 0], "arrow:red": [1] * 4})
    b = make(tmp_path / "b", "B", {"official_rectangles": [0, None, 1, 0], "point:red": [1] * 4})
    [row] = sweep([a, b]).orders
    assert (row.n_styles, row.n_first, row.flips) == (1, 1, None)
    assert sweep([a, b]).stability == ()


def test_one_model_has_no_order(tmp_path: Path) -> None:
    found = sweep([make(tmp_path, "A", {"official_rectangles": [1, 0], "arrow:red": [1, 1]})])
    assert (found.orders, found.ranks, found.stability) == ((), (), ())


def test_p_values_of_flips_are_adjusted_for_the_pairs_of_models(tmp_path: Path) -> None:
    names = ["official_rectangles", "rectangle:red"]
    right = {"A": (35, 5), "B": (5, 35), "C": (20, 20)}
    runs = [
        make(
            tmp_path / model,
            model,
            {name: [1.0] * n + [0.0] * (40 - n) for name, n in zip(names, numbers, strict=True)},
            same_image=1,
        )
        for model, numbers in right.items()
    ]
    of_two = {(row.first, row.second): row.flips for row in sweep(runs[:2]).orders}
    of_three = {(row.first, row.second): row.flips for row in sweep(runs).orders}
    alone, beside = of_two["A", "B"], of_three["A", "B"]
    assert alone is not None
    assert beside is not None
    assert alone.p_moved == pytest.approx(1 / 1001)
    assert beside.p_moved == pytest.approx(3 / 1001)
    assert beside.p_reversed == pytest.approx(3 * (alone.p_reversed or 0))
