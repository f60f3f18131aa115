import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from itertools import groupby
from pathlib import Path

import pytest
import torch

from tests.models import build_model, build_processor
from tests.runs import FATES, INTERRUPT_AT, make_task, settings
from vipbench import demo
from vipbench.console import Console
from vipbench.engine.workers import Workers
from vipbench.errors import RunError, RunInterrupted, RunnerError, TaskError
from vipbench.files import read_lines
from vipbench.run.loop import run
from vipbench.run.score import Results
from vipbench.run.settings import RunSettings
from vipbench.runfolder.folder import REQUESTS, RESPONSES, SCORES, SUMMARY
from vipbench.runfolder.lines import ResponseLine
from vipbench.runners.device import spread
from vipbench.runners.registry import make_runner

ROOT = Path(__file__).parent.parent.parent
FATED = "tests.runs:Fated"
SCORED = (REQUESTS, SCORES, SUMMARY)
PATIENCE = 60
"""Seconds that another process is waited for; far more than it takes."""


def files(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in SCORED}


def answers(folder: Path) -> list[str]:
    """Return the answers in an order that does not depend on who was first."""
    return sorted((folder / RESPONSES).read_text(encoding="utf-8").splitlines())


@pytest.fixture
def fates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "fates"
    folder.mkdir()
    monkeypatch.setenv(FATES, str(folder))
    return folder


@pytest.fixture
def whole(tmp_path: Path, fates: Path) -> Path:
    """Return the folder of a run in one process that nothing befell."""
    return run(settings(make_task(tmp_path), out=tmp_path / "whole", runner=FATED)).path


def said(folder: Path, **fields: object) -> tuple[Results, list[str]]:
    messages: list[str] = []
    given: dict[str, object] = {"runner": FATED, "workers": 2}
    return run(settings(folder, **(given | fields)), console=Console(messages.append)), messages


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


def wait_until(condition: Callable[[], bool], what: str) -> None:
    for _ in range(PATIENCE * 20):
        if condition():
            return
        time.sleep(0.05)
    pytest.fail(f"{what}: not after {PATIENCE} s")


def is_alive(pid: int) -> bool:
    done = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return done.stdout.strip() != "" and not done.stdout.startswith("Z")


def stalled(fates: Path) -> list[int]:
    return [int(path.name.removeprefix("pid-")) for path in fates.glob("pid-*")]


# --- the same results


def test_two_workers_answer_as_one_process_does(tmp_path: Path, whole: Path) -> None:
    results, messages = said(tmp_path)
    assert files(results.path) == files(whole)
    assert answers(results.path) == answers(whole)
    assert messages == []
    assert (results.manifest.workers, results.manifest.n_worker_restarts) == (2, 0)
    assert results.n_answered == 20
    lines = read_lines(results.path / RESPONSES, ResponseLine)
    # The lines of a batch stand together, whichever is done first.
    assert len([batch for batch, _ in groupby(line.batch for line in lines)]) == 5


def test_two_workers_with_the_embedded_checkpoint(tmp_path: Path) -> None:
    results = [
        run(
            RunSettings(
                tasks=("visual7w_pointing", "vip_bench_bbox"),
                data=demo.benchmark(),
                model=str(demo.CHECKPOINT),
                device="cpu",
                limit=10,
                batch_size=4,
                workers=workers,
                out=tmp_path / str(workers),
            )
        )
        for workers in (1, 2)
    ]
    assert files(results[0].path) == files(results[1].path)
    assert results[0].manifest.plan_digest == results[1].manifest.plan_digest
    assert results[1].manifest.device == "cpu"


def test_each_worker_is_a_process_with_one_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    make_task(tmp_path, kind="short_answer")
    results, _ = said(tmp_path, runner="tests.runs:Surroundings")
    lines = read_lines(results.path / RESPONSES, ResponseLine)
    told = {str(line.text).split(" ", 1)[0]: str(line.text).split(" ", 1)[1] for line in lines}
    assert str(os.getpid()) not in told
    assert set(told.values()) <= {"0 PASSIVE 1", "1 PASSIVE 1"}
    assert len(told) == len(set(told.values()))
    assert os.environ["OMP_NUM_THREADS"] == "7"
    assert "OMP_WAIT_POLICY" not in os.environ
    assert "VIPBENCH_WORKER" not in os.environ


def test_no_more_workers_are_started_than_there_are_batches(tmp_path: Path, whole: Path) -> None:
    results, _ = said(tmp_path, workers=900, batch_size=20)
    assert files(results.path) == files(whole)


# --- killed


@pytest.mark.parametrize("id_", ["q0", "q19"])
def test_a_killed_worker_is_started_anew_and_its_batch_is_redone(
    tmp_path: Path, fates: Path, whole: Path, id_: str
) -> None:
    (fates / f"{id_}.1").touch()
    results, messages = said(tmp_path)
    assert files(results.path) == files(whole)
    assert answers(results.path) == answers(whole)
    assert results.manifest.n_worker_restarts == 1
    (message,) = messages
    assert "was killed in batch" in message
    assert message.endswith("it is started anew")
    assert list(fates.glob("q*")) == []


def test_a_worker_that_is_killed_while_it_loads_is_started_anew(
    tmp_path: Path, fates: Path, whole: Path
) -> None:
    (fates / "load.1").touch()
    assert files(said(tmp_path)[0].path) == files(whole)
    assert list(fates.iterdir()) == []


