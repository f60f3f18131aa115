"""A comparison as people read it: tables and Markdown."""

from collections.abc import Iterable

from vipbench.analysis.compare import CompareRow, Comparison
from vipbench.report.text import (
    Grid,
    markdown_page,
    markdown_table,
    markdown_text,
    p_text,
    percent,
    points_interval,
)
from vipbench.runfolder.summary import ALL

HEADER = (
    "task",
    "base",
    "new",
    "difference",
    "p",
    "Holm",
    "gained",
    "lost",
    "n",
    "images",
    "errors",
    "unparsed",
)
TROUBLES = ("errors", "unparsed")
CHANGE = "{} → {}"
"""How many of a trouble base and new have."""


def table(title: str, rows: Iterable[CompareRow]) -> Grid:
    """Lay out rows, in percent and percentage points; unreliable intervals are marked."""
    return Grid(title, HEADER, [_cells(row) for row in rows], words=(0,))


def spare(grid: Grid) -> list[tuple[str, ...]]:
    """Return columns that a narrow terminal is spared, first to go first; compare.md has them all.

    A kind of trouble is left out only where there was none of it.
    """
    columns = dict(zip(grid.header, zip(*grid.rows, strict=True), strict=True))
    untroubled = tuple(name for name in TROUBLES if set(columns[name]) == {CHANGE.format(0, 0)})
    return [("images",), untroubled, ("p",), ("gained", "lost"), ("n",), ("Holm",)]


def _cells(row: CompareRow) -> tuple[str, ...]:
    difference = points_interval(row.difference, row.ci_low, row.ci_high)
    if row.difference is not None and not row.reliable:
        difference += " (unreliable)"
    return (
        row.label,
        percent(row.accuracy_base),
        percent(row.accuracy_new),
        difference,
        p_text(row.p),
        p_text(row.p_holm),
        str(row.n_gained),
        str(row.n_lost),
        f"{row.n:,}",
        f"{row.n_clusters:,}",
        CHANGE.format(row.n_errors_base, row.n_errors_new),
        CHANGE.format(row.n_unparsed_base, row.n_unparsed_new),
    )


def markdown(comparison: Comparison) -> str:
    """Lay out a comparison: for each run a table of tasks, after it one of groups."""
    parts = [
        "# Comparison",
        "Accuracy in percent; difference, new minus base, in percentage points with its 95 % "
        "interval, paired by sample and clustered by image. Holm: p-value adjusted for all tasks "
        "(or all groups) of this page. Gained: wrong to right; lost: right to wrong; each is "
        "listed in flips.csv. Errors have no score and are left out of the difference; answers "
        "that could not be parsed count as wrong.",
    ]
    if any(row.synthetic for row in comparison.rows):
        parts.append("Synthetic data: the embedded benchmark, not the published data.")
    parts += [f"- {markdown_text(note)}" for note in (*comparison.differences, *comparison.notes)]
    for new in dict.fromkeys(row.new for row in comparison.rows):
        rows = [row for row in comparison.rows if row.new == new]
        title = rows[0].title
        parts.append(f"## {markdown_text(title)}")
        styles = dict.fromkeys((row.style_base, row.style_new) for row in rows)
        parts.append("Style: " + "; ".join(a if a == b else f"{a} → {b}" for a, b in styles))
        if any(row.n_base_only or row.n_new_only for row in rows):
            parts.append(_overlap(rows))
        for whole in (True, False):
            chosen = [row for row in rows if (row.group == ALL) is whole]
            if chosen:
                parts.append(markdown_table(table(title, chosen)))
    return markdown_page(parts)


def _overlap(rows: Iterable[CompareRow]) -> str:
    lone = [
        f"{row.task} {row.n_base_only:,} and {row.n_new_only:,}"
        for row in rows
        if row.n_base_only or row.n_new_only
    ]
    return f"Overlap in part; samples that only base, and only new has: {', '.join(lone)}."
