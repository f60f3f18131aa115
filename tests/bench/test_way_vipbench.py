"""The runner and the loop of a run, in worker processes."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.bench.conftest import make_job
from vipbench.bench.mix import MIX_TASKS, MIXES, whole_images
from vipbench.bench.way import part
from vipbench.bench.way_vipbench import Vipbench
from vipbench.bench.ways import measure
from vipbench.demo.embedded import benchmark
from vipbench.run.share import plan_trials
from vipbench.runfolder.plan import BatchLimit
from vipbench.runfolder.sharing import Readings
from vipbench.runfolder.trials_file import write_trials
from vipbench.trials.make import make_trials
from vipbench.trials.selection import select


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


@pytest.mark.usefixtures("threads")
def test_unshared_requests_are_planned_as_in_a_run(tmp_path: Path) -> None:
    chosen = select(
        suite="demo", tasks=MIX_TASKS, styles=",".join(MIXES["sweep"]), data=benchmark()
    )
    trials, _ = make_trials(chosen, tuple, seed=0, limit=20)
    written = write_trials(tmp_path / "requests.jsonl", whole_images(trials, 120))
    job = make_job(tmp_path / "other", random="tiny", way="unshared")
    way = Vipbench(job.model_copy(update={"requests": written.path}))
    way._budget = 8 * max(entry.length for entry in way._counted.entries)
    planned = way._plan(way._counted)
    assert planned == plan_trials(way._counted, BatchLimit(tokens=way._budget))
    styles = [{way._counted[i].style for i in batch} for batch in planned]
    assert all(len(found) > 1 for found in styles)  # of a sample together
    twice = part(way._counted, [*range(120)] * 2)
    names = [twice.entries[i].name for batch in way._plan(twice) for i in batch]
    assert len(names) == 240
    n_together = sum(names[i] == names[i + 1] for i in range(239))
    assert n_together == 0


def start_one(way: Vipbench, start: Callable[[Vipbench, int], Any], n: int) -> Any:
    """Start one process of several; more answer alike, and take longer to start."""
    assert n == 2
    return start(way, 1)
