"""`vipbench name`, and what tables call a run, as a user meets it."""

import json
import shutil
from pathlib import Path

import pytest

from tests.cli.conftest import Vipbench


def test_a_run_is_renamed_and_nothing_else_of_it_changes(vipbench: Vipbench, done: Path) -> None:
    before = {path.name: path.read_bytes() for path in done.iterdir() if path.is_file()}
    named = vipbench("name", done, "expA", "--step", "600")
    assert (named.code, named.out) == (0, "done: expA (name.json), step 600 (name.json)\n")
    assert "expB (name.json), step 600 (" in vipbench("name", done, "expB").out
    assert "expB (name.json), step 0 (" in vipbench("name", done, "--step", "0").out
    after = {path.name: path.read_bytes() for path in done.iterdir() if path.is_file()}
    assert json.loads(after.pop("name.json")) == {"name": "expB", "step": 0}
    assert after == before
    shown = vipbench("show", done, next(iter(_ids(done)))).out
    assert "model    expB\n" in shown


@pytest.mark.parametrize("words", [("--remove",), ("",)])
def test_a_name_is_printed_and_removed(
    vipbench: Vipbench, done: Path, words: tuple[str, ...]
) -> None:
    unnamed = "done: oracle (after its model), step not known\n"
    assert vipbench("name", done).out == unnamed
    assert not (done / "name.json").exists()
    vipbench("name", done, "a/step-7")
    shown = "done: a/step-7 (name.json), step 7 (as the name says)\n"
    assert vipbench("name", done).out == shown
    assert vipbench("name", done, *words).out == unnamed
    assert not (done / "name.json").exists()
    assert vipbench("name", done, *words).code == 0
    vipbench("name", done, "a", "--step", "9")
    assert vipbench("name", done, *words).out == (
        "done: oracle (after its model), step 9 (name.json)\n"
    )
    assert vipbench("name", done, "--step", "").out == unnamed


def _ids(folder: Path) -> list[str]:
    lines = (folder / "requests.jsonl").read_text().splitlines()
    trials = [json.loads(line) for line in lines]
    return [trial["id"] for trial in trials if trial["task"] == "visual7w_pointing"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("done", " "), "NEW ' ': is empty · expected a text of 1 to 100 characters"),
        (("done", "x", "--remove"), "--remove: the name 'x' is given, too · expected one of the"),
        (("done", 101 * "x"), "has 101 characters · expected"),
        (("done", "a\x07b"), "holds the control character U+0007 · expected"),
        (("done", "x", "--step", "-1"), "--step '-1': is not a training step · expected a whole"),
        (("done", "x", "--step", "6.5"), "--step '6.5': is not a training step · expected a whole"),
        (
            (".", "x"),
            ".: holds no run · expected the folder of a run, with manifest.json · did you mean",
        ),
    ],
)
def test_what_cannot_be_a_name(
    vipbench: Vipbench, done: Path, words: tuple[str, ...], said: str
) -> None:
    ran = vipbench("name", *words)
    assert (ran.code, len(ran.err.splitlines())) == (2, 1)
    assert said in ran.err
    assert not (done / "name.json").exists()


@pytest.mark.parametrize(("option", "value"), [("--name", " "), ("--step", "many")])
def test_a_run_refuses_the_same_before_anything_is_asked(
    vipbench: Vipbench, option: str, value: str
) -> None:
    ran = vipbench("run", "--runner", "oracle", option, value, "-o", "run")
    assert (ran.code, len(ran.err.splitlines())) == (2, 1)
    assert f"error: {option} {value!r}: is " in ran.err
    assert not Path("run").exists()


def test_a_name_that_two_models_have_is_told_apart(vipbench: Vipbench, done: Path) -> None:
    shutil.copytree(done, "other")
    content = json.loads(Path("other", "manifest.json").read_text())
    assert content["identity"]["model"] == "oracle"
    for folder in ("done", "other"):
        assert vipbench("name", folder, "expA").code == 0
    assert vipbench("leaderboard", "done", "other", "-o", "board").code == 0
    rows = json.loads(Path("board", "leaderboard.json").read_text())
    assert {(row["model"], row["name"], row["step"], row["run"]) for row in rows} == {
        ("expA", "expA", None, ""),
        ("expA", "expA", None, "run 2"),
    }
    head = Path("board", "breakdown.csv").read_text().splitlines()[0].split(",")
    assert {"model", "name", "step", "weights"} <= {*head}
