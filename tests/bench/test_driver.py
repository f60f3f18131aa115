"""The course of a bench: what it leaves, resumes with, and says when a process fails."""

import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from tests.bench.conftest import do_here
from tests.runs import make_pairs
from vipbench.bench.driver import bench
from vipbench.bench.records import Outcome
from vipbench.bench.settings import BenchSettings
from vipbench.console import Console
from vipbench.errors import RunError, RunnerError
from vipbench.trials.selection import select

ONE = BenchSettings(
    n=1, ways=("official",), tasks=("vcr_qa",), rounds=1, n_tune=1, device="cpu", random="tiny"
)


def test_nothing_is_left_beside_the_report(report: Path) -> None:
    assert [path.name for path in report.parent.iterdir()] == [report.name]


def test_a_killed_bench_resumes_with_what_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "bench.json"
    program = (
        "import os, signal; from pathlib import Path\n"
        "from vipbench.bench.driver import BenchSettings, bench\n"
        "from vipbench.console import Console\n"
        "def say(message):\n"
        "    if message.startswith('round'): os.kill(os.getpid(), signal.SIGKILL)\n"
        f"settings = BenchSettings.model_validate_json({ONE.model_dump_json()!r})\n"
        f"bench(settings, Path({str(path)!r}), console=Console(say))"
    )
    subprocess.run([sys.executable, "-c", program], check=False)
    parts = path.with_name("bench.json.parts")
    tuned = Outcome.model_validate_json((parts / "tune-official.json").read_bytes())
    with pytest.raises(RunError, match="measurements of another bench"):
        bench(ONE.model_copy(update={"n": 10}), path)
    messages: list[str] = []
    monkeypatch.setattr("vipbench.bench.driver._start", do_here)
    report = bench(ONE, path, console=Console(messages.append))
    assert messages[0].startswith("prompt format ")
    assert messages[1:] == ["tune-official: measured before", "round-1-official ...", "peak ..."]
    assert set(report.ways["official"].tried) == set(tuned.speeds)
    assert (report.ratio_official, report.answers_equal, report.agreement) == (None, None, {})


def test_a_process_that_fails_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\necho one\necho two >&2\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(program))
    with pytest.raises(RunError, match=r"tune-official: failed \(exit 3\): one \| two"):
        bench(ONE, tmp_path / "bench.json")
    monkeypatch.undo()
    monkeypatch.setattr("vipbench.bench.driver._start", do_here)
    settings = ONE.model_copy(update={"prompt_tokens": 10})
    with pytest.raises(RunError, match=r"lengthen: failed \(exit 2\)"):
        bench(settings, tmp_path / "other.json")
    assert capsys.readouterr().err.startswith("--prompt-tokens 10: sample")


def test_model_and_random_exclude_each_other(tmp_path: Path) -> None:
    with pytest.raises(RunnerError, match="leave out --model"):
        bench(BenchSettings(model="x", random="tiny"), tmp_path / "bench.json")
    assert not list(tmp_path.iterdir())


def test_questions_about_several_images_are_refused_before_anything_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_pairs(tmp_path / "tasks")
    included = partial(select, include=[tmp_path / "tasks"])
    monkeypatch.setattr("vipbench.bench.driver.select", included)
    monkeypatch.setattr("vipbench.bench.driver._start", None)
    settings = ONE.model_copy(update={"tasks": ("vcr_qa", "own"), "n": 4})
    with pytest.raises(
        RunnerError, match=r"own: 2 questions .* takes one, since the model was not"
    ):
        bench(settings, tmp_path / "bench.json")
    assert [path.name for path in tmp_path.iterdir()] == ["tasks"]
