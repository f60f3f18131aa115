"""A history as people read it: tables of 80 columns, Markdown, and a sentence for each drop."""

from collections.abc import Sequence

from vipbench.analysis.history import History, HistoryRow
from vipbench.report.text import (
    MISSING,
    Grid,
    markdown_list,
    markdown_page,
    markdown_section,
    p_text,
    percent,
    percent_interval,
    points,
)
from vipbench.runfolder.summary import ALL

STEPS = ("step", "accuracy", "n", "Δ start", "p", "Δ best", "p")
MARKS = ("kind of mark", "first", "best", "last", "drop from start", "from best")


def tables(found: History) -> list[Grid]:
    """Lay out each task over its steps, then all kinds of mark of a task in short."""
    grids = []
    series = found.series()
    for whole in (each for each in series if each[0].group == ALL):
        grids.append(Grid(_title(whole[0]), STEPS, [_cells(row) for row in whole], words=()))
        marks = [s for s in series if s[0].task == whole[0].task and s[0].group != ALL]
        if marks:
            title = f"{whole[0].task}: by kind of mark, %"
            grids.append(Grid(title, MARKS, [_short(each) for each in marks], words=(0,)))
    return grids


def _title(row: HistoryRow) -> str:
    data = ", synthetic data" if row.synthetic else ""
    return f"{row.task} ({row.style}, {row.metric}{data}): accuracy, %; Δ, points"


def _cells(row: HistoryRow) -> tuple[str, ...]:
    return (
        f"{row.step:,}",
        percent_interval(row.accuracy, row.ci_low, row.ci_high),
        f"{row.n:,}",
        points(row.from_start) + "*" * row.dropped_from_start,
        p_text(row.p_start),
        points(row.from_best) + "*" * row.dropped_from_best,
        p_text(row.p_best),
    )


def _short(series: Sequence[HistoryRow]) -> tuple[str, ...]:
    known = [row for row in series if row.accuracy is not None]
    best = max(known, key=lambda row: row.accuracy or 0, default=None)
    return (
        series[0].group,
        percent(series[0].accuracy),
        MISSING if best is None else f"{percent(best.accuracy)} ({best.step:,})",
        percent(series[-1].accuracy),
        _first_step(series, "dropped_from_start"),
        _first_step(series, "dropped_from_best"),
    )


def _first_step(series: Sequence[HistoryRow], field: str) -> str:
    return next((f"{row.step:,}" for row in series if getattr(row, field)), MISSING)


def legend(found: History) -> str:
    """Say when a drop is marked, in one line."""
    return f"* a drop: p below {found.alpha:g} / (k (k + 1)) at the k-th step after the first"


def sentences(found: History) -> list[str]:
    """Say the first drop of each task and kind of mark, or that there is none."""
    said = []
    for series in found.series():
        row = next((row for row in series if row.dropped_from_start), None)
        if row is not None:
            said.append(
                f"{row.label}: the first drop from the start (step {series[0].step:,}) is at step "
                f"{row.step:,}: {points(row.from_start)} points, p {p_text(row.p_start)}"
            )
        row = next((row for row in series if row.dropped_from_best), None)
        if row is not None:
            said.append(
                f"{row.label}: the first drop from the best so far (step {row.best_step:,}) is at "
                f"step {row.step:,}: {points(row.from_best)} points, p {p_text(row.p_best)}"
            )
    none = f"no drop beyond doubt, at level {found.alpha:g} for all steps together"
    return said or [none]


def markdown(found: History) -> str:
    """Lay out all of it as a page."""
    return markdown_page(
        [
            "# History",
            "Accuracy in percent with its 95 % interval, clustered by image; differences from the "
            "first step and from the best before, in percentage points. p is one-sided, paired and "
            "clustered, and adjusted for all tasks (or all kinds of mark) of a step; that of the "
            "best for the steps that it was chosen from, too. A drop (*) has p below the level of "
            f"its step, {found.alpha:g} / (k (k + 1)) at the k-th after the first, so that one "
            f"false drop or more has probability {found.alpha:g} at most, however many steps "
            "follow.",
            markdown_list(sentences(found)),
            markdown_list(found.notes),
            *map(markdown_section, tables(found)),
        ]
    )
