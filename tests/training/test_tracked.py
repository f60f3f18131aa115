"""Trackers are told the rows of runs, and get one report of all of them."""

from pathlib import Path

import pytest

from tests.runs import settings
from tests.trackers.test_session import Kept  # a fixture
from tests.trackers.test_session import known as known
from vipbench.run.loop import run
from vipbench.training.tracked import Tracked


def test_runs_are_told_against_their_steps_with_one_report(task: Path, tmp_path: Path) -> None:
    said: list[str] = []
    tracked = Tracked(["kept"], said.append)
    for step in (7, None):
        asked = settings(task, out=tmp_path / f"run-{step}", limit=2, step=step)
        tracked.tell(run(asked), tmp_path)
    tracked.end()
    opened, first, second, report, closed = Kept.told
    assert opened[:2] == ("open", tmp_path)
    assert (first[0], second[0]) == (7, 0)
    assert isinstance(first[1], dict)
    [n] = [value for name, value in first[1].items() if name.endswith("/n")]
    assert n == 2
    assert all(name.startswith("vipbench/own/demo/") for name in first[1])
    assert report[1] == f"report-{opened[2]}"
    assert closed == ("closed",)
    assert len(said) == 1
    assert "the training step is not known, and is logged as 0 · --step N" in said[0]


def test_without_trackers_nothing_is_made(task: Path, tmp_path: Path) -> None:
    tracked = Tracked([], lambda text: pytest.fail(text))
    tracked.tell(run(settings(task, out=tmp_path / "run", limit=2)))
    tracked.end()
    assert Kept.told == []
