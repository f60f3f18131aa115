"""The runner and the loop of a run, in worker processes."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.bench.conftest import make_job
from vipbench.bench.way_vipbench import Vipbench
from vipbench.bench.ways import measure
from vipbench.runfolder.sharing import Readings


@pytest.mark.usefixtures("threads")
def test_a_process_of_its_own_answers_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make_job(tmp_path, random="tiny")
    here = measure(job, tmp_path)
    (tmp_path / "answers.jsonl").unlink()
    start = functools.partialmethod(start_one, Vipbench._start_workers)
    monkeypatch.setattr(Vipbench, "_start_workers", start)
    there = measure(job.model_copy(update={"workers": 2}), tmp_path)
    assert here.answers == there.answers
    assert here.seconds_waited is not None
    assert there.seconds_waited is None  # it is the other's


@pytest.mark.usefixtures("threads")
def test_what_questions_have_in_common_is_read_once_and_unshared_by_each(tmp_path: Path) -> None:
    job = make_job(tmp_path, (2,) * 12, random="tiny", n_questions=6)
    shared = measure(job, tmp_path)
    (tmp_path / "answers.jsonl").unlink()
    alone = measure(job.model_copy(update={"way": "unshared"}), tmp_path)
    assert shared.answers == alone.answers
    assert alone.readings == Readings()
    asked, read = shared.readings.asked, shared.readings.read
    assert (asked.images, read.images) == (12, 2)
    counted = measure(job.model_copy(update={"kind": "count"}), tmp_path)
    assert counted.n == 12
    assert counted.alone is not None
    assert counted.once is not None
    assert counted.alone.total == asked.operations
    # Beginnings before the picture, which all have in common, are read once for each picture.
    assert counted.once.total <= read.operations < counted.once.total * 1.05
    assert read.operations < asked.operations * 0.6


@pytest.mark.usefixtures("threads")
def test_the_same_question_asked_again_is_another_one(tmp_path: Path) -> None:
    job = make_job(tmp_path, (2,) * 6, random="tiny", n_questions=6, repeat=2)
    assert measure(job, tmp_path).readings == Readings()


def start_one(way: Vipbench, start: Callable[[Vipbench, int], Any], n: int) -> Any:
    """Start one process of several; more answer alike, and take longer to start."""
    assert n == 2
    return start(way, 1)
