"""Leaderboards as LaTeX: nothing is wider than 15 cm, and nothing is lost."""

import re

import pytest

from vipbench.report.latex import GAP, LONGEST_LABEL, MOST_LINES, WIDTH, Block, Board, latex_page

CELL = "100.0 [100.0, 100.0]?"
LONG = (
    "a_task_whose_name_is_longer_than_a_label_may_be_and_even_longer_than_a_whole_line_of_a_table"
)


def plain(line: str) -> str:
    """Take the markup off a line, so that its letters are what is printed."""
    for pattern, text in (
        (r"\\multicolumn\{\d+\}\{l\}\{(.*)\} \\\\", r"\1"),
        (r"\\textit\{(.*)\}$", r"\1"),
        (r" \\\\$", ""),
        (r"\\quad ", GAP * " "),
        (r"\{([\[\]])\}", r"\1"),
        (r"\\([_%&$#{}])", r"\1"),
    ):
        line = re.sub(pattern, text, line)
    return line


def tables(page: str) -> list[list[str]]:
    return [
        part.partition(r"\end{table}")[0].splitlines() for part in page.split(r"\begin{table}")[1:]
    ]


def width(lines: list[str]) -> int:
    """Count the characters of the widest line of a table, as wide as its columns make it."""
    begin = next(n for n, line in enumerate(lines) if line.startswith(r"\begin{tabular}"))
    rows = [line for line in lines[begin : lines.index(r"\end{tabular}")] if line.endswith(r"\\")]
    cells = [[plain(cell) for cell in row.split(" & ")] for row in rows if "multicol" not in row]
    whole = [len(plain(row)) for row in rows if "multicol" in row]
    columns = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return max([sum(columns) + GAP * (len(columns) - 1), *whole])


def board(n_models: int, n_styles: int, n_tasks: int, name: str = "m", style: str = "s") -> Board:
    rows = [(f"{style}{k}", n_models * [CELL]) for k in range(n_styles)]
    columns = [(f"{name}{n}", "hf, greedy, float32, seed 0") for n in range(n_models)]
    blocks = [Block(f"{LONG}_{k} v1 (pad, n 250)", rows) for k in range(n_tasks)]
    return Board("A & B", "style", columns, blocks, ("Protocol of all: hf.",))


@pytest.mark.parametrize("name", ["m", "expA/checkpoint-600 (weights 1a2b3c4d)", 100 * "n"])
@pytest.mark.parametrize("style", ["s", "rectangle:red:width=4:alpha=96+tag:letter", 120 * "x"])
def test_no_table_is_wider_than_15_cm_nor_longer_than_a_page(name: str, style: str) -> None:
    page = latex_page([], [board(7, 12, 6, name, style)])
    found = tables(page)
    assert len(found) > 1
    assert max(map(width, found)) <= WIDTH
    for lines in found:
        assert sum(CELL.replace("[", "{[}").replace("]", "{]}") in line for line in lines) <= (
            MOST_LINES
        )
    n_cells = page.count("100.0 {[}100.0, 100.0{]}?")
    assert n_cells == 7 * 12 * 6
    assert page.count(r"\toprule") == page.count(r"\bottomrule") == len(found)
    assert rf"({len(found)} of {len(found)})" in page


def test_long_names_of_models_are_numbers_with_a_legend() -> None:
    [one] = tables(latex_page([], [board(2, 1, 1, "expA/checkpoint-600")]))
    assert r"style & (1) & (2) \\" in one
    [legend] = [line for line in one if line.startswith(r"\parbox{15cm}")]
    assert (
        "Protocol of all: hf. (1) expA/checkpoint-6000: hf, greedy, float32, seed 0. (2)" in legend
    )
    [short] = tables(latex_page([], [board(2, 1, 1)._replace(columns=[("a", ""), ("b_1", "")])]))
    assert r"style & a & b\_1 \\" in short
    assert r"\parbox{15cm}{\footnotesize Protocol of all: hf.}" in short


def test_a_long_label_stands_above_its_row() -> None:
    [lines] = tables(latex_page([], [board(1, 1, 1, style=LONGEST_LABEL * "s")]))
    above = lines.index(rf"\multicolumn{{2}}{{l}}{{\quad {LONGEST_LABEL * 's'}0}} \\")
    assert lines[above + 1].startswith(" & 100.0")


def test_a_page_leaves_out_what_has_no_rows_and_keeps_any_text() -> None:
    empty = board(1, 0, 1)
    hostile = Board("A & B", "50%", [("a_1", "")], [Block("{x}", [("$", ["[y]"])])])
    page = latex_page(["note"], [empty, hostile._replace(blocks=[]), hostile])
    assert page.splitlines()[:2] == [r"% Needs \usepackage{booktabs}.", "% note"]
    [lines] = tables(page)
    assert r"\caption{A \& B}" in lines
    assert r"50\% & a\_1 \\" in lines
    assert r"\multicolumn{2}{l}{\textit{\{x\}}} \\" in lines
    assert r"\$ & {[}y{]} \\" in lines
