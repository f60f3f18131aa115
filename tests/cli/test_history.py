"""`vipbench history` as a user meets it."""

from pathlib import Path

import pytest

from tests.analysis.test_history import step
from tests.cli.conftest import Vipbench


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number, n_right in ((0, 100), (100, 130), (200, 70)):
        step(tmp_path / "runs" / f"step-{number}", number, n_right)
    return tmp_path / "runs"


def test_history_prints_tables_of_80_columns_and_writes_the_files(
    vipbench: Vipbench, folder: Path
) -> None:
    ran = vipbench("history", str(folder), "-o", "out")
    assert ran.code == 0
    first, *others = ran.out.splitlines()
    assert first.startswith("visual7w_pointing: drops from the start (step 0) at step 200 (")
    assert len(others) < 15
    assert "shape=arrow" not in "".join(others)
    lines = [line for line in ran.out.splitlines() if "│" in line or "┃" in line]
    assert max(map(len, lines)) <= 80
    for kind in ("csv", "json", "md", "pdf", "png", "svg"):
        assert Path("out", f"history.{kind}").stat().st_size
    short = vipbench("history", str(folder), "--by", "shape")
    assert short.out.splitlines()[-1].startswith("every step and kind of mark: --details, or -o")
    whole = vipbench("history", str(folder), "--by", "shape", "--details").out
    assert whole.startswith("\n".join(short.out.splitlines()[:-1]))
    assert "shape=arrow" in whole
    assert "* a drop: p below 0.05 / (k (k + 1))" in whole


def test_mistakes_are_one_line(vipbench: Vipbench, folder: Path) -> None:
    ran = vipbench("history", str(folder / "step-0"))
    assert ran.code == 2
    assert "Traceback" not in ran.err
    assert "expected two or more runs" in ran.err
