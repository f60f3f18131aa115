"""The example package of tests/data/plugin_example, installed as a third party would install it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
CLI = "from vipbench.cli import main; main()"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install a copy of the package, without a network, into a folder of its own."""
    work = tmp_path_factory.mktemp("plugin")
    shutil.copytree(HERE / "data" / "plugin_example", work / "source")
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--no-cache-dir"]
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", *options]
    subprocess.run([*command, "--target", str(work / "site"), str(work / "source")], check=True)
    return work / "site"


def vipbench(installed: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    places = [str(installed), str(HERE.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    return subprocess.run(
        [sys.executable, "-c", CLI, *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(places)},
        cwd=folder,
        capture_output=True,
        text=True,
    )


def test_task_style_suite_and_runner_are_found(installed: Path, tmp_path: Path) -> None:
    for what, names in {
        "tasks": ["example_flags", "vcr_qa"],
        "styles": ["example_black", "demo"],
        "suites": ["example", "demo"],
        "runners": ["example_pixels", "oracle"],
    }.items():
        done = vipbench(installed, tmp_path, "ls", what)
        assert done.returncode == 0, done.stderr
        assert all(name in done.stdout for name in names)


def test_the_runner_answers_the_task_in_a_run(installed: Path, tmp_path: Path) -> None:
    command = ["run", "--suite", "example", "--runner", "example_pixels", "-o", "here"]
    done = vipbench(installed, tmp_path, *command)
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "here" / "summary.json").read_text(encoding="utf-8"))
    accuracy = {row["style"]: row["accuracy"] for row in rows if row["group"] == "all"}
    # it reads the pixels: without the mark, or without the image, there is nothing to read
    assert accuracy == {"example_black": 1.0, "none": 0.0, "blind": 0.0}
    assert {row["group"] for row in rows} >= {"side=left", "side=right"}


def test_its_shape_is_drawn_in_a_run(installed: Path, tmp_path: Path) -> None:
    """Where the runner finds black pixels, the mark was drawn."""
    style = "frame corners:#000000:alpha=255:width=1"
    command = ["run", "--tasks", "example_flags", "--runner", "example_pixels", "--styles", style]
    done = vipbench(installed, tmp_path, *command, "-o", "corners")
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "corners" / "summary.json").read_text(encoding="utf-8"))
    assert [row["accuracy"] for row in rows if row["group"] == "all"] == [1.0]
    asked = (tmp_path / "corners" / "requests.jsonl").read_text(encoding="utf-8").splitlines()
    assert all('"shape":"frame corners"' in line for line in asked)


def test_without_the_package_the_task_is_unknown(tmp_path: Path) -> None:
    done = vipbench(tmp_path, tmp_path, "ls", "tasks")
    assert done.returncode == 0
    assert "example_flags" not in done.stdout
