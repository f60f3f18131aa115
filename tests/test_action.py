"""`action.yml`: its steps are run as GitHub runs them, with `gh` replaced by a script."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from tests.analysis.test_gate import answers
from tests.analysis.test_pairs import run
from vipbench.analysis.baselines import write_baseline

REPO = Path(__file__).parent.parent
ACTION = yaml.safe_load((REPO / "action.yml").read_text(encoding="utf-8"))
FAKE_GH = """#!/bin/bash
printf '%s\\n' "$*" >> "$CALLS"
for word in "$@"; do
  case "$word" in body=@*) cp "${word#body=@}" "$CALLS.body" ;; esac
done
case "$*" in
  *--jq*) cat "$COMMENTS" ;;
  *) exit "$GH_CODE" ;;
esac
"""
FAKE_VIPBENCH = """#!/bin/bash
printf '%s\\n' "$(printf '<%s>' "$@")" >> "$CALLS"
case "$1" in
  run) exit "$RUN_CODE" ;;
  gate)
    while [ $# -gt 0 ]; do
      if [ "$1" = --summary ]; then echo "## rows" > "$2"; fi
      shift
    done
    exit "$GATE_CODE" ;;
esac
"""


class Job(NamedTuple):
    """What is left of a job."""

    folder: Path
    codes: dict[str, int]
    """Name of a step -> its exit code; steps that were left out are not there."""
    outputs: dict[str, str]
    """Of the action."""
    logs: str

    @property
    def calls(self) -> list[str]:
        path = self.folder / "calls"
        return path.read_text(encoding="utf-8").splitlines() if path.exists() else []

    @property
    def comment(self) -> str:
        return (self.folder / "calls.body").read_text(encoding="utf-8")

    @property
    def summary(self) -> str:
        return (self.folder / "step_summary").read_text(encoding="utf-8")


def evaluated(text: object, context: dict[str, str]) -> str:
    """Fill in the expressions of a value."""
    expression = r"\$\{\{\s*([\w.-]+)\s*\}\}"
    return re.sub(expression, lambda found: context.get(found[1], ""), str(text))


def holds(condition: str | None, context: dict[str, str]) -> bool:
    """Evaluate a condition of a step, of the few forms that the action has."""
    if condition is None:
        return True
    for part in condition.removeprefix("${{").removesuffix("}}").split("&&"):
        if part.strip() == "always()":
            continue
        name, sign, value = part.split()
        if (context.get(name, "") == value.strip("'")) != (sign == "=="):
            return False
    return True


def do(
    folder: Path, *, pull_request: str = "7", env: dict[str, str] | None = None, **inputs: str
) -> Job:
    """Run the steps of the action; step outputs are read as GitHub reads them."""
    (folder / "temp").mkdir(exist_ok=True)
    given = {name.replace("_", "-"): value for name, value in inputs.items()}
    context = {"github.token": "t0ken", "github.event.pull_request.number": pull_request}
    for name, each in ACTION["inputs"].items():
        context[f"inputs.{name}"] = given.pop(name, evaluated(each["default"], context))
    assert not given
    codes, logs, failed = {}, "", False
    for step in ACTION["runs"]["steps"]:
        if not holds(step.get("if"), context) or (failed and "always()" not in step.get("if", "")):
            continue
        if "uses" in step:
            codes[step["name"]] = 0
            continue
        assert "${{" not in step["run"]
        own = {key: evaluated(value, context) for key, value in step.get("env", {}).items()}
        output = folder / "output"
        output.write_text("")
        ran = subprocess.run(
            ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", step["run"]],
            cwd=folder,
            env=github(folder) | {"GITHUB_OUTPUT": str(output)} | (env or {}) | own,
            capture_output=True,
            text=True,
            check=False,
        )
        codes[step["name"]] = ran.returncode
        failed |= ran.returncode != 0
        logs += ran.stdout + ran.stderr
        for line in output.read_text().splitlines():
            key, _, value = line.partition("=")
            context[f"steps.{step['id']}.outputs.{key}"] = value
    outputs = {name: evaluated(each["value"], context) for name, each in ACTION["outputs"].items()}
    return Job(folder, codes, outputs, logs)


def github(folder: Path) -> dict[str, str]:
    """Return the variables that GitHub sets, and those of the scripts that stand for programs."""
    return {
        "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
        "HOME": str(folder),
        "GITHUB_ACTION_PATH": str(REPO),
        "GITHUB_STEP_SUMMARY": str(folder / "step_summary"),
        "GITHUB_SERVER_URL": "https://github.com",
        "GITHUB_REPOSITORY": "me/models",
        "GITHUB_RUN_ID": "123",
        "RUNNER_TEMP": str(folder / "temp"),
        "CALLS": str(folder / "calls"),
        "COMMENTS": str(folder / "comments"),
        "GH_CODE": "0",
        "RUN_CODE": "0",
        "GATE_CODE": "0",
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A workspace with programs that write down how they are called; no comments are there yet."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "comments").write_text("")
    for name, text in (("gh", FAKE_GH), ("vipbench", FAKE_VIPBENCH), ("python", FAKE_GH)):
        program = tmp_path / "bin" / name
        program.write_text(text)
        program.chmod(0o755)
    return tmp_path


GIVEN: dict[str, Any] = {"model": "ckpt", "base_summary": "base.jsonl"}


def test_what_is_given_reaches_the_commands_as_it_is(folder: Path) -> None:
    job = do(
        folder,
        model="my ckpt; touch hacked",
        base_run="runs/$(touch hacked)",
        suite="regression",
        data="vcr=/data/v c r.json\n\nvisual7w=/data/v7w.json\n",
        arguments="--limit 40\n--styles 'a b'",
        thresholds="t.yaml",
        gate_arguments="--by shape",
        name="my gate",
    )
    report = folder / "temp/vipbench-my-gate/report"
    installed, asked, tested, exported = [call for call in job.calls if "api" not in call]
    assert installed == f"-m pip install --quiet --constraint {REPO}/constraints.txt {REPO}"
    assert asked == (
        f"<run><--model><my ckpt; touch hacked><-o><{report.parent}/new><--suite><regression>"
        "<--data><vcr=/data/v c r.json><--data><visual7w=/data/v7w.json>"
        "<--limit><40><--styles><a b>"
    )
    assert tested == (
        f"<gate><--summary><{report}/gate.md><--junit><{report}/junit.xml><--lost><{report}/lost>"
        f"<--config><t.yaml><--by><shape><runs/$(touch hacked)><{report.parent}/new>"
    )
    assert exported.startswith(f"<export><{report.parent}/new><baseline>")
    assert not (folder / "hacked").exists()
    assert job.outputs == {
        "verdict": "passed",
        "exit-code": "0",
        "report": f"{report}/gate.md",
        "baseline": f"{report}/baseline.jsonl.gz",
    }


def test_a_comment_is_added_once_and_written_anew(folder: Path) -> None:
    first = do(folder, **GIVEN, install="false", env={"GATE_CODE": "1"})
    assert [call.partition(" -F")[0] for call in first.calls if call.startswith("api")][1:] == [
        "api --method POST repos/me/models/issues/7/comments"
    ]
    assert first.comment.startswith("<!-- vipbench-gate:gate -->\n## rows\n")
    assert "https://github.com/me/models/actions/runs/123" in first.comment
    (folder / "calls").unlink()
    (folder / "comments").write_text("4711\n4712\n")
    second = do(folder, **GIVEN, install="false")
    listed, patched = [call for call in second.calls if call.startswith("api")]
    assert 'select(.body | startswith("<!-- vipbench-gate:gate -->"))' in listed
    assert "--paginate" in listed
    assert patched.startswith("api --method PATCH repos/me/models/issues/comments/4711 -F body=@")


@pytest.mark.parametrize(
    ("gate_code", "verdict"), [("0", "passed"), ("1", "failed"), ("2", "error"), ("3", "error")]
)
def test_the_job_ends_with_the_code_of_the_gate(folder: Path, gate_code: str, verdict: str) -> None:
    job = do(folder, **GIVEN, install="false", env={"GATE_CODE": gate_code})
    assert job.codes["Verdict"] == int(gate_code)
    assert (job.outputs["verdict"], job.outputs["exit-code"]) == (verdict, gate_code)
    assert job.summary.startswith("## rows" if verdict != "error" else "## Error: nothing was")
    assert job.comment.split("\n", 1)[1].startswith(job.summary[:20])
    assert "Keep the report and the pictures of lost samples" in job.codes


def test_a_run_that_stops_is_an_error_and_tests_nothing(folder: Path) -> None:
    job = do(folder, **GIVEN, install="false", env={"RUN_CODE": "3"})
    assert not [call for call in job.calls if call.startswith("<gate>")]
    assert job.codes["Verdict"] == 3
    assert "nothing was tested (exit code 3)" in job.summary


def test_the_token_of_a_fork_leaves_the_summary_of_the_job(folder: Path) -> None:
    job = do(folder, **GIVEN, install="false", env={"GH_CODE": "1", "GATE_CODE": "1"})
    assert job.codes["Comment on the pull request"] == 0
    assert "::notice::The token may not comment" in job.logs
    assert job.summary.startswith("## rows")
    assert job.codes["Verdict"] == 1


def test_without_a_pull_request_nothing_is_commented(folder: Path) -> None:
    job = do(folder, **GIVEN, install="false", pull_request="")
    assert "Comment on the pull request" not in job.codes
    off = do(folder, **GIVEN, install="false", comment="false", artifact="false")
    assert list(off.codes) == ["Run and test", "Verdict"]


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({"model": "a"}, "neither base-run nor base-summary is given"),
        ({"model": "a", "base_run": "b", "base_summary": "c"}, "are both given"),
        ({"base_run": "b"}, "neither model nor new-run is given"),
        ({"base_run": "b", "model": "a", "new_run": "c"}, "model and new-run are both given"),
        ({**GIVEN, "arguments": "--styles 'a"}, "arguments: a quote is not closed"),
    ],
)
def test_inputs_that_contradict_are_an_error_before_anything_is_run(
    folder: Path, inputs: dict[str, Any], words: str
) -> None:
    job = do(folder, **inputs, install="false", comment="false")
    assert job.calls == []
    assert job.codes["Verdict"] == 2
    assert words in job.summary


def test_a_long_report_is_cut_to_what_a_comment_takes(folder: Path) -> None:
    program = folder / "bin" / "vipbench"
    long = "yes '| ein überlanger Bericht |' | head -n 9000 > \"$2\""
    program.write_text(FAKE_VIPBENCH.replace('echo "## rows" > "$2"', long))
    job = do(folder, **GIVEN, install="false")
    assert len(job.comment) < 65_536
    assert "… cut; all of it is in [the job]" in job.comment
    assert len(job.summary) > 200_000


def test_it_finds_with_vipbench_itself_that_a_checkpoint_got_worse(folder: Path) -> None:
    write_baseline(Path(run(folder / "old", answers(200))), folder / "base.jsonl.gz")
    run(folder / "new", answers(200, lost=20), model="new")
    program = folder / "bin" / "vipbench"
    program.write_text(
        f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {json.dumps(str(REPO))})\n"
        "from vipbench.cli import main\nmain()\n"
    )
    inputs: dict[str, Any] = {"new_run": "new", "base_summary": "base.jsonl.gz"}
    job = do(folder, **inputs, install="false")
    assert job.outputs["verdict"] == "failed"
    assert job.codes["Verdict"] == 1
    assert "| FAIL | visual7w_pointing |" in job.comment
    assert job.summary.startswith("## FAILED: new against base.jsonl.gz")
    assert Path(job.outputs["baseline"]).stat().st_size > 0
    assert (Path(job.outputs["report"]).parent / "junit.xml").exists()
