"""compare, gate and power as they are typed, and the recipe for CI as it is written."""

import os
import re
import subprocess
import sys
import xml.etree.ElementTree as Xml
from pathlib import Path

import pytest
import yaml

from tests.analysis.test_gate import answers, certificate
from tests.analysis.test_pairs import V7W, run
from tests.cli.conftest import Vipbench
from tests.results import lines

REPO = Path(__file__).parent.parent.parent


@pytest.fixture
def folders(tmp_path: Path) -> tuple[str, str]:
    base = run(tmp_path / "base", answers(200))
    return base, run(tmp_path / "new", answers(200, lost=20), model="new")


def test_compare_prints_a_table_and_writes_the_files(
    vipbench: Vipbench, folders: tuple[str, str]
) -> None:
    ran = vipbench("compare", *folders, "-o", "out")
    assert ran.code == 0
    assert "model: vip → new" in ran.err
    assert re.search(rf"{V7W} │ 100.0 │ 90.0 │ -10.0 \[-1\d.\d, -\d.\d\] │ < 0.001", ran.out)
    for name in ("compare.md", "compare.csv", "compare.json", "flips.csv", "forest.svg"):
        assert f"out/{name}" in ran.out
        assert Path("out", name).exists()


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


def test_compare_without_out_writes_nothing(
    vipbench: Vipbench, folders: tuple[str, str], tmp_path: Path
) -> None:
    before = sorted(tmp_path.iterdir())
    assert vipbench("compare", *folders).code == 0
    assert sorted(tmp_path.iterdir()) == before


def test_runs_that_cannot_be_paired_are_a_mistake_of_the_user(
    vipbench: Vipbench, folders: tuple[str, str], tmp_path: Path
) -> None:
    other = run(tmp_path / "other", lines(V7W, [1.0] * 5))
    ran = vipbench("compare", folders[0], other)
    assert ran.code == 2
    assert "cannot be paired: 195 samples of visual7w_pointing are in one of them only" in ran.err
    assert "Traceback" not in ran.err


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


def test_power_takes_runs_or_numbers(vipbench: Vipbench, folders: tuple[str, str]) -> None:
    ran = vipbench("power", "--n", "3000", "--discordance", "0.15", "--design-effect", "1.25")
    assert ran.code == 0
    assert re.search(r"3,000 +- +15.0 % +1.25 +1.96 points +2,896\n", ran.out)
    assert vipbench("power", folders[0]).out.count(V7W) == 3
    assert "(measured)" in vipbench("power", *folders).out
    for arguments in ((), (folders[0], "--n", "5")):
        ran = vipbench("power", *arguments)
        assert ran.code == 2
        assert "expected either a run or --n" in ran.err


# --- the recipe in docs/gate.md


def steps() -> list[str]:
    """Return the commands of the workflow that the page shows, but for the installation."""
    page = (REPO / "docs" / "gate.md").read_text(encoding="utf-8")
    [block] = re.findall(r"```yaml\n(name: .*?)```", page, re.DOTALL)
    [job] = yaml.safe_load(block)["jobs"].values()
    commands = [str(step["run"]) for step in job["steps"] if "run" in step]
    return [command for command in commands if not command.startswith("pip install")]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make what a job finds: a checkout, and the program on the path."""
    folder = tmp_path_factory.mktemp("job")
    for name in ("vipbench", "tasks", "results"):
        (folder / name).symlink_to(REPO / name)
    (folder / "bin").mkdir()
    program = folder / "bin" / "vipbench"
    program.write_text(
        f"#!/bin/sh\nexec {sys.executable} -c 'from vipbench.cli import main; main()' \"$@\"\n"
    )
    program.chmod(0o755)
    return folder


def test_the_recipe_finds_that_the_early_checkpoint_is_worse(checkout: Path) -> None:
    environment = os.environ | {
        "PATH": f"{checkout / 'bin'}:{os.environ['PATH']}",
        "PYTHONPATH": str(REPO),
        "GITHUB_STEP_SUMMARY": str(checkout / "step_summary.md"),
    }
    codes = {}
    for command in steps():
        done = subprocess.run(
            ["bash", "-e", "-c", command], cwd=checkout, env=environment, capture_output=True
        )
        codes[command.split()[1]] = done.returncode
        assert b"Traceback" not in done.stderr, done.stderr.decode()
    assert codes == {"run": 0, "gate": 1, "compare": 0}
    assert (checkout / "step_summary.md").read_text(encoding="utf-8").startswith("## FAILED")
    [suite] = Xml.parse(checkout / "gate" / "junit.xml").getroot()
    assert int(suite.get("failures", "0")) >= 1
    assert (checkout / "gate" / "compare" / "forest.png").exists()
    itself = subprocess.run(
        [checkout / "bin" / "vipbench", "gate", "gate/base", "gate/base"],
        cwd=checkout,
        env=environment,
        capture_output=True,
    )
    assert itself.returncode == 0, itself.stderr.decode()
