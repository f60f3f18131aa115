"""Numbers, tables and markup as readers see them: one spelling of each, for all that is written.

Knows no run and no model. Fractions come in; percent and percentage points go out.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from vipbench.files import csv_text

MISSING = "-"
"""What is shown where there is no value."""
SMALLEST_P = 0.001
"""Smaller p-values are shown as smaller than this."""

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a cell begins with that spreadsheets run (OWASP, CSV injection)."""
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?(e[+-]?\d+)?", re.ASCII)


# --- numbers


def number(value: float | None, digits: int) -> str:
    """Write a number with a fixed number of decimals: `0.67`."""
    return MISSING if value is None else f"{value:.{digits}f}"


def signed(value: float | None, digits: int) -> str:
    """Write a number with its sign, zero without one: `+0.67`, `0.00`."""
    if value is None:
        return MISSING
    text = f"{value:+.{digits}f}"
    return text[1:] if float(text) == 0 else text


def percent(value: float | None, digits: int = 1) -> str:
    """Write a fraction in percent, without the unit: `81.2`."""
    return MISSING if value is None else number(100 * value, digits)


def points(value: float | None, digits: int = 1) -> str:
    """Write a difference of fractions in percentage points, with its sign: `-3.2`."""
    return MISSING if value is None else signed(100 * value, digits)


def percent_interval(
    value: float | None, low: float | None, high: float | None, digits: int = 1
) -> str:
    """Write a fraction in percent with its interval: `81.2 [76.1, 85.4]`."""
    if value is None or low is None or high is None:
        return MISSING
    return f"{percent(value, digits)} [{percent(low, digits)}, {percent(high, digits)}]"


def points_interval(value: float | None, low: float | None, high: float | None) -> str:
    """Write a difference of fractions in points with its interval: `-3.2 [-5.1, -1.3]`."""
    if value is None or low is None or high is None:
        return MISSING
    return f"{points(value)} [{points(low)}, {points(high)}]"


def p_text(value: float | None) -> str:
    """Write a p-value: `0.031`, `< 0.001`."""
    if value is None:
        return MISSING
    return f"< {SMALLEST_P}" if value < SMALLEST_P else number(value, 3)


def counted(n: int, noun: str) -> str:
    """Write a number of things whose plural has an s: `1 run`, `2,000 runs`."""
    return f"{n:,} {noun}{'s' * (n != 1)}"


# --- tables


class Grid(NamedTuple):
    """A table of plain text; what is markup in a format is escaped by the writer of the format."""

    title: str
    header: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    words: tuple[int, ...] = (0, 1)
    """Columns that are aligned left; the others hold numbers and are aligned right."""

    def without(self, names: Collection[str]) -> "Grid":
        """Leave out the columns with some headers."""
        kept = [index for index, name in enumerate(self.header) if name not in names]
        return self._replace(
            header=tuple(self.header[index] for index in kept),
            rows=[tuple(row[index] for index in kept) for row in self.rows],
            words=tuple(number for number, index in enumerate(kept) if index in self.words),
        )


def markdown_table(grid: Grid) -> str:
    """Lay out a table without its title, whatever its cells hold."""
    lines = [grid.header, ["---"] * len(grid.header), *grid.rows]
    return "\n".join("| " + " | ".join(map(markdown_text, line)) + " |" for line in lines)


def markdown_section(grid: Grid) -> str:
    """Lay out a table below its title."""
    return f"## {markdown_text(grid.title)}\n\n{markdown_table(grid)}"


def markdown_list(items: Iterable[str]) -> str:
    """Lay out texts as a list."""
    return "\n".join(f"- {markdown_text(item)}" for item in items)


def markdown_page(parts: Iterable[str]) -> str:
    """Join the parts of a page, which are Markdown; empty ones are left out."""
    return "\n\n".join(part for part in parts if part) + "\n"


def markdown_text(text: str) -> str:
    """Escape what Markdown would read as more than text; line breaks become spaces."""
    return re.sub(r"([\\|<`*])", r"\\\1", " ".join(text.split()))


_LATEX = {
    **{c: f"\\{c}" for c in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    # After the end of a line, LaTeX reads [ as the start of an argument.
    "[": "{[}",
    "]": "{]}",
}


def latex_text(text: str) -> str:
    """Escape what LaTeX would read as more than text; line breaks become spaces."""
    return "".join(_LATEX.get(c, c) for c in " ".join(text.split()))


def csv_table(fields: Iterable[str], rows: Iterable[Mapping[str, object]]) -> str:
    """Write records as CSV: a column a field, `true` and `false`, nothing for None.

    A text that a spreadsheet would run as a formula has an apostrophe before it.
    """
    names = list(fields)
    return csv_text([names, *([_csv_value(row.get(name)) for name in names] for row in rows)])


def _csv_value(value: object) -> object:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str) and value.startswith(FORMULA) and not _NUMBER.fullmatch(value):
        return f"'{value}"
    return value


# --- other markup


def xml_text(text: str) -> str:
    """Replace the characters that XML 1.0 cannot hold, which ids of samples may."""
    return re.sub("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "�", text)


def plot_text(text: str) -> str:
    """Escape the dollar signs, between which matplotlib would read a formula."""
    return text.replace("$", r"\$")
