"""Styles as rows and models as columns, in a terminal, in Markdown and in LaTeX."""

import io
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from tests.analysis.sweep.made import make
from tests.report.test_latex import tables, width
from vipbench.analysis.sweep.board import (
    LEGEND,
    StyleBoard,
    boards,
    latex_page,
    legend,
    markdown_grid,
    terminal_grids,
)
from vipbench.analysis.sweep.overview import sweep
from vipbench.report.latex import WIDTH
from vipbench.report.terminal import FittingTable

STYLES = [
    *("official_rectangles", "rectangle:red", "ellipse:red:width=4:alpha=96", "arrow:blue"),
    *("point:red", "mask:red", "rectangle:red+tag:letter", "triangle:red", "mask contour:blue"),
    *("scribble:red", "ellipse:blue", "none"),
]


def twelve(folder: Path, models: list[str], n: int = 60) -> StyleBoard:
    rng = np.random.default_rng(0)
    shares = [0.7, 1.0, 0.97, *np.linspace(0.7, 0.2, 9)]
    for number, model in enumerate(models):
        values = {
            style: [float(x) for x in rng.random(n) < share]
            for style, share in zip(STYLES, shares, strict=True)
        }
        make(folder / str(number), model, values)
    [board] = boards(sweep([folder / str(number) for number in range(len(models))]).best)
    return board


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> StyleBoard:
    return twelve(tmp_path_factory.mktemp("runs"), ["a", "expA/checkpoint-600 of somebody", "c"])


def shown(board: StyleBoard, columns: int) -> list[str]:
    console = Console(width=columns, file=io.StringIO(), record=True)
    below = legend(board)
    console.print(FittingTable(terminal_grids(board), below, len(board.marked)))
    return [line.rstrip() for line in console.export_text().splitlines()]


def test_twelve_styles_of_three_models_fit_into_80_columns(board: StyleBoard) -> None:
    long = board._replace(task="a_task_whose_name_is_longer_than_a_terminal_is_wide_" * 2)
    lines = shown(long, 80)
    assert max(map(len, lines)) <= 80
    cells = [[cell.strip() for cell in line.strip("│").split("│")] for line in lines]
    assert [row[0] for row in cells if len(row) == 4] == [*board.styles]
    first = next(row for row in cells if row[0] == "rectangle:red")
    assert first[1:] == ["* 100.0"] * 3
    assert lines[-4:] == [LEGEND, "(1) a", "(2) expA/checkpoint-600 of somebody", "(3) c"]
    assert any("* 100.0 [88-100]" in line for line in shown(board, 120))


def test_rows_are_sorted_and_controls_stand_apart(board: StyleBoard) -> None:
    assert board.unmarked == ("none",)
    means = [
        sum(board.rows[style, model].accuracy for model in board.models) for style in board.marked
    ]
    assert means == sorted(means, reverse=True)
    assert board.styles[0] == "rectangle:red"
    lines = shown(board, 80)
    [at] = [n for n, line in enumerate(lines) if line.startswith("│ none")]
    assert lines[at - 1].startswith("├─")


def test_markdown_has_the_names_and_all_digits(board: StyleBoard) -> None:
    grid = markdown_grid(board)
    assert grid.header == ("style", *board.models)
    assert grid.rows[0][1].startswith("100.0 [88.")
    assert grid.rows[0][1].endswith(" *")
    assert grid.title.endswith(f"(n 60); {LEGEND}")


def test_latex_is_one_table_of_15_cm_with_the_best_bold(board: StyleBoard) -> None:
    page = latex_page([board], [])
    [table] = tables(page)
    text = "\n".join(table).replace(r"\phantom{*}", "*").replace(r"\textbf{100.0}", "100.0")
    assert width(text.splitlines()) <= WIDTH
    standings = [row.standing for row in board.rows.values()]
    assert page.count(r"\textbf{100.0}") == standings.count("best")
    assert page.count("{]}*") == standings.count("open") > 0
    assert r"\toprule" in page
    assert r"\textit{without marks}" in page


def test_latex_gives_up_digits_before_it_gives_up_a_model(tmp_path: Path) -> None:
    many = twelve(tmp_path, list("abcdef"), n=30)
    [table] = tables(latex_page([many], []))
    assert r"\textbf{100.0}" in "".join(table)
    assert "{[}" not in "".join(table)


def test_a_style_that_a_model_was_not_asked_under_is_left_open(tmp_path: Path) -> None:
    values = {"official_rectangles": [1.0, 0.0] * 10, "rectangle:red": [1.0] * 20}
    a = make(tmp_path / "a", "a", values)
    b = make(tmp_path / "b", "b", {"official_rectangles": [1.0] * 20})
    [board] = boards(sweep([a, b]).best)
    assert ("rectangle:red", "b") not in board.rows
    for grid in (*terminal_grids(board), markdown_grid(board)):
        [row] = [row for row in grid.rows if row[0] == "rectangle:red"]
        assert row[2].strip() == "-"
    assert "rectangle:red & " in latex_page([board], [])


def test_styles_that_not_all_models_have_stand_behind_the_others(tmp_path: Path) -> None:
    values = {"official_rectangles": right(39), "rectangle:red": right(20)}
    more = {"arrow:red": right(34), "point:red": right(38), "official_rectangles": right(24)}
    make(tmp_path / "a", "a", values)
    make(tmp_path / "b", "b", {**more, "rectangle:red": right(20)})
    make(tmp_path / "c", "c", {"official_rectangles": right(10), "rectangle:red": right(20)})
    [board] = boards(sweep([tmp_path / name for name in "abc"]).best)
    assert board.marked == ("official_rectangles", "rectangle:red", "point:red", "arrow:red")


def test_a_model_of_one_style_has_no_best(tmp_path: Path) -> None:
    make(tmp_path / "a", "a", {"official_rectangles": right(39), "rectangle:red": right(20)})
    make(tmp_path / "b", "b", {"official_rectangles": right(24), "none": right(10)})
    [board] = boards(sweep([tmp_path / "a", tmp_path / "b"]).best)
    assert board.rows["official_rectangles", "a"].standing == "best"
    assert board.rows["official_rectangles", "b"].standing == "only"
    text = "\n".join(shown(board, 80))
    assert "*  97.5" in text
    assert "*  60.0" not in text
    assert "60.0" in text
    assert len(board.sentences()) == 1


def right(n_right: int, n: int = 40) -> list[float]:
    return [1.0] * n_right + [0.0] * (n - n_right)
