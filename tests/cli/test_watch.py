"""`vipbench watch` as a user meets it."""

from pathlib import Path

import pytest

from tests.cli.conftest import Vipbench
from tests.runs import make_task
from tests.training.test_complete import sharded
from vipbench.training import watch as watching


@pytest.fixture
def options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(watching, "SETTLE", 0.01)
    make_task(tmp_path / "task", n=4, styles="[demo]")
    (tmp_path / "out").mkdir()
    runner = ("--runner", "tests.runs:Brightness", "--batch-size", "4")
    return ["watch", "out", "--once", "--tasks", "own", "--include", "task", *runner]


def test_watch_prints_each_run_and_ends(
    vipbench: Vipbench, options: list[str], tmp_path: Path
) -> None:
    sharded(tmp_path / "out" / "checkpoint-5")
    ran = vipbench(*options, "-o", "runs")
    assert ran.code == 0
    assert "runs/checkpoint-5" in ran.out
    assert (tmp_path / "runs" / "checkpoint-5" / "summary.json").exists()
    sharded(tmp_path / "out" / "checkpoint-6")
    held = vipbench(*options, "--base", "runs/checkpoint-5", "-o", "runs")
    assert held.code == 0
    assert "PASS" in held.err or "passed" in held.err
    assert "accuracy by kind of mark" not in held.out.partition("checkpoint-6")[0]
    head, first, second, more = held.out.split("\n\n")[-1].splitlines()
    assert head.split() == ["step", "own,", "%", "against", "runs/checkpoint-5", "run"]
    assert first.split() == ["5", "50.0", "not", "worse", "runs/checkpoint-5"]
    assert second.split()[0] == "6"
    assert more.endswith("`vipbench history runs`")
    again = vipbench(*options, "-o", "runs").out.splitlines()
    assert [line.split()[0] for line in again if line] == ["step", "5", "6", "kinds"]


def test_a_checkpoint_that_fails_has_a_line_too(
    vipbench: Vipbench, options: list[str], tmp_path: Path
) -> None:
    for name in ("checkpoint-5", "checkpoint-6"):
        sharded(tmp_path / "out" / name)
    (tmp_path / "runs" / "checkpoint-5").mkdir(parents=True)
    (tmp_path / "runs" / "checkpoint-5" / "scores.jsonl").write_text("")
    ran = vipbench(*options, "-o", "runs")
    assert ran.code == 2
    assert "5     -       out/checkpoint-5: not evaluated\n" in ran.out
    assert "runs/checkpoint-6\n" in ran.out


def test_a_folder_without_a_complete_checkpoint_is_a_mistake(
    vipbench: Vipbench, options: list[str], tmp_path: Path
) -> None:
    (sharded(tmp_path / "out" / "checkpoint-5") / "config.json").unlink()
    ran = vipbench(*options)
    assert ran.code == 2
    assert "left out, since it is not complete" in ran.err
    assert "out: no complete checkpoint · expected folders with config.json" in ran.err
    bad = vipbench(*options, "--every", "soon")
    assert (bad.code, bad.err.startswith("error: --every 'soon': is not a time")) == (2, True)
