"""`vipbench score` as a user meets it; with a judge: `test_judge.py`."""

import json
from pathlib import Path

from PIL import Image

from tests.cli.conftest import Vipbench
from vipbench.runfolder.folder import SCORES, SUMMARY


def test_score_prints_what_run_printed(vipbench: Vipbench, data: list[str]) -> None:
    ran = vipbench("run", "--runner", "majority", *data, "-o", "done")
    scores, summary = Path("done", SCORES), Path("done", SUMMARY)
    before = scores.read_bytes(), summary.read_bytes()
    scores.unlink()
    summary.unlink()
    again = vipbench("score", "done")
    assert (again.code, again.out) == (0, ran.out)
    assert (scores.read_bytes(), summary.read_bytes()) == before


def test_axes_may_hold_what_separates_names_elsewhere(vipbench: Vipbench) -> None:
    axes = ["=cmd", "a=b", "x,y", "line\nbreak", "run@style", "shape=x"]
    Image.new("RGB", (64, 48)).save("a.png")
    spec = {"name": "own", "version": 1, "title": "Own", "kind": "choice", "data": "own"}
    spec |= {"reader": "jsonl", "styles": ["red_rectangle", "none"], "breakdown": axes}
    Path("own.yaml").write_text(json.dumps(spec))
    sample = {"image": "a.png", "question": "What is <r0>?", "box": [9, 9, 30, 30], "answer": "A"}
    sample |= {"choices": ["cat", "dog"]}
    tags = [dict.fromkeys(axes, f"{value}=1,2@3\n4") for value in "ab"]
    records = [json.dumps(sample | {"id": f"{i}", "tags": tags[i % 2]}) for i in range(4)]
    Path("own.jsonl").write_text("\n".join(records))
    data = ("--tasks", "own", "--include", ".", "--data", "own=own.jsonl")
    for runner in ("oracle", "constant"):
        styles = ("--styles", "red_rectangle,none")
        ran = vipbench("run", "--runner", runner, *data, *styles, "-o", f"{runner}@x")
        assert (ran.code, ran.err.count("Traceback")) == (0, 0), ran.err
    groups = {row["group"] for row in json.loads(Path("oracle@x", SUMMARY).read_text())}
    assert {f"{axis}={value}" for tag in tags for axis, value in tag.items()} < groups
    for command in (
        ("score", "oracle@x"),
        ("leaderboard", "oracle@x", "constant@x", "-o", "board"),
        ("compare", "oracle@x", "constant@x@red_rectangle", "-o", "compared"),
        ("gate", "oracle@x", "constant@x", "--by", "x,y", "--by", "a=b,run@style"),
        ("report", "oracle@x", "constant@x", "-o", "page.html"),
        ("sweep", "oracle@x", "constant@x", "-o", "swept"),
    ):
        done = vipbench(*command)
        assert done.code == 0, (command, done.out, done.err)
