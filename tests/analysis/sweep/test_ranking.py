"""The order of several models: counts that are known by construction, and scipy's tau."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from scipy import stats as scipy_stats

from tests.analysis.sweep.made import make, two
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
    assert sweep(runs) == sweep(runs)


def test_only_styles_and_samples_that_all_have_count(tmp_path: Path) -> None:
    a = make(tmp_path / "a", "A", {"official_rectangles": [1, 1, None, 0], "arrow:red": [1] * 4})
    b = make(tmp_path / "b", "B", {"official_rectangles": [0, None, 1, 0], "point:red": [1] * 4})
    [row] = sweep([a, b]).orders
    assert (row.n_styles, row.n_first) == (1, 1)
