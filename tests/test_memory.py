"""Memory does not grow with the number of samples, beyond some bytes for each."""

import gc
import json
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.runs import make_joint, settings
from vipbench.reading import read_questions
from vipbench.run.loop import run
from vipbench.run.score import score
from vipbench.runfolder import folder as store
from vipbench.trials.make import make_trials
from vipbench.trials.selection import select

FEW, MANY = 40, 340


@contextmanager
def traced() -> Iterator[None]:
    """Count what Python allocates, which does not depend on the machine."""
    gc.collect()
    tracemalloc.start()
    try:
        yield
    finally:
        tracemalloc.stop()


def bytes_a_sample(peak: Callable[[int], int]) -> float:
    """Return by how much a peak grows with a sample; `peak` takes the number of samples."""
    peak(FEW)  # fills caches
    return (peak(MANY) - peak(FEW)) / (MANY - FEW)


@pytest.fixture
def folders(tmp_path: Path) -> dict[int, Path]:
    """Return folders that hold so many samples of two tasks, and a joint one of both."""
    found = {n: tmp_path / str(n) for n in (FEW, MANY)}
    for n, folder in found.items():
        make_joint(folder, n)
    return found


def test_samples_wait_on_the_disk_until_they_are_asked(
    folders: dict[int, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vipbench.trials.make.KEPT_SAMPLES", 8)

    def peak(n: int) -> int:
        chosen = select(tasks=["first"], styles="demo,shuffled", data={}, include=[folders[n]])
        with traced():
            # While trials are made: what the file was parsed to has gone by then.
            used, _ = make_trials(
                chosen, lambda made: max(tracemalloc.get_traced_memory()[0] for _ in made), seed=0
            )
            return used

    # Measured: 1,510 to 1,552, as hash tables happen to grow; a request that is held takes more.
    assert bytes_a_sample(peak) < 2000


def test_scores_are_written_and_summed_up_one_by_one(folders: dict[int, Path]) -> None:
    for folder in folders.values():
        run(
            settings(
                folder,
                tasks=("both",),
                styles="demo,blind",
                metrics=("stated",),
                runner="constant",
            )
        )

    def peak(n: int) -> int:
        with traced():
            score(folders[n] / "run")
            return tracemalloc.get_traced_memory()[1]

    # Of each sample there are 4 requests and 12 lines of scores.
    assert bytes_a_sample(peak) < 6000
    lines = (folders[MANY] / "run" / store.SCORES).read_text().splitlines()
    assert len(lines) == 12 * MANY


def test_a_file_of_json_lines_is_given_back_without_a_sweep(tmp_path: Path) -> None:
    path = tmp_path / "questions.jsonl"
    path.write_text("".join(json.dumps({"id": f"q{n}"}) + "\n" for n in range(30 * MANY)))
    with traced():
        gc.disable()
        try:
            file = read_questions(path)
            held = tracemalloc.get_traced_memory()[0]
            assert sum(1 for _ in file.records()) == 30 * MANY
            del file
            assert tracemalloc.get_traced_memory()[0] < held / 10
        finally:
            gc.enable()
