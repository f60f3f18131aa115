"""What the tests of workers share: a task of five trials, and how a finished run is looked at."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.runs import make_task, settings
from vipbench import demo
from vipbench.console import Console
from vipbench.run.loop import run
from vipbench.run.score import Results
from vipbench.run.settings import RunSettings
from vipbench.runfolder import trials_file
from vipbench.runfolder.folder import REQUESTS, RESPONSES, SCORES, SUMMARY
from vipbench.runfolder.trials_file import Trials
from vipbench.trials.make import make_trials
from vipbench.trials.selection import select

FATED = "tests.runs:Fated"
PATIENCE = 60
"""Seconds that another process is waited for; far more than it takes."""


def trials(folder: Path) -> Trials:
    """Write the trials of a task of five samples."""
    chosen = select(tasks=["own"], data={}, include=[make_task(folder, n=5)])
    made, _ = make_trials(chosen, list, seed=0)
    return trials_file.write_trials(folder / "run" / REQUESTS, made)


def embedded_settings(out: Path, **fields: object) -> RunSettings:
    """Ask the embedded checkpoint three questions of two tasks each, in batches of two."""
    return RunSettings(
        tasks=("visual7w_pointing", "vip_bench_bbox"),
        data=demo.benchmark(),
        model=str(demo.CHECKPOINT),
        device="cpu",
        limit=3,
        batch_size=2,
        out=out,
    ).model_copy(update=fields)


def run_and_listen(folder: Path, **fields: object) -> tuple[Results, list[str]]:
    """Run the task of a folder; return the messages too."""
    messages: list[str] = []
    return run(settings(folder, **fields), console=Console(messages.append)), messages


def scored(folder: Path) -> dict[str, bytes]:
    """Return the files of a run that have to be the same however it was answered."""
    return {name: (folder / name).read_bytes() for name in (REQUESTS, SCORES, SUMMARY)}


def answers(folder: Path) -> list[str]:
    """Return the answers in an order that does not depend on which worker was first."""
    return sorted((folder / RESPONSES).read_text(encoding="utf-8").splitlines())


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Wait for other processes; fail where that takes too long."""
    for _ in range(PATIENCE * 20):
        if condition():
            return
        time.sleep(0.05)
    pytest.fail(f"{what}: not after {PATIENCE} s")
