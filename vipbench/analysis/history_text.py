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
SHORT = ("first", "best", "lowest", "last", "drop")


def overview(found: History) -> Grid:
    """Lay out the tasks in short, a row each; numbers in brackets are steps."""
    wholes = [series for series in found.series() if series[0].group == ALL]
    usual = wholes[0][0]
    rows = []
    for series in wholes:
        row = series[0]
        how = [row.style] * (row.style != usual.style) + [row.metric] * (row.metric != usual.metric)
        rows.append((f"{row.task} ({', '.join(how)})" if how else row.task, *_short(series)))
    data = ", synthetic data" if any(series[0].synthetic for series in wholes) else ""
    title = (
        f"accuracy, %, at {len(found.steps)} steps from {found.steps[0]:,} to "
        f"{found.steps[-1]:,} ({usual.style}, {usual.metric}{data})"
    )
    return Grid(title, ("task", *SHORT), rows, words=(0,))


def tables(found: History) -> list[Grid]:
    """Lay out each task over its steps, then all kinds of mark of a task in short."""
    grids = []
    series = found.series()
    for whole in (each for each in series if each[0].group == ALL):
        grids.append(Grid(_title(whole[0]), STEPS, [_cells(row) for row in whole], words=()))
        marks = [s for s in series if s[0].task == whole[0].task and s[0].group != ALL]
        if marks:
            title = f"{whole[0].task}: by kind of mark, %"
            rows = [(each[0].group, *_short(each)) for each in marks]
            grids.append(Grid(title, ("kind of mark", *SHORT), rows, words=(0,)))
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
    """Return first, best, lowest and last accuracy, and the step of the first drop."""
    known = [row for row in series if row.accuracy is not None]
    best = max(known, key=lambda row: row.accuracy or 0, default=None)
    lowest = min(known, key=lambda row: row.accuracy or 0, default=None)
    drop = _first_drop(series)
    return (
        percent(series[0].accuracy),
        *(
            MISSING if row is None else f"{percent(row.accuracy)} ({row.step:,})"
            for row in (best, lowest)
        ),
        percent(series[-1].accuracy),
        MISSING if drop is None else f"{drop.step:,}",
    )


def _first_drop(series: Sequence[HistoryRow]) -> HistoryRow | None:
    """Return the first row that has dropped from the start, or from the best so far."""
    return next((row for row in series if row.dropped_from_start or row.dropped_from_best), None)


def legend(found: History) -> str:
    """Say when a drop is marked, in one line."""
    return f"* a drop: p below {found.alpha:g} / (k (k + 1)) at the k-th step after the first"


def sentences(found: History) -> list[str]:
    """Say the first drops of each task in a sentence, with its kinds of mark; or that none is."""
    said = []
    every = found.series()
    for whole in (series for series in every if series[0].group == ALL):
        marks = [
            f"{series[0].group} (step {drop.step:,})"
            for series in every
            if series[0].task == whole[0].task
            and not _is_whole(series, whole)
            and (drop := _first_drop(series)) is not None
        ]
        drops = _drops(whole)
        if marks:
            first = drops or "no drop as a whole"
            said.append(f"{whole[0].task}: {first}; kinds of mark with a drop: {', '.join(marks)}")
        elif drops:
            said.append(f"{whole[0].task}: {drops}")
    none = f"no drop beyond doubt, at level {found.alpha:g} for all steps together"
    return said or [none]


def _is_whole(series: Sequence[HistoryRow], whole: Sequence[HistoryRow]) -> bool:
    """Say whether a series is a task, or a kind of mark that all of its samples have."""
    return all(
        (row.n, row.n_errors) == (all_.n, all_.n_errors)
        for row, all_ in zip(series, whole, strict=True)
    )


def _drops(series: Sequence[HistoryRow]) -> str:
    """Say the first drop from the start, and the first from the best so far; once if one."""
    start = next((row for row in series if row.dropped_from_start), None)
    best = next((row for row in series if row.dropped_from_best), None)
    from_start = from_best = ""
    first = series[0].step
    if start is not None:
        change = f"{points(start.from_start)} points, p {p_text(start.p_start)}"
        if best is not None and (best.step, best.best_step) == (start.step, first):
            return f"drops at step {start.step:,} from the start, the best so far ({change})"
        from_start = f"from the start (step {first:,}) at step {start.step:,} ({change})"
    if best is not None:
        from_best = (
            f"from the best so far (step {best.best_step:,}) at step {best.step:,} "
            f"({points(best.from_best)} points, p {p_text(best.p_best)})"
        )
    both = " and ".join(filter(None, (from_start, from_best)))
    return f"drops {both}" if both else ""


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
            markdown_section(overview(found)),
            *map(markdown_section, tables(found)),
        ]
    )
