"""Verdicts on rows from a part of their samples, against what the whole says."""

import math

import numpy as np
import pytest
from scipy.special import ndtr

from tests.sequential_study import ALPHA, Row, blocks, draw, family, gate, shared_gate
from tests.stats.test_sequences import changes
from vipbench.stats.verdicts import Drawn, decide, judge


def whole(gained: int, lost: int, size: int, drop: float) -> str | None:
    values = np.zeros(size)
    values[:gained] = 1
    values[size - lost :] = -1
    return judge([Drawn(values, size, drop)])[0].answer


def test_a_difference_of_just_the_margin_passes() -> None:
    assert whole(0, 2, 100, 0.02) == "passed"
    assert whole(0, 3, 100, 0.02) == "dropped"
    assert whole(1, 2, 100, 0.02) == "passed"
    assert whole(0, 0, 100, 0.02) == "passed"


@pytest.mark.parametrize("drop", [0.1, 0.29, 0.57, 1 / 3, 0.07])
@pytest.mark.parametrize("size", [3, 10, 100, 300])
def test_rounding_does_not_turn_the_answer_of_the_whole(size: int, drop: float) -> None:
    on_it = round(drop * size)
    if abs(on_it - drop * size) < 1e-6:
        assert whole(0, on_it, size, drop) == "passed"
        assert whole(0, min(size, on_it + 1), size, drop) == "dropped"
    values = np.full(size, -drop)  # partial credits
    assert judge([Drawn(values, size, drop)])[0].answer == "passed"
    values[0] -= 1e-6
    assert judge([Drawn(values, size, drop)])[0].answer == "dropped"


def test_rows_are_told_apart_before_all_is_seen() -> None:
    rows = [
        Drawn(changes(1, 4000, 0.02, 0.12)[:800], 4000, 0.02),
        Drawn(changes(2, 4000, 0.05, 0.05)[:2500], 4000, 0.02),
        Drawn(changes(3, 4000, 0.05, 0.06)[:100], 4000, 0.02),
        Drawn([], 4000, 0.02),
    ]
    got = judge(rows)
    assert [each.answer for each in got] == ["dropped", "passed", None, None]
    assert (got[3].p_dropped, got[3].p_passed) == (1, 1)
    assert got[0].p_dropped < 0.001
    assert got[0].p_passed > 0.5


def test_samples_that_cannot_save_a_row_need_not_be_seen() -> None:
    lost = Drawn([-1.0] * 6, 20, 0.2)
    assert judge([lost] * 30)[0].answer is None  # 14 gained would make it pass
    sure = Drawn([-1.0] * 6 + [0.0] * 13, 20, 0.2)
    assert [each.answer for each in judge([sure] * 30)] == ["dropped"] * 30
    assert judge([sure])[0].p_dropped == 0


def test_of_a_row_one_null_is_true() -> None:
    row = Drawn(changes(1, 4000, 0.02, 0.12)[:300], 4000, 0.02)
    alone = judge([row])[0].p_dropped
    assert judge([row, row])[0].p_dropped == pytest.approx(2 * alone)
    assert judge([row] * 5)[0].p_dropped == pytest.approx(8 * alone)
    assert judge([]) == []


def test_decided_rows_leave_more_of_the_level_to_others() -> None:
    open_ = [each.answer for each in decide([0.012, 0.012], [1, 1], 0.05)]
    assert open_ == ["dropped"] * 2
    assert [each.answer for each in decide([0.007] * 4, [1] * 4, 0.05)] == ["dropped"] * 4
    assert [each.answer for each in decide([0.009] * 4, [1] * 4, 0.05)] == [None] * 4
    three = decide([0.001, 0.001, 0.001, 0.02], [1] * 4, 0.05)
    assert [each.answer for each in three] == ["dropped"] * 4
    # Rows that have passed leave nothing to those that drop: their nulls are true.
    passed = decide([1, 1, 1, 0.02], [0.0, 0.0, 0.0, 1], 0.05)
    assert [each.answer for each in passed] == ["passed"] * 3 + [None]


# --- by simulation: what tests/sequential_study.py measures in full

FAMILIES = 150
NOISE = 4 * math.sqrt(ALPHA * (1 - ALPHA) / FAMILIES)


def test_verdicts_contradict_the_whole_as_seldom_as_promised() -> None:
    at, below = Row(150, 0.02, 0.1), Row(150, 0.02, 0.1, more=1)
    assert (at.answer, below.answer) == ("passed", "dropped")
    for rows in ([at], [below], [at, below, below]):
        assert gate(rows, FAMILIES, 1)["wrong"] < ALPHA + NOISE


def test_what_is_clear_is_known_early() -> None:
    found = gate([Row(1500, 0.12, 0.2), Row(1500, 0.1, 0.1)], 40, 2)
    assert found["wrong"] < 0.05
    assert 0.02 < found["asked"] < 0.2
    assert found["asked"] < found["to the last"] < 0.3
    shared = shared_gate(Row(1000, 0.12, 0.2), 3, 20, 3)
    assert shared["asked"] < 0.3


def test_the_study_sees_a_test_that_does_not_hold_at_all_looks() -> None:
    row = Row(300, 0.02, 0.2)
    n = np.array(blocks(row.n))
    wrong = 0
    for drawn in draw(row, FAMILIES, np.random.default_rng(4)):
        mean, squares = np.cumsum(drawn)[n - 1] / n, np.cumsum(drawn**2)[n - 1] / n
        unseen = np.sqrt(np.maximum((squares - mean**2) / n * (1 - n / row.n), 1e-12))
        z = (mean + 0.02) / unseen  # of a fixed number of samples
        evidence = [-np.log(ndtr(sign * z) + 1e-300) for sign in (1, -1)]
        wrong += family([row], [(evidence[0], evidence[1])]).wrong
    assert wrong / FAMILIES > 2 * ALPHA + NOISE
