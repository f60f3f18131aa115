"""Runs that were stopped early against others: bounds where there are valid ones, else why not."""

from pathlib import Path

import pytest

from tests.sequential.made import known, make_known, share_of
from vipbench.analysis.sequences import compare_stopped, table
from vipbench.console import QUIET
from vipbench.errors import RunError
from vipbench.run.loop import run
from vipbench.sequential.race import course_of, race

WRONG = "demo=0.1,rectangle:red=0.6"


def raced(folder: Path, name: str, **fields: object) -> Path:
    settings = known(folder, WRONG, styles="demo;rectangle:red", out=folder / name, **fields)
    return race([settings], course_of(settings), 0.05, QUIET).results[0].path


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_known(tmp_path_factory.mktemp("known"))


@pytest.fixture(scope="module")
def stopped(task: Path) -> Path:
    return raced(task, "stopped")


def test_styles_of_one_run_have_bounds(stopped: Path) -> None:
    ids = [f"q{number}" for number in range(240)]
    wrong = [
        sum(share_of(style, id_) < share for id_ in ids)
        for style, share in (("demo", 0.1), ("rectangle:red", 0.6))
    ]
    [row] = compare_stopped([f"{stopped}@demo", f"{stopped}@rectangle:red"])
    assert row.n < row.n_all == 240
    assert row.n % 20 == 0
    assert row.lower <= (wrong[0] - wrong[1]) / 240 <= row.upper
    assert row.difference == pytest.approx(row.accuracy_new - row.accuracy_base)
    assert table([row]).rows[0][1] == f"{row.n} of 240"


def test_a_whole_run_may_be_the_base(task: Path, stopped: Path) -> None:
    whole = run(known(task, "demo=0.1", out=task / "whole", blocks=None)).path
    [row] = compare_stopped([str(whole), f"{stopped}@rectangle:red"])
    assert row.lower < row.difference < row.upper < 0.1
    # The order is that of the run that was stopped, whichever is named first.
    [other] = compare_stopped([f"{stopped}@rectangle:red", str(whole)])
    assert (other.n, other.difference) == (row.n, -row.difference)


def test_runs_that_were_asked_in_two_orders_have_none(task: Path, stopped: Path) -> None:
    other = raced(task, "other", seed=1)
    with pytest.raises(RunError, match="were stopped early, and asked known in two orders"):
        compare_stopped([str(stopped), str(other)])
