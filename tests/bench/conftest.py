"""A bench in this process, and jobs for it: starting processes would take most of the time."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from vipbench.bench.driver import bench
from vipbench.bench.mix import about_one_picture
from vipbench.bench.records import Job
from vipbench.bench.settings import BenchSettings
from vipbench.bench.ways import main
from vipbench.demo.embedded import benchmark
from vipbench.runfolder import trials_file
from vipbench.trials.make import make_trials
from vipbench.trials.selection import select

SMALL = BenchSettings(n=10, n_official=3, n_usual=5, rounds=2, n_tune=4, device="cpu")


def do_here(job: Path, result: Path) -> tuple[int, str]:
    """Do a job in this process, in place of `driver._start`."""
    n_threads = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vipbench.bench.ways._PEAK_SECONDS", 0.1)
        patch.setattr("vipbench.bench.ways._TRIES", 2)
        try:
            return main([str(job), str(result), str(time.time())]), ""
        finally:
            torch.set_num_threads(n_threads)


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Measure the embedded checkpoint on two samples of each task, with one thread."""
    path = tmp_path_factory.mktemp("bench") / "bench.json"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vipbench.bench.driver._start", do_here)
        patch.setattr("os.cpu_count", lambda: 1)
        bench(SMALL, path)
    return path


@pytest.fixture
def threads() -> Iterator[None]:
    """Restore the number of threads, which a measurement in this process changes."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def make_job(
    folder: Path, lengths: Sequence[int] = (2, 2), n_questions: int = 0, **changes: Any
) -> Job:
    """Make a job that asks a question for each length, the most tokens that its answer has.

    With `n_questions` each so many of them are about one picture.
    """
    chosen = select(tasks=["visual7w_pointing"], styles="demo", data=benchmark())
    made, _ = make_trials(chosen, list, seed=0, limit=len(lengths))
    if n_questions:
        made = about_one_picture(made, n_questions)
    trials = []
    for trial, length in zip(made, lengths, strict=True):
        assert trial.request is not None
        request = trial.request.model_copy(update={"max_new_tokens": length})
        trials.append(trial.model_copy(update={"request": request}))
    written = trials_file.write_trials(folder / "requests.jsonl", trials)
    images = chosen.images
    base = Job(name="test", kind="run", requests=written.path, images=images, device="cpu")
    return base.model_copy(update=changes)
