"""Leaderboards and breakdowns of several runs, as Markdown, LaTeX, CSV and JSON.

Reads run folders; runs no model and opens no image.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from vipbench import files
from vipbench.report.latex import Block, Board, latex_page
from vipbench.report.names import Called, TellingApart, called, display_names, short_weights
from vipbench.report.rows import TROUBLES, accuracy_text, has_uneven_images
from vipbench.report.text import (
    MISSING,
    Grid,
    csv_table,
    markdown_page,
    markdown_section,
    markdown_text,
)
from vipbench.runfolder import manifest as manifests
from vipbench.runfolder.judge_file import (
    JUDGE_METRICS,
    GradedBy,
    judge_labels,
    read_graded_by,
)
from vipbench.runfolder.manifest import Manifest
from vipbench.runfolder.summary import ALL, HEADLINE_METRIC, SELDOM, Row, read_summary
from vipbench.schema import Fit
from vipbench.stats.intervals import MIN_CLUSTERS


class LeaderboardRow(Row):
    """A row of a run beside those of others: an entry of `leaderboard.json`."""

    weights: str | None
    """Short digest that tells weights apart; None for a baseline."""
    judge: str | None
    """Who gave the grades of metric `judge`; None for other metrics."""
    run: str
    """What else sets the run apart from another one, such as `limit 20`; `run 2`: a repetition."""
    name: str
    """What the run is called; `model` is that, with what tells other models of the name apart."""
    step: int | None
    """Training step of the checkpoint; None: it is not known."""


class _Column(NamedTuple):
    """What a column of a leaderboard is about; nothing else may stand in it."""

    task: str
    version: int
    metric: str
    synthetic: bool
    style: str
    fit: Fit
    judge: GradedBy | None
    """Who gave the grades; None: not known, or another metric."""


class _Line(NamedTuple):
    """What a line of a leaderboard is about."""

    model: str
    """Different weights have different names."""
    prompt_format: str | None
    decoding: str | None
    dtype: str | None
    seed: int
    apart: str
    """What else sets a run apart from another one that has numbers in the same columns; `run 2` is
    a repetition, which differs in nothing."""


class _Cell(NamedTuple):
    line: _Line
    column: _Column
    headline: bool
    """The style is the task's headline style in its run."""
    row: LeaderboardRow


