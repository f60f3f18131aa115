"""The application: help, usage, and how mistakes and output end."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Vipbench

COMMANDS = (
    *("run", "plan", "watch", "score", "merge", "export", "import", "judge"),
    *("leaderboard", "compare", "gate", "race", "power", "reproduce", "history", "report", "sweep"),
    *("render", "check", "show", "ls", "name"),
    *("certify", "kit", "verify", "convert", "bench"),
    *("data", "demo"),
)
"""All of them, in the order in which help lists them."""
BELOW = ("judge calibrate", "data ls", "data fetch", "data locate", "demo make", "demo train")


def spawn(*arguments: str | Path, **options: object) -> subprocess.CompletedProcess[str]:
    program = "from vipbench.cli import main; main()"
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, **options)  # type: ignore[call-overload, no-any-return]


def test_help_lists_all_commands_in_their_order(vipbench: Vipbench) -> None:
    for option in ("--help", "-h"):
        code, out, err = vipbench(option)
        assert (code, err) == (0, "")
        lines = out.partition("Answers and scores:\n")[2].splitlines()
        listed = [line.split()[0] for line in lines if re.match(r"  \S", line)]
        assert listed == list(COMMANDS)
        assert "..." not in out.partition("[ARGS]...")[2]


@pytest.mark.parametrize("command", [*COMMANDS, *BELOW])
def test_every_command_has_help(vipbench: Vipbench, command: str) -> None:
    code, out, _ = vipbench(*command.split(), "--help")
    assert code == 0
    assert out.startswith(f"Usage: vipbench {command}")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "--modle", "x"], "--model"),
        (["rnu"], "'run'"),
        (["score", "run", "surplus"], "surplus"),
        (["check"], "TASK"),
    ],
)
def test_wrong_usage_exits_2_and_says_what_is_right(
    vipbench: Vipbench, arguments: list[str], said: str
) -> None:
    code, out, err = vipbench(*arguments)
    assert (code, out) == (2, "")
    assert "Error: " in err
    assert said in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "--fit", "padd"], "--fit 'padd': expected 'pad', 'squash' or 'crop' · did you"),
        (["run", "--limit", "0"], "--limit '0': expected a whole number from 1"),
        (["run", "--limit", "few"], "--limit 'few': expected a whole number from 1"),
        (["run", "--max-errors", "2"], "--max-errors '2': expected a number from 0 to 1"),
        (["ls", "task"], "WHAT 'task': expected 'tasks', 'styles', 'runners', 'suites' or 'runs'"),
        (["power", "--n", "3x"], "--n '3x': expected a whole number from 1"),
        (["check", "vcr_qq"], "task 'vcr_qq' is unknown · did you mean 'vcr_qa'?"),
        (["check", "vcr_qa", "--styles", "demoo"], "did you mean 'demo'?"),
        (["check", "vcr_qa", "--styles", "rectangle:bleu"], "did you mean 'blue'?"),
        (["run", "--suite", "demmo"], "did you mean 'demo'?"),
        (
            ["run", "--suite", "vcr_qa"],
            "suite 'vcr_qa' is unknown: it is a task · give --tasks vcr",
        ),
        (["run", "--suite", "shapes"], "suite 'shapes' is unknown: it is a style · give --styles"),
        (["check", "demo"], "task 'demo' is unknown: it is a suite · give --suite demo"),
        (["check", "red_rectangle"], "task 'red_rectangle' is unknown: it is a style · give --sty"),
        (["check", "vcr_qa", "--styles", "bleu"], "'bleu' is unknown · did you mean 'blue'?"),
        (["check", "vcr_qa", "--styles", "ellipse:shapes"], "known: aqua, blue, contrast, dashed"),
        (["data", "fetch", "vcr_q2ar"], "data 'vcr_q2ar': it is a task · give the key of its data"),
        (
            ["run", "--runner", "http://a:8/v1"],
            "--runner openai --base-url http://a:8/v1 --model N",
        ),
        (
            ["run", "--runner", "localhost:80"],
            "--runner openai --base-url http://localhost:80 --mo",
        ),
        (
            ["run", "--runner", "owner/name"],
            "is a model, not what runs it · give --model owner/name",
        ),
        (["run", "--model", "https://a/v1"], "is asked by --runner openai --base-url https://a/v1"),
        (["run", "--tasks", "vcr_qa"], "or a hub id; only --suite demo has a model of its own"),
        (
            ["run", "--runner", "oracle", "--tasks", "vcr_qa"],
            "`vipbench data fetch vcr`; `vipbench run --suite demo` has synthetic data of its own",
        ),
        (["run", "--runner", "orcale"], "did you mean 'oracle'?"),
        (["run", "--runner", "oracle", "--tasks", "vcr_qq"], "did you mean 'vcr_qa'?"),
        (["run", "--runner", "oracle", "--tasks", "vcr_qa"], "--data vcr=DIR"),
        (["run", "--batch-size", "0"], "--batch-size '0': expected 'auto' or a whole number"),
        (["run", "--batch-size", "all"], "--batch-size 'all'"),
        (["run", "--batch-size", "9" * 5000], "expected 'auto' or a whole number"),
        (["run", "--loaders", "-1"], "--loaders '-1': expected 'auto' or a whole number from 0"),
        (["run", "--loaders", "4000"], "loaders"),
        (["run", "--tasks", ""], "--tasks '': names nothing"),
        (["run", "--ids", ", ,"], "--ids ', ,': names nothing"),
        (["check", ","], "TASK ',': names nothing"),
        (["check", "vcr_qa", "--styles", ""], "an empty style"),
        (["run", "--dtype", "float61"], "did you mean 'float16'?"),
        (["run", "--device", "cud"], "did you mean 'cuda'?"),
        (["run", "--model", "nowhere/at/all"], "nowhere/at/all"),
        (["run", "--include", "nowhere"], "--include nowhere"),
        (["run", "--data", "vcr=nowhere"], "--data vcr=nowhere"),
        (["render", "vcr_qa", "-o", "x.png"], "--data vcr=DIR"),
        (["score", "nowhere"], "nowhere"),
        (["leaderboard", "nowhere", "-o", "tables"], "nowhere"),
        (["show", "nowhere", "q1"], "nowhere"),
        (["ls", "runs", "--runs", "nowhere"], "--runs nowhere: no such folder"),
        (["demo", "make", "--n", "1", "-o", "/dev/null/x"], "-o /dev/null/x: cannot be written"),
        (["demo", "train", "--state", "/dev/null"], "--state /dev/null: is not a folder"),
        (["check", "vcr\nqa\x1b[2J"], r"task 'vcr\nqa\x1b[2J' is unknown"),
    ],
)
def test_the_users_mistake_is_one_line_and_exits_2(
    vipbench: Vipbench, arguments: list[str], said: str
) -> None:
    code, out, err = vipbench(*arguments)
    assert (code, out) == (2, "")
    [line] = [line for line in err.replace("\r", "\n").splitlines() if line.startswith("error: ")]
    assert said in line
    assert err.rstrip("\n").endswith(line)
    assert list(Path().iterdir()) == []


def test_a_bug_shows_its_traceback(tmp_path: Path) -> None:
    (tmp_path / "faulty.py").write_text("def read(source):\n    yield 1 / 0\n")
    (tmp_path / "faulty.yaml").write_text(
        "{name: faulty, version: 1, title: t, kind: graded, data: faulty, styles: [none], "
        "reader: 'faulty.py:read'}"
    )
    done = spawn("check", "faulty", "--include", tmp_path, "--data", f"faulty={tmp_path}")
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert done.stderr.endswith("ZeroDivisionError: division by zero\n")


def test_an_argument_that_is_no_text_is_refused() -> None:
    program = "from vipbench.cli import main; main()"
    arguments: list[str | bytes] = ["check", "vcr_qa", "--data", b"vcr=caf\xe9"]
    command = [sys.executable, "-c", program, *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("error: argument 'vcr=caf\\udce9': is not text in utf-8")


def test_a_terminal_without_unicode_shows_what_it_can() -> None:
    broken = spawn("check", "vcr_\u00fc", env=os.environ | {"PYTHONIOENCODING": "ascii"})
    assert broken.returncode == 2
    assert broken.stderr.startswith("error: task 'vcr_\\xfc' is unknown; did you mean")


@pytest.mark.parametrize("closed", [">&-", ">&- 2>&-"])
def test_output_that_is_closed_is_not_missed(closed: str) -> None:
    program = "from vipbench.cli import main; main()"
    command = f'exec "$0" -c "{program}" ls styles {closed}'
    done = subprocess.run(["sh", "-c", command, sys.executable], stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_full_disk_is_one_line_wherever_it_is_met() -> None:
    program = "from vipbench.cli import main; main()"
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-c", program, "ls", "styles"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 2
    assert done.stderr == ("error: output: No space left on device · make room, then try again\n")


def test_a_name_that_is_too_long_is_one_line_wherever_it_is_met(
    vipbench: Vipbench, tmp_path: Path
) -> None:
    name = "n" * 300
    (tmp_path / "where.yaml").write_text(f"vcr:\n  questions: {name}\n  images: .\n")
    for command in (
        ("check", "vcr_qa", "--data", "where.yaml"),
        ("check", "vcr_qa", "--data", f"vcr={name}"),
        ("run", "--runner", "oracle", "-o", name),
        ("score", name),
        ("run", "--model", name),
    ):
        ran = vipbench(*command)
        assert ran.code == 2
        *before, last = ran.err.splitlines()
        assert last.startswith("error: ")
        assert all(line.startswith("data: the embedded benchmark") for line in before)
        assert "too long" in ran.err


def test_a_reader_of_the_output_may_leave() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    program = "from vipbench.cli import main; main()"
    command = [sys.executable, "-c", program, "ls", "styles"]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True)
    os.close(writing)
    assert done.returncode == 1
    assert done.stderr == ""
