"""`vipbench run --workers --shard` and `vipbench merge`: what is typed, what is printed."""

from pathlib import Path

import pytest

from tests.cli.conftest import Vipbench
from tests.runs import make_task
from vipbench.runfolder import folder as store


def command(*more: str) -> list[str]:
    make_task(Path("tasks"))
    runner = ("--runner", "tests.runs:Brightness", "--batch-size", "4")
    return ["run", "--tasks", "own", "--include", "tasks", *runner, *more]


def test_an_array_of_jobs_and_their_merge(
    vipbench: Vipbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert vipbench(*command("-o", "whole")).code == 0
    for task in (1, 2):
        monkeypatch.setenv("SLURM_ARRAY_TASK_ID", str(task))
        monkeypatch.setenv("SLURM_ARRAY_TASK_COUNT", "2")
        monkeypatch.setenv("SLURM_ARRAY_TASK_MIN", "1")
        ran = vipbench(*command("--shard", "auto", "-o", "out"))
        assert (ran.code, ran.out) == (0, f"out/shard-{task}-of-2\n")
    ran = vipbench("merge", "out/shard-1-of-2", "out/shard-2-of-2", "-o", "out")
    assert ran.code == 0
    assert "out  (`vipbench show out ID` prints one sample)" in ran.out
    for name in (store.SCORES, store.SUMMARY):
        assert (Path("out") / name).read_bytes() == (Path("whole") / name).read_bytes()


def test_two_workers_by_hand(vipbench: Vipbench) -> None:
    assert vipbench(*command("-o", "one")).code == 0
    assert vipbench(*command("--workers", "2", "-o", "two")).code == 0
    for name in (store.SCORES, store.SUMMARY):
        assert (Path("one") / name).read_bytes() == (Path("two") / name).read_bytes()


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["--shard", "3/2"], "error: --shard 3/2: there is no such shard"),
        (["--shard", "x"], "error: --shard 'x': expected i/n"),
        (["--shard", "auto"], "error: --shard auto: neither"),
        (["--runner", "constant", "--workers", "2"], "error: --workers 2: runner constant"),
    ],
    ids=str,
)
def test_mistakes_are_one_line(
    vipbench: Vipbench, monkeypatch: pytest.MonkeyPatch, arguments: list[str], fault: str
) -> None:
    for name in ("SLURM_ARRAY_TASK_ID", "RANK"):
        monkeypatch.delenv(name, raising=False)
    ran = vipbench(*command(*arguments))
    assert ran.code == 2
    assert ran.err.startswith(fault)
    assert ran.err.count("\n") == 1


def test_mistakes_in_merging_are_one_line(vipbench: Vipbench) -> None:
    assert vipbench(*command("--shard", "1/2", "-o", "out")).code == 0
    assert vipbench(*command("--shard", "2/2", "--seed", "1", "-o", "other")).code == 0
    for folders, fault in (
        (["nowhere"], "nowhere: no such folder"),
        (["out/shard-1-of-2"], "2 of 5 batches have no answers (1, 3): shard 2/2 is not given"),
        (["out/shard-1-of-2", "other/shard-2-of-2"], "is a shard of another run"),
    ):
        ran = vipbench("merge", *folders, "-o", "merged")
        assert ran.code == 2
        assert fault in ran.err
        assert ran.err.count("\n") == 1
        assert not Path("merged").exists()