def leaderboard(runs: Sequence[Path], out: Path) -> list[Path]:
    """Write `leaderboard.{md,csv,json,tex}` and `breakdown.{md,csv,json}` of finished runs.

    Models are lines, tasks are columns, each style has its table. Fractions 0-1 in JSON and CSV,
    percent with the 95 % interval in Markdown and LaTeX. Returns the paths written.

    Raises:
        RunError: A run has not ended or is broken.
    """
    folders = list(dict.fromkeys(run.resolve() for run in runs))
    cells = _cells(folders)
    whole_cells = [cell for cell in cells if cell.row.group == ALL]
    rows = [cell.row for cell in whole_cells]
    group_rows = [cell.row for cell in cells if cell.row.group != ALL]
    notes, warnings = _notes(rows), _prompt_notes(folders)
    grids = _leaderboard_grids(whole_cells)
    texts = {
        "leaderboard.md": _markdown("Leaderboard", [*notes, *map(markdown_text, warnings)], grids),
        "leaderboard.csv": _csv(rows),
        "leaderboard.tex": latex_page([*notes, *warnings], _boards(whole_cells)),
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


def _csv(rows: Sequence[LeaderboardRow]) -> str:
    records = [row.model_dump(mode="json") for row in rows]
    unused = [name for name in SELDOM if not any(name in each for each in records)]
    return csv_table((name for name in LeaderboardRow.model_fields if name not in unused), records)


class _Run(NamedTuple):
    """A finished run."""

    manifest: Manifest
    called: Called
    rows: list[Row]
    graded_by: GradedBy | None
    """None: by nobody, or it is not known."""


def _read(folder: Path) -> _Run:
    rows = read_summary(folder)
    judged = any(row.metric in JUDGE_METRICS for row in rows)
    manifest = manifests.read(folder)
    return _Run(
        manifest, called(folder, manifest), rows, read_graded_by(folder) if judged else None
    )


def _cells(folders: Sequence[Path]) -> list[_Cell]:
    """Make the cells of all runs; runs of the same model and protocol share a line if they can."""
    runs = [_read(folder) for folder in folders]
    run_manifests = [run.manifest for run in runs]
    names, weights = display_names([run.called for run in runs]), short_weights(run_manifests)
    judges = judge_labels(run.graded_by for run in runs)
    cells: list[_Cell] = []
    taken: dict[tuple[_Line, _Column], Manifest] = {}
    telling = TellingApart()
    for run, name, digest in zip(runs, names, weights, strict=True):
        by = judges[run.graded_by]
        columns = [_column(row, run.graded_by) for row in run.rows]
        pairs = list(zip(run.rows, columns, strict=True))
        places = [(_line(row, name, ""), column) for row, column in pairs]
        others = [taken[place] for place in places if place in taken]
        first = apart = telling.words(run.manifest, others)
        copy = 1
        while any((_line(row, name, apart), column) in taken for row, column in pairs):
            copy += 1
            apart = ", ".join(part for part in (first, f"run {copy}") if part)
        headlines = {name: task.headline for name, task in run.manifest.tasks.items()}
        for row, column in pairs:
            line = _line(row, name, apart)
            own = _leaderboard_row(row, line, run.called, digest, by)
            cells.append(_Cell(line, column, headlines.get(row.task) == row.style, own))
            taken[line, column] = run.manifest
    return cells


def _leaderboard_row(
    row: Row, line: _Line, run: Called, weights: str | None, judge: str
) -> LeaderboardRow:
    fields = row.model_dump() | {
        "model": line.model,
        "name": run.name,
        "step": run.step,
        "weights": weights,
        "judge": judge if row.metric in JUDGE_METRICS else None,
        "run": line.apart,
    }
    made = LeaderboardRow.model_validate(fields)
    even = row.n_even_clusters
    return made if even is None else made.with_even_clusters(even)


def _column(row: Row, graded_by: GradedBy | None) -> _Column:
    judge = graded_by if row.metric in JUDGE_METRICS else None
    return _Column(row.task, row.task_version, row.metric, row.synthetic, row.style, row.fit, judge)


def _line(row: Row, model: str, apart: str) -> _Line:
    return _Line(model, row.prompt_format, row.decoding, row.dtype, row.seed, apart)


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
    lines = _lines(cells)
    columns = list(dict.fromkeys(cell.column for cell in cells))
    rows = {column: [c.row for c in cells if c.column == column] for column in columns}
    judges = _judges(cells)
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
    head = tuple(
        _column_text(column, rows[column], judges, with_style=with_style) for column in columns
    )
    return Grid(title, ("model", "protocol", *head), body)


def _judges(cells: Sequence[_Cell]) -> dict[GradedBy | None, str]:
    """Name the judges of a table where there are several; else nobody needs a name."""
    labels = judge_labels(c.column.judge for c in cells if c.column.metric in JUDGE_METRICS)
    return labels if len(labels) > 1 else {}


def _metric(column: _Column, judges: Mapping[GradedBy | None, str]) -> str:
    if column.metric in JUDGE_METRICS and column.judge in judges:
        return f"{column.metric} {judges[column.judge]}"
    return column.metric


def _column_text(
    column: _Column,
    rows: Sequence[Row],
    judges: Mapping[GradedBy | None, str],
    *,
    with_style: bool,
) -> str:
    """Head a column with all that its cells share; another number of samples stands in the cell."""
    shared = [column.style] if with_style else []
    shared.append(column.fit)
    shared += [_metric(column, judges)] if column.metric != HEADLINE_METRIC else []
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
    parts = [line.prompt_format, line.decoding, line.dtype, f"seed {line.seed}", line.apart]
    return ", ".join(part for part in parts if part)


def _boards(cells: Sequence[_Cell]) -> list[Board]:
    """Make the board of all tasks and styles, models as columns, and one of what went wrong."""
    lines = _lines(cells)
    protocols = list(dict.fromkeys(map(_protocol, lines)))
    shared = [f"Protocol of all: {protocols[0]}."] if len(protocols) == 1 else []
    columns = [(line.model, "" if shared else _protocol(line)) for line in lines]
    judges, blocks = _judges(cells), []
    for task in dict.fromkeys(cell.column._replace(style="") for cell in cells):
        inside = [cell for cell in cells if cell.column._replace(style="") == task]
        rows = [cell.row for cell in inside]
        row_at = {(cell.line, cell.row.style): cell.row for cell in inside}
        sizes = {(row.n, row.n_expected) for row in rows}
        heading, is_shared = _column_text(task, rows, judges, with_style=False), len(sizes) == 1
        if is_shared and not any(n == n_expected for n, n_expected in sizes):
            heading += ", " + " of ".join(f"{n:,}" for n in sizes.pop())
        body = [
            (
                style,
                [
                    _board_text(row_at.get((line, style)), rows, is_shared=is_shared)
                    for line in lines
                ],
            )
            for style in dict.fromkeys(row.style for row in rows)
        ]
        blocks.append(Block(heading, body))
    title = "Accuracy in percent with its 95 % interval, by task and style"
    return [Board(title, "style", columns, blocks, shared), _trouble_board(_trouble_grid(cells))]


def _board_text(row: LeaderboardRow | None, column: Sequence[Row], *, is_shared: bool) -> str:
    """Write a cell; the samples that were scored stand there unless all cells share them."""
    return accuracy_text(row) if row is not None and is_shared else _cell_text(row, column)


def _lines(cells: Sequence[_Cell]) -> list[_Line]:
    """Return the lines of a table, those of one model together."""
    models = list(dict.fromkeys(cell.line.model for cell in cells))
    return sorted(dict.fromkeys(c.line for c in cells), key=lambda line: models.index(line.model))


def _trouble_board(grid: Grid) -> Board:
    """Lay out the grid of troubles in blocks of one model, task and metric."""
    blocks: dict[str, list[tuple[str, Sequence[str]]]] = {}
    for model, said, task, style, metric, *counts in grid.rows:
        blocks.setdefault(f"{task} ({metric}), {model} ({said})", []).append((style, counts))
    columns = [(name, "") for name in grid.header[5:]]
    return Board(grid.title, "style", columns, [Block(*each) for each in blocks.items()])


def _trouble_grid(cells: Sequence[_Cell]) -> Grid:
    """List the answers that are missing, unparsed or cut off: accuracy alone does not show them."""
    rows, judges = [cell.row for cell in cells], _judges(cells)
    shown = {name: count for name, count in TROUBLES.items() if any(map(count, rows))}
    header = ("model", "protocol", "task", "style", "metric", *shown, "of")
    body = [
        (
            line.model,
            _protocol(line),
            row.task,
            row.style,
            _metric(column, judges),
            *(str(count(row)) for count in shown.values()),
            str(row.n_asked),
        )
        for line, column, _, row in cells
        if any(count(row) for count in shown.values())
    ]
    title = "Errors, unparsed and truncated answers"
    if any(row.n_marks_lost or row.n_marks_cut for row in rows):
        title += ", lost and cut marks"
    return Grid(title, header, body)


def _breakdown_grids(cells: Sequence[_Cell]) -> list[Grid]:
    """Make a table for each task and style: groups are lines, models are columns."""
    grids, judges = [], _judges(cells)
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
        title = _column_text(column, rows, judges, with_style=False)
        grids.append(Grid(f"{title}, style {column.style}", ("group", *heads), body))
    return grids


def _group_text(row: Row | None) -> str:
    return MISSING if row is None else f"{accuracy_text(row)} (n {row.n})"


def _prompt_notes(folders: Sequence[Path]) -> list[str]:
    """Say what of a checkpoint contradicts the prompts that it was asked in, each once."""
    found: dict[str, None] = {}
    read = [called(folder, manifests.read(folder)) for folder in folders]
    for run, name in zip(read, display_names(read), strict=True):
        found |= dict.fromkeys(
            f"{name}: {files.without_folders(note)}" for note in run.manifest.prompt_notes
        )
    return list(found)


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
