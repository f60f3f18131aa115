"""Leaderboards as LaTeX: styles are rows, models are columns, and no table is wider than 15 cm."""

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from vipbench.report.text import latex_text

WIDTH = 88
"""Characters that fit into 15 cm (427 pt) in `\\footnotesize`, which is 8 pt: 4.85 pt for each,
where digits and most letters of Computer Modern are 4.3 pt wide, points and brackets 2.4 pt."""
GAP = 2
"""Characters that the space between two columns takes; `\\tabcolsep` is 3 pt."""
LONGEST_LABEL = 28
"""Of a row; a longer one has a line to itself above its row."""
LONGEST_HEAD = 16
"""Characters of a model's name above its column; where one is longer, all have numbers."""
MOST_LINES = 45
"""Of a table, as far as whole blocks allow; more do not fit on a page."""


class Cell(NamedTuple):
    """A cell whose first word may be bold, and which may have a star behind it."""

    text: str
    bold: bool = False
    star: bool = False


class Block(NamedTuple):
    """Rows that belong together, such as the styles of a task."""

    heading: str
    """What all of them share."""
    rows: Sequence[tuple[str, Sequence[str | Cell]]]
    """Label, and a cell for each column."""


class Board(NamedTuple):
    """A table of plain text; its rows are in blocks, and a legend may name its columns."""

    title: str
    label: str
    """What the labels of the rows are."""
    columns: Sequence[tuple[str, str]]
    """Name of a column, and what the legend says of it beside; empty: nothing."""
    blocks: Sequence[Block]
    legend: Sequence[str] = ()
    """What holds of all columns."""


def latex_page(notes: Iterable[str], boards: Iterable[Board]) -> str:
    """Lay out boards one after another, below notes as comments; those without rows are left out.

    A board that is too wide or too long for a page is continued in further tables.
    """
    parts = ["% Needs \\usepackage{booktabs}.", *(f"% {note}" for note in notes)]
    for board in boards:
        tables = list(_tables(board))
        for number, lines in enumerate(tables, 1):
            part = f" ({number} of {len(tables)})" if len(tables) > 1 else ""
            parts += ["", r"\begin{table}", rf"\caption{{{latex_text(board.title + part)}}}"]
            parts += [*lines, r"\end{table}"]
    return "\n".join(parts) + "\n"


def fewest_tables(boards: Sequence[Board]) -> Board:
    """Return the first of several forms of a board that takes no more tables than any other."""
    return min(boards, key=lambda board: sum(1 for _ in _tables(board)))


def _tables(board: Board) -> Iterator[list[str]]:
    """Yield the inside of each table that a board takes."""
    names = [name for name, _ in board.columns]
    is_numbered = any(len(name) > LONGEST_HEAD for name in names)
    heads = [f"({n})" for n in range(1, len(names) + 1)] if is_numbered else names
    for blocks in _pages(board.blocks):
        labels = [label for block in blocks for label, _ in block.rows]
        widest = max(len(label) for label in [board.label, *labels] if len(label) <= LONGEST_LABEL)
        cells = [[cells for _, cells in block.rows] for block in blocks]
        widths = [
            max([len(head), *(_length(row[n]) for rows in cells for row in rows)])
            for n, head in enumerate(heads)
        ]
        for shown in _side_by_side(widths, WIDTH - widest):
            legend = [*board.legend]
            for n in shown:
                name, more = board.columns[n]
                text = f"{heads[n]} {name}" if is_numbered else name
                said = f"{text}: {more}" if more else text
                legend += [f"{said}."] if is_numbered or more else []
            yield _table(board.label, [heads[n] for n in shown], shown, blocks, legend)


def _pages(blocks: Sequence[Block]) -> Iterator[list[Block]]:
    """Yield the blocks that stand in one table."""
    page: list[Block] = []
    for block in blocks:
        if page and sum(len(each.rows) + 1 for each in (*page, block)) > MOST_LINES:
            yield page
            page = []
        page.append(block)
    if any(block.rows for block in page):
        yield page


def _side_by_side(widths: Sequence[int], room: int) -> Iterator[list[int]]:
    """Yield the numbers of the columns that fit beside each other, at least one."""
    shown: list[int] = []
    for n in range(len(widths)):
        if shown and sum(widths[k] + GAP for k in (*shown, n)) > room:
            yield shown
            shown = []
        shown.append(n)
    if shown:
        yield shown


def _table(
    label: str,
    heads: Sequence[str],
    shown: Sequence[int],
    blocks: Sequence[Block],
    legend: Sequence[str],
) -> list[str]:
    n = len(heads) + 1
    lines = [
        r"\footnotesize",
        r"\setlength{\tabcolsep}{3pt}",
        rf"\begin{{tabular}}{{l{'r' * len(heads)}}}",
        r"\toprule",
        _line([label, *heads]),
        r"\midrule",
    ]
    for number, block in enumerate(blocks):
        lines += [r"\addlinespace"] if number else []
        wrapped = textwrap.wrap(block.heading, WIDTH, break_on_hyphens=False)
        lines += [_across(n, rf"\textit{{{latex_text(line)}}}") for line in wrapped]
        for text, cells in block.rows:
            if len(text) > LONGEST_LABEL:
                folded = textwrap.wrap(text, WIDTH - GAP, break_on_hyphens=False)
                lines += [_across(n, rf"\quad {latex_text(line)}") for line in folded]
                text = ""
            lines.append(_line([text, *(cells[column] for column in shown)]))
    lines += [r"\bottomrule", r"\end{tabular}"]
    if legend:
        lines += ["", r"\smallskip"]
        lines.append(rf"\parbox{{15cm}}{{\footnotesize {latex_text(' '.join(legend))}}}")
    return lines


def _across(n: int, text: str) -> str:
    return rf"\multicolumn{{{n}}}{{l}}{{{text}}} \\"


def _line(cells: Iterable[str | Cell]) -> str:
    return " & ".join(map(_cell_text, cells)) + r" \\"


def _cell_text(cell: str | Cell) -> str:
    """Escape a cell; one without a star keeps its place, so that numbers stand below each other."""
    if isinstance(cell, str):
        return latex_text(cell)
    first, space, rest = cell.text.partition(" ")
    number = rf"\textbf{{{latex_text(first)}}}" if cell.bold else latex_text(first)
    return number + space + latex_text(rest) + ("*" if cell.star else r"\phantom{*}")


def _length(cell: str | Cell) -> int:
    return len(cell if isinstance(cell, str) else f"{cell.text}*")
