"""The figure of a sweep: all that is in it, and the same bytes for the same runs."""

import xml.etree.ElementTree as Xml
from pathlib import Path

import pytest
from PIL import Image

from tests.analysis.sweep.made import Values, coins, make
from vipbench.analysis.sweep.board import StyleBoard, boards
from vipbench.analysis.sweep.figure import bounds, figure_files
from vipbench.analysis.sweep.overview import sweep

VALUES: Values = {
    "official_rectangles": coins(1, 0.9, 200),
    "rectangle:red": coins(2, 0.85, 200),
    "wrong": [0.0] * 200,
}


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> StyleBoard:
    folder = tmp_path_factory.mktemp("runs")
    [found] = boards(sweep([make(folder / name, name, VALUES) for name in ("a", "b $x$")]).best)
    return found


def test_a_figure_is_written_as_pdf_svg_and_png(board: StyleBoard, tmp_path: Path) -> None:
    paths = figure_files(board, tmp_path / "new", "sweep-t")
    assert [path.name for path in paths] == ["sweep-t.pdf", "sweep-t.svg", "sweep-t.png"]
    assert paths[0].read_bytes().startswith(b"%PDF")
    assert b"CreationDate" not in paths[0].read_bytes()
    text = "".join(Xml.parse(paths[1]).getroot().itertext())
    said = ("rectangle:red", "b $x$", "best", "without marks", "← 0.0", "accuracy, %")
    assert [each for each in said if each not in text] == []
    assert "a, official_rectangles: " in text
    assert "(best)" in text
    with Image.open(paths[2]) as picture:
        assert picture.width > 600


def test_equal_runs_give_equal_drawings(board: StyleBoard, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        figure_files(board, tmp_path / folder, "f")
    for kind in ("svg", "pdf"):
        assert (tmp_path / f"a/f.{kind}").read_bytes() == (tmp_path / f"b/f.{kind}").read_bytes()


def test_the_scale_shows_what_differs(board: StyleBoard) -> None:
    low, high = bounds(list(board.rows.values()))
    assert 70 < low < 80  # of the styles with marks; the control is at 0
    assert 92 < high <= 102
    same = [row.model_copy(update={"ci_low": 0.5, "ci_high": 0.5}) for row in board.rows.values()]
    low, high = bounds(same)
    assert (low + high) / 2 == pytest.approx(50)
    assert high - low >= 10


def test_many_models_and_long_names_are_drawn(board: StyleBoard, tmp_path: Path) -> None:
    models = tuple(f"model {n} " + 60 * "x" for n in range(6))
    rows = {(style, model): board.rows[style, "a"] for style in board.styles for model in models}
    many = board._replace(models=models, rows=rows, task=300 * "t")
    assert len(figure_files(many, tmp_path, "f")) == 3
