"""Several runs together: what is summed up, and what is left out with a reason."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.analysis.sweep.made import make, two
from vipbench.analysis.sweep.overview import sweep


def test_a_run_counts_once_and_alone_has_no_order(tmp_path: Path) -> None:
    [first, second] = two(tmp_path, [5, 5])
    both = sweep([first, second, first])
    assert [row.model for row in both.styles] == ["A", "A", "B", "B"]
    assert len(both.orders) == 1
    alone = sweep([first, first])
    assert alone.styles == both.styles[:2]
    assert (alone.orders, alone.ranks, alone.notes) == ((), (), ())


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (lambda folder: make(folder, "A", {"official_rectangles": [1, 0]}), "are both of model A"),
        (
            lambda folder: make(folder, "B", {"official_rectangles": [1, 0, 1]}),
            "hold different samples",
        ),
    ],
)
def test_the_order_of_runs_that_cannot_stand_side_by_side_is_not_shown(
    tmp_path: Path, other: Callable[[Path], Path], said: str
) -> None:
    first = make(tmp_path / "a", "A", {"official_rectangles": [1, 0]})
    found = sweep([first, other(tmp_path / "b")])
    assert (found.orders, found.ranks) == ((), ())
    assert found.notes[0].startswith("visual7w_pointing: the order of the models is not shown")
    assert found.notes[0].endswith(said)
