"""Rows of a sequential gate: which samples they have by each block, and what is compared."""

import pytest

from vipbench.console import Console
from vipbench.errors import RunError
from vipbench.sequential.asking import Arm
from vipbench.sequential.rows import Row, check_margin, large_enough


def row(group: str = "all", n: int = 4, max_drop: float = 0.25) -> Row:
    """Make a row whose second sample failed in the base, and whose third in the new run."""
    base, new = [1.0, None, 1.0, 0.5], [0.0, 1.0, None, 1.0]
    return Row(
        task="known",
        metric="text_match",
        style="demo",
        group=group,
        max_drop=max_drop,
        parts=(Arm("known", "demo"),),
        ids=tuple(map(str, range(n))),
        ends=(3, n),
        base=lambda id_: base[int(id_)],
        new=lambda id_: new[int(id_)],
    )


def test_an_answer_that_failed_in_either_run_is_no_difference() -> None:
    looked = row()
    looked.look(0)
    assert looked.differences == [-1, 0, 0]
    looked.look(1)
    assert looked.differences == [-1, 0, 0, 0.5]
    assert looked.known == [(1, 0), (0.5, 1)]
    assert looked.block == 2


def test_a_kind_of_samples_that_cannot_show_its_margin_is_no_row() -> None:
    said: list[str] = []
    kept = large_enough([row(), row("shape=point"), row("shape=arrow", n=3)], Console(said.append))
    assert [each.label for each in kept] == ["known", "known shape=point"]
    assert [line.partition(":")[0] for line in said] == ["known shape=arrow"]
    with pytest.raises(RunError, match="less than one of 3 samples"):
        large_enough([row(n=3)], Console(said.append))


def test_a_margin_of_one_sample_can_be_shown() -> None:
    check_margin("known", 0.25, 4)
    with pytest.raises(RunError, match=r"known: a drop of 24 points .* 4 samples \(25 points\)"):
        check_margin("known", 0.24, 4)
    with pytest.raises(RunError, match="expected more than 0"):
        check_margin("known", 0, 4)
