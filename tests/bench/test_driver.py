"""The course of a bench: what it leaves, resumes with, and says when a process fails."""

import re
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.bench.conftest import do_here
from tests.judge_server import Answer, JudgeServer
from tests.runs import make_pairs
from vipbench.bench.driver import bench
from vipbench.bench.mix import MIXES
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


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"questions": 6, "mix": "sweep"}, "--questions 6 with --mix: cannot be combined"),
        ({"peer": "http://localhost:1/v1"}, "--peer with --random tiny: no server has that model"),
        ({"ways": ("peer",)}, "way peer: has no address · give --peer URL"),
        ({"mix": "sweep", "tasks": ("vip_bench_drawn",)}, "--mix sweep: does not suit vip_bench"),
        ({"mix": "sweep", "n": 9999, "tasks": ()}, "--n 9999: there are 1,500 different questions"),
        ({"questions": 6, "n": 251, "tasks": ()}, "--n 251: there are 246 different questions"),
    ],
)
def test_what_does_not_go_together_is_refused_before_anything_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any], message: str
) -> None:
    monkeypatch.setattr("vipbench.bench.driver._start", None)
    with pytest.raises(RunnerError, match=re.escape(message)):
        bench(ONE.model_copy(update=fields), tmp_path / "bench.json")
    assert not list(tmp_path.iterdir())


def test_a_mix_is_measured_with_and_without_sharing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vipbench.bench.driver._start", do_here)
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    settings = BenchSettings(
        mix="sweep", random="tiny", n=12, n_official=6, n_usual=6, n_tune=6, rounds=2, new_tokens=1
    )
    messages: list[str] = []
    report = bench(settings, tmp_path / "bench.json", console=Console(messages.append))
    assert tuple(report.ways) == ("vipbench", "unshared", "official", "usual")
    rounds = [text.removesuffix(" ...") for text in messages if text.startswith("round")]
    assert rounds == [f"round-{n}-{way}" for n in (1, 2) for way in report.ways]
    assert report.answers_equal is True
    assert (report.n, report.ways["official"].n) == (12, 6)
    assert report.styles == dict.fromkeys(MIXES["sweep"], 2)
    saving, possible = report.ways["vipbench"].saving, report.floor.saving
    assert saving is not None
    assert possible is not None
    assert 0.9 * possible < saving <= possible
    assert report.floor.once is not None
    assert report.floor.once.total == pytest.approx(
        (1 - possible) * report.floor.operations.total, rel=1e-3
    )
    assert report.ways["unshared"].saving is report.ways["usual"].saving is None
    assert report.ratio_unshared is not None
    for way, ratio in report.ratios.items():
        ours, other = report.ways["vipbench"], report.ways[way]
        assert ratio.rounds == tuple(
            a / b
            for a, b in zip(ours.samples_per_s_rounds, other.samples_per_s_rounds, strict=True)
        )
        assert ratio.low is not None
        assert ratio.high is not None
        assert ratio.low <= ratio.mean <= ratio.high


def test_what_is_said_of_a_server_is_said_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vipbench.bench.driver._start", do_here)
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    said: list[str] = []
    with JudgeServer(lambda asked: Answer(text="B")) as server:
        settings = BenchSettings(
            n=1, ways=("peer",), tasks=("vcr_qa",), rounds=1, n_tune=1, device="cpu",
            peer=server.url, peer_model="seer",
        )  # fmt: skip
        report = bench(settings, tmp_path / "bench.json", console=Console(said.append))
    assert list(report.ways) == ["peer"]
    assert said[1] == "tune-peer ..."
    assert said[2].startswith("endpoint: seer: the server counts as many tokens with an image")


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
