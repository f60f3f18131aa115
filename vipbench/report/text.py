"""numbers, Markdown, LaTeX, CSV: written in one place."""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from vipbench.runfolder.summary import Row
from vipbench.stats import MIN_CLUSTERS

# --- words and tables


def points(value: float | None) -> str:
    """Write a difference in percentage points, with its sign: `-3.2`."""
    if value is None:
        return MISSING
    text = f"{100 * value:+.1f}"
    return text[1:] if float(text) == 0 else text


def percent(value: float | None) -> str:
    """Write a share in percent: `81.2`."""
    return MISSING if value is None else f"{100 * value:.1f}"


def p_text(value: float | None) -> str:
    """Write a p-value: `0.031`, `<0.001`."""
    if value is None:
        return MISSING
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Lay out a table, whatever its cells hold."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(markdown_text, line)) + " |" for line in lines)


def markdown_text(text: str) -> str:
    """Escape what Markdown would read as more than text."""
    return re.sub(r"([\\|<`*])", r"\\\1", " ".join(text.split()))


MISSING = "-"
"""What a table shows where there is no value."""


class Grid(NamedTuple):
    """A table of plain text."""

    title: str
    header: tuple[str, ...]
    lines: list[tuple[str, ...]]


def row_percent(row: Row) -> str:
    """Write an accuracy in percent with its interval: `81.2 [76.1, 85.4]`, `?` where unreliable."""
    if row.accuracy is None or row.ci_low is None or row.ci_high is None:
        return MISSING
    interval = f"[{100 * row.ci_low:.1f}, {100 * row.ci_high:.1f}]"
    return f"{100 * row.accuracy:.1f} {interval}{doubt(row)}"


def doubt(row: Row) -> str:
    return "?" if row.n_clusters < MIN_CLUSTERS else ""


# --- formats


def markdown(title: str, notes: Sequence[str], grids: Iterable[Grid]) -> str:
    parts = [f"# {title}", *notes]
    for grid in grids:
        if grid.lines:
            head = [_markdown_line(grid.header), "|" + " --- |" * len(grid.header)]
            parts += [f"## {_markdown_text(grid.title)}"]
            parts += ["\n".join([*head, *map(_markdown_line, grid.lines)])]
    return "\n\n".join(parts) + "\n"


def _markdown_line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(map(_markdown_text, cells)) + " |"


def _markdown_text(text: str) -> str:
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


def latex(notes: Sequence[str], grids: Iterable[Grid]) -> str:
    parts = ["% Needs \\usepackage{booktabs}.", *(f"% {note}" for note in notes)]
    for grid in grids:
        if not grid.lines:
            continue
        parts += [
            "",
            r"\begin{table}",
            rf"\caption{{{_latex_text(grid.title)}}}",
            rf"\begin{{tabular}}{{ll{'r' * (len(grid.header) - 2)}}}",
            r"\toprule",
            _latex_line(grid.header),
            r"\midrule",
            *map(_latex_line, grid.lines),
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
        ]
    return "\n".join(parts) + "\n"


def _latex_line(cells: Sequence[str]) -> str:
    return " & ".join(map(_latex_text, cells)) + r" \\"


def _latex_text(text: str) -> str:
    return "".join(_LATEX.get(c, c) for c in " ".join(text.split()))


def _csv(rows: Iterable[Row]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(Row.model_fields), lineterminator="\n")
    writer.writeheader()
    for row in rows:
        fields = row.model_dump(mode="json")
        writer.writerow(fields | {"synthetic": str(row.synthetic).lower()})
    return text.getvalue()
