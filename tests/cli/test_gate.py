"""`vipbench gate` as it is typed, and the recipe for CI as it is written."""

import os
import re
import shlex
import xml.etree.ElementTree as Xml
from pathlib import Path

import pytest
import yaml

from tests.analysis.test_gate import answers, certificate
from tests.analysis.test_pairs import V7W, run
from tests.cli.conftest import Vipbench
from tests.runs import make_task
from vipbench.analysis import compare_text, gate_text
from vipbench.report.columns import parts_of

REPO = Path(__file__).parent.parent.parent


def test_rounding_is_allowed_for_where_asked(vipbench: Vipbench, tmp_path: Path) -> None:
    noisy = certificate(50, 9)
    base = run(tmp_path / "a", answers(200), certificate=noisy)
    new = run(tmp_path / "b", answers(200, lost=20), certificate=noisy)
    failed = vipbench("gate", base, new)
    assert failed.code == 1
    assert "it could make this drop alone (`--rounding widen` allows for it)" in failed.err
    assert vipbench("gate", base, new, "--rounding", "widen").code == 0
    Path("t.yaml").write_text("rounding: widen\n")
    assert vipbench("gate", base, new, "--config", "t.yaml").code == 0
    assert vipbench("gate", base, new, "--config", "t.yaml", "--rounding", "report").code == 1
    compared = vipbench("compare", base, new)
    assert f"rounding: {base}: float16, changed 9 of 50 answers" in compared.err


def test_the_gate_ends_with_its_exit_code(vipbench: Vipbench, folders: tuple[str, str]) -> None:
    failed = vipbench("gate", *folders, "--junit", "ci/junit.xml", "--summary", "ci/summary.md")
    assert failed.code == 1
    assert f"error: gate: failed: {V7W} -10.0 points (p < 0.001)" in failed.err
    assert Xml.parse("ci/junit.xml").getroot().get("failures") == "1"
    assert Path("ci/summary.md").read_text(encoding="utf-8").startswith("## FAILED")
    passed = vipbench("gate", folders[0], folders[0])
    assert passed.code == 0
    assert "gate: passed" in passed.out
    assert "warning: visual7w_pointing: the smallest drop" in passed.err
    assert vipbench("gate", folders[0], folders[0], "--require-power").code == 1


def test_the_gate_reads_thresholds_and_prompt_types(
    vipbench: Vipbench, folders: tuple[str, str]
) -> None:
    Path("t.yaml").write_text("max_drop: 0.3\n")
    assert vipbench("gate", *folders, "--config", "t.yaml", "--by", "shape").code == 0
    assert "shape=ellipse" in vipbench("gate", *folders, "--by", "shape").out
    Path("t.yaml").write_text("max_dorp: 0.3\n")
    ran = vipbench("gate", *folders, "--config", "t.yaml")
    assert ran.code == 2
    assert "did you mean 'max_drop'" in ran.err


# --- in a narrow terminal

DEMO_TASKS = (
    *("visual7w_pointing", "pointqa_looktwice", "vcr_qa", "vcr_qar", "vip_bench_drawn"),
    "vcr_q2ar",
)


@pytest.fixture(scope="module")
def demo_runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Two runs of the demo suite's tasks, the second one worse."""
    folder = tmp_path_factory.mktemp("demo")
    scores = {
        lost: [each for task in DEMO_TASKS for each in answers(40, lost=lost, task=task)]
        for lost in (0, 34)
    }
    base = run(folder / "base", scores[0], DEMO_TASKS)
    return base, run(folder / "new", scores[34], DEMO_TASKS, model="new")


def cells(out: str) -> list[list[str]]:
    """Return the cells of each line of a table, the header first."""
    rows = [line for line in out.splitlines() if line[:1] in "┃│" and line]
    return [[cell.strip() for cell in re.split("[┃│]", line)[1:-1]] for line in rows]


