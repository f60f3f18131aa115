import json
from pathlib import Path

import pytest

from tests.cli.conftest import Vipbench
from tests.judge_server import Answer, JudgeServer, in_turn
from tests.runs import make_task
from vipbench import evaluate


@pytest.fixture
def run(vipbench: Vipbench) -> Path:
    make_task(Path(), kind="graded", n=12, styles="[demo]")
    evaluate(tasks="own", runner="majority", include=(Path(),), out=Path("done"))
    grades = {
        f"q{n}": {"model": ["gpt-4-0613"], "content": ["0.5"], "score": [0.5]} for n in range(12)
    }
    Path("known.json").write_text(json.dumps(grades))
    return Path("done")


def test_a_judge_is_held_against_a_retired_one(vipbench: Vipbench, run: Path) -> None:
    with JudgeServer(in_turn(Answer("0.7"))) as server:
        options = ("--judge-url", server.url, "--judge-model", "m", "--judge-runs", 1)
        command = ("judge", "calibrate", run, "--known", "known.json", "-o", "out", *options)
        done = vipbench(*command)
        n = len(server.asked)
        assert vipbench(*command).code == 0
        assert len(server.asked) == n
    assert done.code == 0
    assert "+20.0 [" in done.out
    assert max(len(line) for line in done.out.splitlines() if line.startswith("│")) <= 80
    assert "out/calibration.md" in done.out
    assert json.loads(Path("out/calibration.json").read_text())["rows"][0]["n"] == 12


def test_what_calibration_needs(vipbench: Vipbench, run: Path) -> None:
    base = ("judge", "calibrate", run, "--known", "known.json", "-o", "out")
    assert "needs a judge · add --judge-url" in vipbench(*base).err
    assert vipbench(*base, "--judge-url", "http://localhost").code == 2
    assert not Path("out").exists()
    with JudgeServer(in_turn(Answer("Well"))) as server:
        done = vipbench(*base, "--judge-url", server.url, "--judge-model", "m")
    assert done.code == 2
    assert "none of the first 5 questions got a grade" in done.err
