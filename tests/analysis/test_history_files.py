import csv
import json
from pathlib import Path

from PIL import Image

from tests.analysis.test_history import runs as runs  # a fixture
from vipbench.analysis.history import history
from vipbench.analysis.history_files import own_color, write


def test_the_files_hold_the_rows_and_are_the_same_each_time(
    runs: list[str], tmp_path: Path
) -> None:
    found = history(runs)
    paths = write(found, tmp_path / "a")
    assert [path.name.partition(".")[2] for path in paths] == [
        "csv", "json", "md", "pdf", "png", "svg"
    ]  # fmt: skip
    content = json.loads((tmp_path / "a" / "history.json").read_text())
    assert content["steps"] == [0, 100, 200, 300]
    assert len(content["rows"]) == len(found.rows) == 12
    with (tmp_path / "a" / "history.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["dropped_from_start"] for row in rows[:4]] == ["false", "false", "false", "true"]
    with Image.open(tmp_path / "a" / "history.png") as picture:
        assert picture.width > 800
    assert (tmp_path / "a" / "history.pdf").read_bytes().startswith(b"%PDF")
    assert "drop from the start" in (tmp_path / "a" / "history.svg").read_text()
    write(found, tmp_path / "b")
    for path in paths:
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes(), path.name


def test_a_kind_of_mark_that_is_a_colour_has_its_own_colour() -> None:
    assert own_color("color=red") == "#ff0000"
    assert own_color("color=lime") == "#00ff00"
    assert own_color("color=green=#00aa00") == "#00aa00"
    assert own_color("target_color=brown") == "#a52a2a"
    assert own_color("shape=ellipse") is None
    assert own_color("color=mixed") is None
    assert own_color("option=k") is None
