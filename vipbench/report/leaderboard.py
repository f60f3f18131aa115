"""Leaderboards and breakdowns of several runs, as Markdown, LaTeX, CSV and JSON.

Reads run folders; runs no model and opens no image.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from vipbench import files
from vipbench.report.rows import TROUBLES, accuracy_text, has_uneven_images
from vipbench.report.text import (
    MISSING,
    Grid,
    csv_table,
    latex_page,
    markdown_page,
    markdown_section,
)
from vipbench.runfolder import manifest as manifests
from vipbench.runfolder.summary import ALL, HEADLINE_METRIC, Row, read_summary
from vipbench.schema import Fit
from vipbench.stats import MIN_CLUSTERS


class _Column(NamedTuple):
    """What a column of a leaderboard is about; nothing else may stand in it."""

    task: str
    version: int
    metric: str
    synthetic: bool
    style: str
    fit: Fit


class _Line(NamedTuple):
    """What a line of a leaderboard is about."""

    model: str
    prompt_format: str | None
    decoding: str | None
    dtype: str | None
    seed: int
    copy: int
    """Tells runs apart that differ in nothing above, such as a subset and the full run."""


class _Cell(NamedTuple):
    line: _Line
    column: _Column
    headline: bool
    """The style is the task's headline style in its run."""
    row: Row


def leaderboard(runs: Sequence[Path], out: Path) -> list[Path]:
    """Write `leaderboard.{md,csv,json,tex}` and `breakdown.{md,csv,json}` of finished runs.

    Models are lines, tasks are columns, each style has its table. Fractions 0-1 in JSON and CSV,
    percent with the 95 % interval in Markdown and LaTeX. Returns the paths written.

    Raises:
        RunError: A run has not ended or is broken.
    """
    cells = _cells(list(dict.fromkeys(run.resolve() for run in runs)))
    whole_cells = [cell for cell in cells if cell.row.group == ALL]
    rows = [cell.row for cell in whole_cells]
    group_rows = [cell.row for cell in cells if cell.row.group != ALL]
    notes = _notes(rows)
    grids = _leaderboard_grids(whole_cells)
    texts = {
        "leaderboard.md": _markdown("Leaderboard", notes, grids),
        "leaderboard.csv": _csv(rows),
        "leaderboard.tex": latex_page(notes, grids),
        "breakdown.md": _markdown("Breakdown", notes, _breakdown_grids(cells)),
        "breakdown.csv": _csv(group_rows),
    }
    for name, text in texts.items():
        files.write_text(out / name, [text])
    records = {"leaderboard.json": rows, "breakdown.json": group_rows}
    for name, listed in records.items():
        files.write_json(out / name, [row.model_dump(mode="json") for row in listed])
    return sorted(out / name for name in (*texts, *records))


def _markdown(title: str, notes: Sequence[str], grids: Sequence[Grid]) -> str:
    sections = [markdown_section(grid) for grid in grids if grid.rows]
    return markdown_page([f"# {title}", *notes, *sections])


def _csv(rows: Sequence[Row]) -> str:
    return csv_table(Row.model_fields, (row.model_dump(mode="json") for row in rows))


def _cells(folders: Sequence[Path]) -> list[_Cell]:
    """Make the cells of all runs; runs of the same model and protocol share a line if they can."""
    cells: list[_Cell] = []
    taken: set[tuple[_Line, _Column]] = set()
    for folder in folders:
        rows = [(row, _column(row)) for row in read_summary(folder)]
        headlines = {name: task.headline for name, task in manifests.read(folder).tasks.items()}
        copy = 0
        while any((_line(row, copy), column) in taken for row, column in rows):
            copy += 1
        cells += [
            _Cell(_line(row, copy), column, headlines.get(row.task) == row.style, row)
            for row, column in rows
        ]
        taken.update((_line(row, copy), column) for row, column in rows)
    return cells


def _column(row: Row) -> _Column:
    return _Column(row.task, row.task_version, row.metric, row.synthetic, row.style, row.fit)


def _line(row: Row, copy: int) -> _Line:
    return _Line(row.model, row.prompt_format, row.decoding, row.dtype, row.seed, copy)


def _leaderboard_grids(cells: Sequence[_Cell]) -> list[Grid]:
    """Make the headline table, a table for each other style, and one of what went wrong."""
    headlines = [cell for cell in cells if cell.headline]
    styles = list(dict.fromkeys(cell.row.style for cell in headlines))
    if len(styles) == 1:
        # Runs with another headline have the style too, and stand beside these.
        chosen = [cell for cell in cells if cell.row.style == styles[0]]
        grids = [_grid(f"Headline style: {styles[0]}", chosen)]
    else:
        grids = [_grid("Headline style of each task", headlines)]
    for style in dict.fromkeys(cell.row.style for cell in cells):
        if any(c.row.style == style and not c.headline for c in cells) and [style] != styles:
            grids.append(_grid(f"Style: {style}", [c for c in cells if c.row.style == style]))
    return [*grids, _trouble_grid(cells)]


