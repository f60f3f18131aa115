"""`vipbench ls` as a user meets it."""

from pathlib import Path

import pytest

from tests.cli.conftest import Vipbench
from vipbench.runfolder.folder import MANIFEST


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("tasks", ["vcr_q2ar", "visual7w_pointing", "57,265"]),
        ("styles", ["official_rectangles", "demo_unseen", "blind"]),
        ("runners", ["vipllava", "oracle"]),
        ("suites", ["demo"]),
    ],
)
def test_ls(vipbench: Vipbench, what: str, words: list[str]) -> None:
    code, out, _ = vipbench("ls", what)
    assert code == 0
    assert all(word in out for word in words)


def test_ls_runs(vipbench: Vipbench, done: Path) -> None:
    assert vipbench("ls", "runs").out == "no runs in results/runs\n"
    (Path("broken")).mkdir()
    Path("broken", MANIFEST).write_text("{}")
    code, out, err = vipbench("ls", "runs", "--runs", ".")
    assert code == 0
    _, _, row, place = out.splitlines()
    assert row.startswith("oracle ")
    assert place.startswith("    done ")
    assert "broken" in err


def test_ls_runs_names_a_manifest_that_is_a_link_to_nothing(
    vipbench: Vipbench, tmp_path: Path
) -> None:
    (tmp_path / "lost").mkdir()
    (tmp_path / "lost" / MANIFEST).symlink_to(tmp_path / "unmounted")
    assert "lost/manifest.json: does not exist" in vipbench("ls", "runs", "--runs", tmp_path).err
