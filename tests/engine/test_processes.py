"""Workers that are processes: the same answers as of one process, whatever befalls them."""

import os
import signal
import subprocess
import sys
from itertools import groupby
from pathlib import Path

import pytest

from tests.engine.made import (
    FATED,
    PATIENCE,
    answers,
    embedded_settings,
    run_and_listen,
    scored,
    wait_until,
)
from tests.models import build_model, build_processor
from tests.runs import FATES, INTERRUPT_AT, make_task, settings
from vipbench.console import Console
from vipbench.errors import RunError, RunInterrupted, RunnerError, TaskError
from vipbench.files import read_lines
from vipbench.run.loop import run
from vipbench.run.score import Results
from vipbench.runfolder.folder import RESPONSES
from vipbench.runfolder.lines import ResponseLine

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def fates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "fates"
    folder.mkdir()
    monkeypatch.setenv(FATES, str(folder))
    return folder


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a run in one process that nothing befell."""
    folder = make_task(tmp_path_factory.mktemp("whole"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(FATES, str(folder))
        return run(settings(folder, runner=FATED)).path


def ask(folder: Path, **fields: object) -> tuple[Results, list[str]]:
    return run_and_listen(folder, **({"runner": FATED, "workers": 2} | fields))


def in_another_process(folder: Path, fates: Path) -> "subprocess.Popen[str]":
    """Give the command for two workers, in a group of processes of its own."""
    arguments = ["run", "--tasks", "own", "--include", folder, "--runner", FATED]
    arguments += ["--workers", "2", "--batch-size", "4", "-o", folder / "run"]
    return subprocess.Popen(
        [sys.executable, "-c", "from vipbench.cli import main; main()", *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | {FATES: str(fates)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def is_alive(pid: int) -> bool:
    done = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return done.stdout.strip() != "" and not done.stdout.startswith("Z")


def stalled(fates: Path) -> list[int]:
    return [int(path.name.removeprefix("pid-")) for path in fates.glob("pid-*")]


# --- the same results


def test_two_workers_with_the_embedded_checkpoint(tmp_path: Path, embedded: Results) -> None:
    messages: list[str] = []
    asked = embedded_settings(tmp_path / "run", workers=2)
    results = run(asked, console=Console(messages.append))
    assert scored(results.path) == scored(embedded.path)
    assert answers(results.path) == answers(embedded.path)
    assert not any("killed" in message for message in messages)
    manifest = results.manifest
    assert (manifest.workers, manifest.n_worker_restarts, manifest.device) == (2, 0, "cpu")
    assert manifest.plan_digest == embedded.manifest.plan_digest
    assert results.n_answered == embedded.n_answered == 6


def test_each_worker_is_a_process_with_one_thread_and_has_a_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    make_task(tmp_path, kind="short_answer")
    results, _ = ask(tmp_path, runner="tests.runs:Surroundings", workers=900, batch_size=10)
    lines = read_lines(results.path / RESPONSES, ResponseLine)
    by_pid = dict(str(line.text).split(" ", 1) for line in lines)
    assert str(os.getpid()) not in by_pid
    # No more workers than batches were started: their numbers are below 2.
    assert set(by_pid.values()) <= {"0 PASSIVE 1", "1 PASSIVE 1"}
    assert len(by_pid) == len(set(by_pid.values()))
    assert results.manifest.n_splits == results.manifest.n_batches == 2
    assert os.environ["OMP_NUM_THREADS"] == "7"
    assert "OMP_WAIT_POLICY" not in os.environ
    assert "VIPBENCH_WORKER" not in os.environ


# --- killed


def test_killed_workers_are_restarted_and_their_batches_are_redone(
    tmp_path: Path, fates: Path, whole: Path
) -> None:
    make_task(tmp_path)
    for fate in ("load.1", "q0.1", "q19.1"):  # the first and the last batch
        (fates / fate).touch()
    results, messages = ask(tmp_path)
    assert list(fates.iterdir()) == []
    assert scored(results.path) == scored(whole)
    assert answers(results.path) == answers(whole)
    assert results.manifest.n_worker_restarts == 2
    assert all("was killed in batch" in message for message in messages)
    assert all(message.endswith("it is restarted") for message in messages)
    assert len(messages) == 2
    assert results.n_answered == 20
    # The lines of a batch stand together, whichever is done first.
    lines = read_lines(results.path / RESPONSES, ResponseLine)
    assert len([batch for batch, _ in groupby(line.batch for line in lines)]) == 5


def test_a_batch_that_kills_each_worker_ends_the_run_and_loses_nothing(
    tmp_path: Path, fates: Path, whole: Path
) -> None:
    make_task(tmp_path)
    for number in range(9):
        (fates / f"q7.{number}").touch()
    with pytest.raises(RunError, match=r"were killed in batch|was killed 3 times in a row") as end:
        ask(tmp_path)
    assert "what is answered is kept · give the same command to resume" in str(end.value)
    assert "\n" not in str(end.value)
    assert len(list(fates.glob("q7.*"))) == 6
    for fate in fates.iterdir():
        fate.unlink()
    n_kept = len(answers(tmp_path / "run"))
    results, (message,) = ask(tmp_path, workers=1)
    assert results.n_answered == 20 - n_kept
    assert f"{n_kept // 4} of 5 batches already answered" in message
    assert scored(results.path) == scored(whole)
    assert results.manifest.n_worker_restarts == 2


def test_when_the_driver_is_killed_no_worker_is_left_and_the_run_resumes(
    tmp_path: Path, fates: Path, whole: Path
) -> None:
    make_task(tmp_path)
    (fates / "stall").touch()
    driver = in_another_process(tmp_path, fates)
    wait_until(lambda: len(stalled(fates)) == 2, "two workers at work")
    workers = stalled(fates)
    driver.kill()
    driver.communicate()
    wait_until(lambda: not any(map(is_alive, workers)), "the end of the workers")
    assert len(answers(tmp_path / "run")) == 8
    (fates / "stall").unlink()
    results, (message,) = ask(tmp_path)
    assert "2 of 5 batches already answered" in message
    assert results.n_answered == 12
    assert scored(results.path) == scored(whole)
    assert answers(results.path) == answers(whole)


def test_ctrl_c_ends_all_and_keeps_what_is_answered(
    tmp_path: Path, fates: Path, whole: Path
) -> None:
    make_task(tmp_path)
    (fates / "stall").touch()
    driver = in_another_process(tmp_path, fates)
    wait_until(lambda: len(stalled(fates)) == 2, "two workers at work")
    os.killpg(driver.pid, signal.SIGINT)
    _, err = driver.communicate(timeout=PATIENCE)
    assert driver.returncode == 130
    assert "Traceback" not in err
    assert "what is answered is kept" in err.splitlines()[-1]
    wait_until(lambda: not any(map(is_alive, stalled(fates))), "the end of the workers")
    assert len(answers(tmp_path / "run")) == 8
    (fates / "stall").unlink()
    assert scored(ask(tmp_path, workers=1)[0].path) == scored(whole)


@pytest.mark.parametrize(
    ("runner", "fault"),
    [
        ("tests.engine.test_batches:Short", "returned 3 responses for a batch of 4"),
        ("tests.engine.test_batches:Patched", "cannot be built"),
    ],
)
def test_what_a_runner_raises_in_a_worker_is_raised_here(
    tmp_path: Path, runner: str, fault: str
) -> None:
    make_task(tmp_path, n=4)  # a batch, and so a worker
    with pytest.raises(RunnerError, match=rf"^runner {runner}: {fault}") as end:
        ask(tmp_path, runner=runner)
    assert "\n" not in str(end.value)
    # What cannot be built fails before the run is begun.
    assert (tmp_path / "run").exists() == fault.startswith("returned")


# --- what cannot be


def test_a_model_in_memory_stays_in_its_process(tmp_path: Path) -> None:
    make_task(tmp_path)
    live = {"runner": "vipllava", "live_model": build_model(), "processor": build_processor()}
    with pytest.raises(RunnerError, match="--workers 2: a model in memory cannot be sent"):
        ask(tmp_path, **live)


def test_a_baseline_needs_no_workers(tmp_path: Path) -> None:
    with pytest.raises(RunnerError, match="--workers 2: runner oracle has no model"):
        ask(make_task(tmp_path), runner="oracle")


def test_a_number_of_workers_is_one_or_more(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match="workers"):
        settings(tmp_path, workers=0)


def test_batches_that_are_split_are_counted_over_all_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_task(tmp_path)
    monkeypatch.setenv(INTERRUPT_AT, "1")
    with pytest.raises(RunInterrupted):
        run(settings(tmp_path, runner="tests.runs:Splitting"))
    monkeypatch.delenv(INTERRUPT_AT)
    results = run(settings(tmp_path, runner="tests.runs:Splitting"))
    assert results.manifest.n_starts == 2
    assert results.manifest.n_splits == results.manifest.n_batches + 1  # one was interrupted