@pytest.mark.parametrize(
    ("command", "header", "name"),
    [("gate", gate_text.HEADER, 1), ("compare", compare_text.HEADER, 0)],
)
def test_no_header_and_no_number_is_broken_at_80_columns(
    vipbench: Vipbench,
    demo_runs: tuple[str, str],
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    header: tuple[str, ...],
    name: int,
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    head, *rows = cells(vipbench(command, *demo_runs).out)
    assert tuple(head) == header
    whole = {cell for row in rows for at, cell in enumerate(row) if at != name}
    parts = {part for row in rows for word in row[name].split() for part in parts_of(word)}
    monkeypatch.setenv("COLUMNS", "80")
    out = vipbench(command, *demo_runs).out
    assert max(map(len, out.splitlines())) <= 80
    head, *rows = cells(out)
    kept = [each for each in header if each in head]
    assert head == kept
    assert {"base", "new", "difference", "Holm"} <= set(kept)
    for row in rows:
        assert {cell for at, cell in enumerate(row) if cell and at != name} <= whole
        assert {part for word in row[name].split() for part in parts_of(word)} <= parts
    assert all(any(row) for row in zip(*rows, strict=True))  # no column is empty
    gone = [each for each in header if each not in head]
    assert f"No room for {', '.join(gone)}: widen the terminal, or" in " ".join(out.split())


# --- the recipe in docs/gate.md


def steps() -> list[str]:
    """Return the commands of the workflow that the page shows, but for the installation."""
    page = (REPO / "docs" / "gate.md").read_text(encoding="utf-8")
    [block] = re.findall(r"```yaml\n(name: .*?)```", page, re.DOTALL)
    [job] = yaml.safe_load(block)["jobs"].values()
    commands = [str(step["run"]) for step in job["steps"] if "run" in step]
    return [command for command in commands if not command.startswith("pip install")]


def test_the_recipe_finds_that_the_early_checkpoint_is_worse(
    vipbench: Vipbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("vipbench").symlink_to(REPO / "vipbench")  # what a job finds in its checkout
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", "step_summary.md")
    codes = {}
    for command in steps():
        program, *arguments = shlex.split(os.path.expandvars(command))
        assert program == "vipbench"
        codes[arguments[0]] = vipbench(*arguments).code
    assert codes == {"run": 0, "gate": 1, "compare": 0}
    assert Path("step_summary.md").read_text(encoding="utf-8").startswith("## FAILED")
    [suite] = Xml.parse("gate/junit.xml").getroot()
    assert int(suite.get("failures", "0")) >= 1
    assert Path("gate/compare/forest.png").exists()
    assert vipbench("gate", "gate/base", "gate/base").code == 0


def test_what_is_not_the_checkpoint_fails_unless_it_is_allowed(
    vipbench: Vipbench, tmp_path: Path
) -> None:
    base = run(tmp_path / "a", answers(200))
    new = run(tmp_path / "b", answers(200), settings={"prompt_format": "hf"})
    failed = vipbench("gate", base, new)
    assert (failed.code, failed.out) == (1, "")
    assert "\nFAIL: differs: prompt_format: llava_v1 → hf\n" in failed.err
    assert "the two runs have the same weights (vip): what differs is prompt_format" in failed.err
    allowed = vipbench("gate", base, new, "--allow-difference", "dtype,prompt_format")
    assert allowed.code == 0
    assert "\nallowed: differs: prompt_format: llava_v1 → hf\n" in allowed.err
    unknown = vipbench("gate", base, new, "--allow-difference", "prompt")
    assert unknown.code == 2
    assert "'prompt': is unknown · expected one of prompt_format, fit, dtype, path" in unknown.err


def test_the_recipe_for_4_bit_gives_what_the_page_says(vipbench: Vipbench) -> None:
    pytest.importorskip("bitsandbytes")
    page = (REPO / "docs" / "gate.md").read_text(encoding="utf-8").split("## Does 4-bit hurt?")[1]
    commands, said = re.findall(r"```\n(.*?)```", page, re.DOTALL)[:2]
    rows = re.findall(r"^\| pass \| (\w+) \|", page, re.MULTILINE)
    done = [vipbench(*shlex.split(line)[1:]) for line in commands.splitlines()]
    assert [ran.code for ran in done] == [0, 0, 0]
    assert done[-1].err.startswith(said)
    assert len(rows) == 6
    assert all(row in done[-1].out for row in rows)
    refused = vipbench("gate", "plain", "int4")
    assert refused.code == 1
    assert "differs: dtype: float32 → float32, int4 (bitsandbytes)" in refused.err


def test_other_questions_under_the_same_ids_fail_unless_they_are_allowed(
    vipbench: Vipbench, tmp_path: Path
) -> None:
    folders = make_task(tmp_path / "a"), make_task(tmp_path / "b")
    path = folders[1] / "own.jsonl"
    path.write_text(path.read_text(encoding="utf-8").replace("What is", "Name"), encoding="utf-8")
    runs = []
    for folder in folders:
        runs.append(folder / "run")
        asked = ("--tasks", "own", "--include", folder, "-o", runs[-1])
        assert vipbench("run", "--runner", "oracle", *asked).code == 0
    words = "requests: own → own with other text in 20 of 20 samples, such as q0"
    failed = vipbench("gate", *runs, "--junit", "junit.xml", "--summary", "summary.md")
    assert failed.code == 1
    assert f"FAIL: differs: {words}" in failed.err
    assert words in Path("junit.xml").read_text(encoding="utf-8")
    assert "other text" in Path("summary.md").read_text(encoding="utf-8")
    assert f"differs: {words}" in vipbench("compare", *runs).err
    assert vipbench("gate", *runs, "--allow-difference", "requests").code == 0


def test_what_was_lost_is_drawn(vipbench: Vipbench, tmp_path: Path) -> None:
    make_task(tmp_path, n=20)
    options = ("--include", tmp_path, "--tasks", "own", "--styles", "demo")
    for name, runner in (("base", "oracle"), ("new", "constant")):
        assert vipbench("run", *options, "--runner", runner, "-o", name).code == 0
    gate = ("gate", "base", "new", "--allow-difference", "runner", "--lost", "lost")
    withheld = vipbench(*gate)
    assert withheld.code == 1
    assert "own: pictures may not be redistributed and are not drawn" in withheld.err
    assert not Path("lost").exists()
    drawn = vipbench(*gate, "--embed-images")
    n = len(list(Path("lost").glob("own-demo-*.png")))
    assert n > 0
    assert f"lost  ({n} lost samples)" in drawn.out
    (tmp_path / "0.png").unlink()
    assert "cannot be drawn" in vipbench(*gate, "--embed-images").err
    passed = vipbench("gate", "base", "base", "--lost", "none")
    assert (passed.code, Path("none").exists()) == (0, False)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["a"], "gate: got 1 run (a) · expected BASE and NEW"),
        (["a", "b", "c"], "gate: got 3 runs (a, b, c) · expected BASE and NEW"),
        (["a", "b", "--base-summary", "f"], "got 2 runs (a, b) · expected NEW"),
        (["b", "--base-summary", "f"], "f: does not exist"),
        (["a", "b", "--embed-images"], "--embed-images: nothing is drawn"),
    ],
)
def test_one_new_run_and_one_base_are_wanted(
    vipbench: Vipbench, arguments: list[str], said: str
) -> None:
    ran = vipbench("gate", *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert said in ran.err
