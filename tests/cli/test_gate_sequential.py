"""`vipbench gate --sequential` as it is typed."""

import json
import xml.etree.ElementTree as Xml
from pathlib import Path

import pytest

from tests.cli.conftest import Ran, Vipbench
from tests.sequential.made import RUNNER, known, make_known
from vipbench.run.loop import run


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_known(tmp_path_factory.mktemp("known"))
    run(known(folder, "0.1", out=folder / "base", blocks=None))
    return folder


def gate(vipbench: Vipbench, task: Path, *options: str | Path) -> Ran:
    model = ("--runner", RUNNER, "--include", task, "--batch-size", "16", "-o", "new")
    return vipbench("gate", task / "base", "--sequential", *model, "--block", "20", *options)


def test_it_ends_with_its_exit_code_and_says_what_it_found(vipbench: Vipbench, task: Path) -> None:
    files = ("--junit", "ci/junit.xml", "--summary", "ci/summary.md")
    dropped = gate(vipbench, task, "--model", "0.5", "--max-drop", "5", *files)
    assert dropped.code == 1
    assert Xml.parse("ci/junit.xml").getroot().get("failures") == "1"
    assert Path("ci/summary.md").read_text(encoding="utf-8").startswith("## FAILED: gate: dropped")
    assert "error: gate: dropped, after" in dropped.err
    assert "known -" in dropped.err
    assert "points so far, allowed -5.0" in dropped.err
    assert "The run was stopped early" in dropped.out
    assert max(len(line) for line in dropped.out.splitlines() if line[0] in "┏┃┡│└") <= 80
    # No table shows what was stopped early.
    tables = vipbench("leaderboard", "new", task / "base", "-o", "tables")
    assert "new: left out: was stopped early by a sequential gate or a race, with" in tables.err
    assert len(json.loads(Path("tables/leaderboard.json").read_text())) == 1
    assert "stopped early" in vipbench("ls", "runs", ".").out
    reproduced = vipbench("reproduce", "new", "-o", "tables")
    assert "new: left out: was stopped early" in reproduced.err
    compared = vipbench("compare", task / "base", "new")
    assert (
        "Stopped early: in brackets is where the difference over all samples lies" in compared.out
    )
    assert vipbench("gate", task / "base", "new").code == 2
    assert vipbench("export", "new", "blink", "-o", "x").code == 2
    # What it holds may be scored again, and says the same.
    before = Path("new/scores.jsonl").read_bytes()
    assert vipbench("score", "new").code == 0
    assert Path("new/scores.jsonl").read_bytes() == before
    # The rest is asked where it is asked for, and then it is a run like any other.
    whole = vipbench(
        "run", "--extend", "-o", "new", "--runner", RUNNER, "--include", task, "--model", "0.5",
        "--batch-size", "16",
    )  # fmt: skip
    assert whole.code == 0
    assert "was stopped early, by a gate or a race · all that is left is asked" in whole.err
    assert len(Path("new/responses.jsonl").read_text().splitlines()) == 240
    assert vipbench("leaderboard", "new", "-o", "tables").code == 0
    both = gate(vipbench, task, "--model", "0.5", "--max-drop", "5")
    assert both.code == 1
    assert "The two answer different questions" in both.out
    assert "gate: failed: known" in both.out


def test_it_passes(vipbench: Vipbench, task: Path) -> None:
    passed = gate(vipbench, task, "--model", "0.1", "--max-drop", "15")
    assert passed.code == 0
    assert "gate: passed, after" in passed.out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--max-drop", "0"), "expected more than 0"),
        ((), "expected more than 0"),
        (("--max-drop", "-1"), "--max-drop -1: expected percentage points from 0 to below 100"),
        (("--max-drop", "0.02"), "less than one of 240 samples"),
        (("--max-drop", "2", "--block", "500"), "--block 500: is more than the 240 samples"),
        (("--max-drop", "2", "--shard", "1/2"), "--shard 1/2 with --sequential"),
        (("--max-drop", "2", "--by", "shap"), "--by shap: is not a breakdown"),
        (("--max-drop", "2", "--lost", "x"), "--lost with --sequential: cannot be combined"),
        (("--max-drop", "2", "more"), "got 2 runs"),
    ],
)
def test_bad_input_is_told_before_anything_is_asked(
    vipbench: Vipbench, task: Path, options: tuple[str, ...], message: str
) -> None:
    ran = gate(vipbench, task, "--model", "0.5", *options)
    assert ran.code == 2
    assert message in ran.err
    assert not Path("new/manifest.json").exists()


def test_both_models_are_asked_where_no_run_is_there(vipbench: Vipbench, task: Path) -> None:
    asked = ("--sequential", "--runner", RUNNER, "--include", task, "--batch-size", "16")
    both = (*asked, "--base-model", "0.1", "--model", "0.5", "--tasks", "known", "--block", "20")
    dropped = vipbench("gate", *both, "--max-drop", "5", "-o", "both")
    assert dropped.code == 1
    assert "error: gate: dropped, after" in dropped.err
    assert "The runs were stopped early" in dropped.out
    assert dropped.out.split()[-2:] == ["both/base", "both/new"]
    assert json.loads(Path("both/base/manifest.json").read_text())["state"] == "sequential"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--base-model", "0.1"), "two bases"),
        (("--limit", "5"), "base says what is asked"),
        (("--seed", "1"), "base says what is asked"),
    ],
)
def test_a_base_says_what_is_asked(
    vipbench: Vipbench, task: Path, options: tuple[str, ...], message: str
) -> None:
    ran = gate(vipbench, task, "--model", "0.5", "--max-drop", "5", *options)
    assert ran.code == 2
    assert message in ran.err
    assert not Path("new/manifest.json").exists()


def test_options_of_a_new_run_need_one(vipbench: Vipbench, task: Path) -> None:
    ran = vipbench("gate", task / "base", task / "base", "--model", "x")
    assert ran.code == 2
    assert "--model: no model is asked · expected --sequential" in ran.err
    ran = vipbench("gate", task / "base", task / "base", "--base-model", "x")
    assert "--base-model: no model is asked · expected --sequential" in ran.err
    assert vipbench("gate", task / "base", task / "base", "--max-drop", "2").code == 0
