import csv
import json
from pathlib import Path

from matplotlib.figure import Figure
from PIL import Image

from tests.analysis.test_history import runs as runs  # a fixture
from vipbench.analysis.history import history
from vipbench.analysis.history_files import _panel, own_color, write


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


def test_the_markers_of_a_drop_are_above_the_dots(runs: list[str]) -> None:
    whole = history(runs).series()[0]
    axes = Figure().subplots()
    _panel(axes, whole, [])
    drawn = {line.get_label(): line for line in axes.get_lines()}
    dots, start, best = (
        drawn[label]
        for label in ("all, 95 % interval", "drop from the start", "drop from the best so far")
    )
    assert dots.get_zorder() < best.get_zorder() < start.get_zorder()
    assert best.get_markerfacecolor() == "white"  # a dot would show through a hollow one
    assert best.get_markersize() > start.get_markersize() > dots.get_markersize()
