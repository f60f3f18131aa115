"""Which style is best: standings, samples and the sentence."""

from pathlib import Path

import pytest

from tests.analysis.sweep.made import Values, coins, make
from vipbench.analysis.sweep.best import BestRow, best_rows, best_sentence
from vipbench.analysis.sweep.scores import read_scores


def rows(folder: Path, values: Values, *, same_image: int = 1) -> list[BestRow]:
    [scores] = read_scores(make(folder, "m", values, same_image=same_image))
    return best_rows(scores)


def right(n_right: int, n: int = 100) -> list[float]:
    return [1.0] * n_right + [0.0] * (n - n_right)


VALUES: Values = {
    "official_rectangles": right(78),
    "rectangle:red": right(80),
    "arrow:red": right(50),
    "none": right(40),
}


def test_styles_stand_in_the_order_of_their_accuracy(tmp_path: Path) -> None:
    found = rows(tmp_path, VALUES)
    assert [(row.style, row.standing) for row in found] == [
        ("rectangle:red", "best"),
        ("official_rectangles", "open"),
        ("arrow:red", "behind"),
        ("none", "unmarked"),
    ]
    best, _, far, control = found
    assert best.to_best == pytest.approx(0.02)
    assert far.to_best == pytest.approx(-0.3)
    assert far.to_best_high == 0
    assert best.gain == pytest.approx(0.4)
    assert best.gain_low is not None
    assert best.gain_low > 0.25
    assert (control.to_best, control.gain) == (None, None)
    said = best_sentence(found)
    assert said.startswith(
        "visual7w_pointing, m: rectangle:red is best with 80.0 %; 1 of 2 other styles cannot be "
        "told from it; its mark is worth +40.0 [+2"
    )
    assert said.endswith("] points over none")


def test_a_control_is_never_best(tmp_path: Path) -> None:
    found = rows(tmp_path, {"official_rectangles": right(50), "permuted": right(90)})
    assert [(row.style, row.standing) for row in found] == [
        ("permuted", "unmarked"),
        ("official_rectangles", "only"),
    ]
    assert best_sentence(found) == ""
    alone = rows(tmp_path / "b", {"none": right(50), "blind": right(60)})
    assert {row.standing for row in alone} == {"unmarked"}
    assert best_sentence(alone) == ""


def test_all_are_compared_on_the_samples_of_all(tmp_path: Path) -> None:
    first, second = [1.0, None, 0.0, 1.0] * 10, [1.0, 1.0, None, 0.0] * 10
    control = [None, 1.0, 1.0, 1.0] * 10
    found = rows(tmp_path, {"official_rectangles": first, "rectangle:red": second, "none": control})
    assert {row.style: (row.n, row.accuracy) for row in found} == {
        "official_rectangles": (20, 1.0),
        "rectangle:red": (20, 0.5),
        "none": (10, 1.0),
    }
    assert {row.n_asked for row in found} == {40}


def test_a_style_without_a_score_takes_none_from_the_others(tmp_path: Path) -> None:
    values: Values = {**VALUES, "point:red": [None] * 100}
    assert rows(tmp_path, values) == rows(tmp_path, VALUES)


def test_too_few_images_tell_nothing(tmp_path: Path) -> None:
    values = {"official_rectangles": right(30, 36), "rectangle:red": right(3, 36)}
    found = rows(tmp_path, values, same_image=4)
    assert [row.standing for row in found] == ["best", "untested"]
    assert found[1].to_best_low is None
    assert best_sentence(found).endswith(
        "is best with 83.3 %; 9 images: too few to tell styles apart"
    )


def test_equal_styles_are_best_together(tmp_path: Path) -> None:
    same = coins(1, 0.5)
    found = rows(tmp_path, {"official_rectangles": same, "rectangle:red": same})
    assert {row.standing for row in found} == {"best"}
    assert "official_rectangles and 1 more are best with" in best_sentence(found)
    clear = {"official_rectangles": right(95), "rectangle:red": right(20)}
    said = best_sentence(rows(tmp_path / "b", clear))
    assert said.endswith("is best with 95.0 %; the other style is behind, beyond chance")
