"""What a style does: numbers that are known by construction."""

from pathlib import Path

import pytest

from tests.analysis.sweep.made import make
from vipbench.analysis.sweep.scores import read_scores
from vipbench.analysis.sweep.styles import StyleRow, style_rows


def rows(run: Path) -> list[StyleRow]:
    [scores] = read_scores(run)
    return style_rows(scores)


def test_each_style_is_paired_with_the_headline(tmp_path: Path) -> None:
    base, other = [1.0, 1.0, 1.0, 0.0] * 10, [1.0, 0.0, 1.0, 1.0] * 10
    run = make(tmp_path, "m", {"official_rectangles": base, "rectangle:red": other, "none": base})
    first, second, third = rows(run)
    assert (first.style, first.headline, first.difference, first.p) == (
        "official_rectangles", True, 0.0, 1.0,
    )  # fmt: skip
    assert (second.n, second.n_clusters, second.accuracy) == (40, 20, 0.75)
    assert second.difference == 0
    assert second.difference_low is not None
    assert second.difference_high is not None
    assert second.difference_low < 0 < second.difference_high
    assert (third.kind, third.difference) == ("none", 0)


def test_a_sample_without_a_score_under_either_style_is_left_out(tmp_path: Path) -> None:
    run = make(
        tmp_path,
        "m",
        {"official_rectangles": [1, 1, None, 0, 1], "rectangle:red": [0, None, 1, 0, 1]},
        same_image=1,
    )
    row = rows(run)[1]
    assert row.n == 3
    assert row.accuracy == pytest.approx(1 / 3)
    assert row.difference == pytest.approx(-1 / 3)


def test_a_control_is_never_the_headline(tmp_path: Path) -> None:
    right, wrong = [1.0, 1.0, 1.0, 0.0] * 10, [1.0, 0.0, 0.0, 0.0] * 10
    run = make(tmp_path, "m", {"none": wrong, "official_rectangles": right})
    first, second = rows(run)
    assert (first.style, first.headline, first.difference) == ("official_rectangles", True, 0)
    assert (second.style, second.headline, second.difference) == ("none", False, -0.5)


@pytest.mark.parametrize("names", [["none"], ["blind", "none"], ["wrong"]])
def test_controls_alone_are_compared_with_nothing(tmp_path: Path, names: list[str]) -> None:
    run = make(tmp_path, "m", {name: [1.0, 0.0] * 20 for name in names})
    for row in rows(run):
        assert (row.headline, row.difference, row.difference_low, row.p) == (False,) + (None,) * 3
        assert (row.n, row.accuracy) == (40, 0.5)
