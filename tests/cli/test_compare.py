"""`vipbench compare` as a user meets it."""

import re
from pathlib import Path

from tests.analysis.test_pairs import V7W, run
from tests.cli.conftest import Vipbench
from tests.results import lines


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