def test_a_model_that_kills_each_process_ends_the_run(tmp_path: Path, fates: Path) -> None:
    make_task(tmp_path)
    for number in range(9):
        (fates / f"load.{number}").touch()
    with pytest.raises(RunError, match="worker 1 was killed 3 times in a row, now while it loaded"):
        said(tmp_path)
    assert not (tmp_path / "run").exists()


def test_a_batch_that_kills_each_worker_ends_the_run_and_loses_nothing(
    tmp_path: Path, fates: Path, whole: Path
) -> None:
    for number in range(9):
        (fates / f"q7.{number}").touch()
    with pytest.raises(RunError, match=r"were killed in batch|was killed 3 times in a row") as end:
        said(tmp_path)
    assert "what is answered is kept: the same command goes on" in str(end.value)
    assert "\n" not in str(end.value)
    assert len(list(fates.glob("q7.*"))) == 6
    for fate in fates.iterdir():
        fate.unlink()
    n_kept = len(answers(tmp_path / "run"))
    results, messages = said(tmp_path)
    assert results.n_answered == 20 - n_kept
    assert messages == [f"{tmp_path / 'run'}: resumes; {n_kept // 4} of 5 batches are answered"]
    assert files(results.path) == files(whole)
    assert results.manifest.n_worker_restarts == 2


def test_when_the_driver_is_killed_no_worker_is_left_and_the_run_goes_on(
    tmp_path: Path, fates: Path, whole: Path
) -> None:
    (fates / "stall").touch()
    driver = in_another_process(tmp_path, fates)
    wait_until(lambda: len(stalled(fates)) == 2, "two workers at work")
    workers = stalled(fates)
    driver.kill()
    driver.communicate()
    wait_until(lambda: not any(map(is_alive, workers)), "the end of the workers")
    assert len(answers(tmp_path / "run")) == 8
    (fates / "stall").unlink()
    results, messages = said(tmp_path)
    assert messages == [f"{tmp_path / 'run'}: resumes; 2 of 5 batches are answered"]
    assert results.n_answered == 12
    assert files(results.path) == files(whole)
    assert answers(results.path) == answers(whole)


def test_ctrl_c_ends_all_and_keeps_what_is_answered(
    tmp_path: Path, fates: Path, whole: Path
) -> None:
    (fates / "stall").touch()
    driver = in_another_process(tmp_path, fates)
    wait_until(lambda: len(stalled(fates)) == 2, "two workers at work")
    os.killpg(driver.pid, signal.SIGINT)
    _, err = driver.communicate(timeout=PATIENCE)
    assert driver.returncode == 130
    assert "Traceback" not in err
    assert err.rstrip().endswith("what is answered is kept: give the same command to resume")
    wait_until(lambda: not any(map(is_alive, stalled(fates))), "the end of the workers")
    assert len(answers(tmp_path / "run")) == 8
    (fates / "stall").unlink()
    assert files(said(tmp_path)[0].path) == files(whole)


def test_what_a_runner_raises_in_a_worker_is_raised_here(tmp_path: Path) -> None:
    make_task(tmp_path)
    with pytest.raises(RunnerError, match=r"runner tests\.test_engine:Short: "):
        said(tmp_path, runner="tests.engine.test_batches:Short")


def test_a_worker_with_other_weights_is_refused(fates: Path) -> None:
    build, said = partial(make_runner, FATED), list[str]()
    with (
        Workers(build, FATED, [None], {}, Console(said.append), weights="0123" * 16) as workers,
        pytest.raises(RunError, match=r"worker 1: loaded weights with sha256 .* is about 012301"),
    ):
        workers.load()
    assert said == []


# --- what cannot be


def test_a_model_in_memory_stays_in_its_process(tmp_path: Path) -> None:
    make_task(tmp_path)
    live = {"runner": "vipllava", "live_model": build_model(), "processor": build_processor()}
    with pytest.raises(RunnerError, match="--workers 2: a model in memory cannot be sent"):
        said(tmp_path, **live)


def test_a_baseline_needs_no_workers(tmp_path: Path) -> None:
    with pytest.raises(RunnerError, match="--workers 2: runner oracle has no model"):
        said(make_task(tmp_path), runner="oracle")


def test_workers_need_a_device_each() -> None:
    assert spread(torch.device("cpu"), 3) == ["cpu"] * 3
    assert spread(torch.device("mps"), 1) == ["mps"]
    with pytest.raises(RunnerError, match="2 workers: are more than the devices"):
        spread(torch.device("mps"), 2)
    with pytest.raises(RunnerError, match="need a device each, and cuda:1 is one; give --device"):
        spread(torch.device("cuda:1"), 2)
    n = torch.cuda.device_count()
    with pytest.raises(RunnerError, match=rf"more than the devices \({n} x cuda\)"):
        spread(torch.device("cuda"), n + 1)


def test_a_number_of_workers_is_one_or_more(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match="workers"):
        settings(tmp_path, workers=0)


@pytest.mark.parametrize("workers", [1, 2])
def test_batches_that_are_split_are_counted_over_all_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    make_task(tmp_path)
    fields: dict[str, object] = {"runner": "tests.runs:Splitting", "workers": workers}
    monkeypatch.setenv(INTERRUPT_AT, "1")
    with pytest.raises(RunInterrupted):
        run(settings(tmp_path, **(fields | {"workers": 1})))
    monkeypatch.delenv(INTERRUPT_AT)
    results = run(settings(tmp_path, **fields))
    assert results.manifest.n_starts == 2
    assert results.manifest.n_splits == results.manifest.n_batches + 1  # one was interrupted
