"""What readers see of a sweep."""

import io
import json
import re
from pathlib import Path

from rich.console import Console

from tests.analysis.sweep.made import make, two
from vipbench.analysis.sweep.overview import Sweep, sweep
from vipbench.analysis.sweep.text import sentences, tables, write
from vipbench.report.terminal import grid_table


def test_what_is_written_is_what_is_shown(tmp_path: Path) -> None:
    runs = two(tmp_path, [1, 20])
    found = sweep(runs)
    plain, text, page, plot_data = write(found, tmp_path / "out")
    assert Sweep.model_validate(json.loads(plain.read_text())) == found
    console = Console(width=140, file=io.StringIO(), record=True)
    for table in tables(found):
        console.print(grid_table(table))
    shown = console.export_text()
    markdown = text.read_text()
    for expected in ("rectangle:red", "headline", "100.0", "< 0.001"):
        assert expected in shown
        assert expected.replace("<", "\\<") in markdown
    assert "- visual7w_pointing: A beats B under 2 of 2 styles" in markdown
    n_tables = 1 + len(list(tables(found)))  # and that of all styles and models, the first
    assert len(re.findall(r"^\| --- ", markdown, re.MULTILINE)) == n_tables
    assert "\n\n| style | A | B |\n" in markdown[: markdown.index("headline")]
    assert r"\textbf{100.0}" in page.read_text()
    assert len(plot_data.read_text().splitlines()) == 1 + len(found.best) == 5


def test_how_stable_the_order_is_fits_into_80_columns(tmp_path: Path) -> None:
    found = sweep(two(tmp_path, [15, -15, 0]))
    console = Console(width=80, file=io.StringIO(), record=True)
    *_, flips = tables(found)
    console.print(grid_table(flips))
    shown = console.export_text()
    assert all(len(line.rstrip()) <= 80 for line in shown.splitlines())
    assert shown.startswith("visual7w_pointing: pairs of styles between which")
    [line] = [line for line in shown.splitlines() if "A, B" in line]
    assert [cell.strip() for cell in line.strip("│").split("│")][:2] == ["A, B", "1 of 3"]
    *_, said = sentences(found)
    assert said.startswith("visual7w_pointing: tau-b between styles -1.00 on average (")
    assert said.endswith(", -1.00 at least, of official_rectangles and rectangle:red")


def test_models_that_are_all_tied_have_no_tau(tmp_path: Path) -> None:
    *_, said = sentences(sweep(two(tmp_path, [0, 0])))
    assert said == "visual7w_pointing: tau-b between styles is not known: all 2 models are tied"


def test_the_gain_from_the_mark_is_said(tmp_path: Path) -> None:
    values = {"official_rectangles": [1.0] * 30 + [0.0] * 10, "none": [1.0] * 10 + [0.0] * 30}
    found = sweep([make(tmp_path, "m", values, same_image=1)])
    [said] = sentences(found)
    assert said.startswith("visual7w_pointing, m: gain from the mark +50.0 [+3")


def test_without_a_style_with_marks_there_is_no_gain(tmp_path: Path) -> None:
    values = {"none": [1.0] * 10 + [0.0] * 30, "blind": [1.0] * 5 + [0.0] * 35}
    runs = [make(tmp_path / name, name, values, same_image=1) for name in ("m", "n")]
    found = sweep(runs)
    said = [sentence for sentence in sentences(found) if "gain" in sentence]
    assert len(said) == 2
    assert said[0].startswith("visual7w_pointing, m: the gain from the mark is not known: no style")
    assert Sweep.model_validate_json(found.model_dump_json()) == found
    assert "headline" not in {cell for table in tables(found) for row in table.rows for cell in row}