def _grid(title: str, cells: Sequence[_Cell]) -> Grid:
    models = list(dict.fromkeys(cell.line.model for cell in cells))
    lines = sorted(dict.fromkeys(c.line for c in cells), key=lambda line: models.index(line.model))
    columns = list(dict.fromkeys(cell.column for cell in cells))
    rows = {column: [c.row for c in cells if c.column == column] for column in columns}
    row_at = {(cell.line, cell.column): cell.row for cell in cells}
    with_style = len({column.style for column in columns}) > 1
    body = [
        (
            line.model,
            _protocol(line),
            *(_cell_text(row_at.get((line, column)), rows[column]) for column in columns),
        )
        for line in lines
    ]
    head = tuple(_column_text(column, rows[column], with_style=with_style) for column in columns)
    return Grid(title, ("model", "protocol", *head), body)


def _column_text(column: _Column, rows: Sequence[Row], *, with_style: bool) -> str:
    """Head a column with all that its cells share; another number of samples stands in the cell."""
    shared = [column.style] if with_style else []
    shared.append(column.fit)
    shared += [column.metric] if column.metric != HEADLINE_METRIC else []
    shared += ["synthetic"] if column.synthetic else []
    sizes = {row.n_expected for row in rows if row.group == ALL}
    shared += [f"n {size:,}" for size in sizes] if len(sizes) == 1 else []
    return f"{column.task} v{column.version} ({', '.join(shared)})"


def _cell_text(row: Row | None, column: Sequence[Row]) -> str:
    if row is None:
        return MISSING
    text = accuracy_text(row)
    if row.n < row.n_expected:
        text += f" ({row.n} of {row.n_expected})"
    elif len({other.n_expected for other in column}) > 1:
        text += f" (n {row.n})"
    return text


def _protocol(line: _Line) -> str:
    parts = [line.prompt_format, line.decoding, line.dtype, f"seed {line.seed}"]
    parts += [f"run {line.copy + 1}"] if line.copy else []
    return ", ".join(part for part in parts if part)


def _trouble_grid(cells: Sequence[_Cell]) -> Grid:
    """List the answers that are missing, unparsed or cut off: accuracy alone does not show them."""
    rows = [cell.row for cell in cells]
    shown = {name: count for name, count in TROUBLES.items() if any(map(count, rows))}
    header = ("model", "protocol", "task", "style", "metric", *shown, "of")
    body = [
        (
            line.model,
            _protocol(line),
            row.task,
            row.style,
            row.metric,
            *(str(count(row)) for count in shown.values()),
            str(row.n + row.n_errors + row.n_ungraded),
        )
        for line, _, _, row in cells
        if any(count(row) for count in shown.values())
    ]
    title = "Errors, unparsed and truncated answers"
    if any(row.n_marks_lost or row.n_marks_cut for row in rows):
        title += ", lost and cut marks"
    return Grid(title, header, body)


def _breakdown_grids(cells: Sequence[_Cell]) -> list[Grid]:
    """Make a table for each task and style: groups are lines, models are columns."""
    grids = []
    for column in dict.fromkeys(cell.column for cell in cells):
        inside = [cell for cell in cells if cell.column == column]
        rows = [cell.row for cell in inside]
        groups = list(dict.fromkeys(row.group for row in rows))
        if groups == [ALL]:
            continue
        lines = list(dict.fromkeys(cell.line for cell in inside))
        row_at = {(cell.line, cell.row.group): cell.row for cell in inside}
        same_name = len({line.model for line in lines}) < len(lines)
        heads = []
        for line in lines:
            whole = row_at[line, ALL]
            head = f"{line.model} ({_protocol(line)})" if same_name else line.model
            part = f" ({whole.n} of {whole.n_expected})" if whole.n < whole.n_expected else ""
            heads.append(head + part)
        body = [
            (group, *(_group_text(row_at.get((line, group))) for line in lines))
            for group in sorted(groups, key=lambda g: g != ALL)
        ]
        title = _column_text(column, rows, with_style=False)
        grids.append(Grid(f"{title}, style {column.style}", ("group", *heads), body))
    return grids


def _group_text(row: Row | None) -> str:
    return MISSING if row is None else f"{accuracy_text(row)} (n {row.n})"


def _notes(rows: Sequence[Row]) -> list[str]:
    notes = [
        "Accuracy in percent with its 95 % interval, samples clustered by image.",
        f"The metric is {HEADLINE_METRIC} (the task's strict rule) where none is named.",
    ]
    if any(row.n < row.n_expected for row in rows):
        notes.append("(20 of 250): not all samples of the task were scored; a subset, or errors.")
    if any(row.n_clusters < MIN_CLUSTERS for row in rows):
        notes.append(f"?: fewer than {MIN_CLUSTERS} images; the interval is not to be relied on.")
    if any(map(has_uneven_images, rows)):
        notes.append(
            f"?: few images hold most samples (fewer than {MIN_CLUSTERS} by Kish's number); the "
            "interval is not to be relied on."
        )
    if any(row.synthetic for row in rows):
        notes.append("synthetic: the embedded benchmark of vipbench, not the published data.")
    return notes
