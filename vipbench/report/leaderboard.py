"""From scores to rows of metrics, leaderboards and breakdowns. Runs no model and opens no image."""

import csv
import io
import math
import re
import statistics
from array import array
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import TypeAdapter, ValidationError
from rich.console import Console, ConsoleOptions
from rich.table import Table
from rich.text import Text

from vipbench.runfolder import manifest as manifests
from vipbench.runfolder import folder as store
from vipbench.errors import RunError
from vipbench.runfolder.manifest import Manifest
from vipbench.schema import Fit, Record
from vipbench.stats import MIN_CLUSTERS, clustered_mean
from vipbench.runfolder.folder import ScoreLine
from vipbench.prompts.styles import COLORS, SHAPES

ALL = "all"
HEADLINE_METRIC = "text_match"
MISSING = "-"
"""What a table shows where there is no value."""

_VALUE_ORDER: dict[str, Sequence[str]] = {
    "shape": SHAPES,
    "color": tuple(COLORS),
    "size": ("small", "medium", "large"),
    "target_color": tuple(COLORS),
    "target_size": ("small", "medium", "large"),
}


class Row(Record):
    """One metric of one task under one style: an entry of `summary.json` and `leaderboard.json`."""

    task: str
    task_version: int
    style: str
    model: str
    """Folder name or hub id of the checkpoint; for a baseline, the runner's name."""
    prompt_format: str | None
    """This, `decoding` and `dtype` are None for a baseline."""
    fit: Fit
    decoding: str | None
    dtype: str | None
    seed: int
    metric: str
    group: str
    """`all`, or one value of a breakdown axis: `shape=ellipse`."""
    n: int
    """Scored answers, unparsed ones included as 0."""
    n_expected: int
    """Samples of the full task (of the group: those that were asked)."""
    n_clusters: int
    """Images."""
    n_errors: int
    n_unparsed: int
    n_truncated: int
    accuracy: float | None
    """Sum of the scores / n, 0-1; like the three below None where nothing was scored."""
    stderr: float | None
    """Clustered by image; None for fewer than two images."""
    ci_low: float | None
    ci_high: float | None
    """95 % interval, see `stats.clustered_mean`."""
    synthetic: bool
    """The data come from the demo generator: not a result of the benchmark."""
    n_ungraded: int = 0
    """Answers that a judge has not graded, or of which `option_argmax` does not know the
    probabilities: neither scored nor errors."""
    n_marks_lost: int = 0
    """Samples with a mark of which the model saw nothing, and below those with one of which it saw
    a part, as far as is known; see visibility.py."""
    n_marks_cut: int = 0
    agreement: float | None = None
    """Of metric `option_argmax`, like the margin: share of the scored answers, 0-1, in which the
    text answers with the likeliest letter."""
    margin: float | None = None
    """Median of `ScoreLine.margin`, in nats."""


class SeedRow(Record):
    """How one metric of a task under a style varies over seeds: an entry of `seeds.json`."""

    task: str
    task_version: int
    style: str
    model: str
    metric: str
    seeds: tuple[int, ...]
    accuracies: tuple[float | None, ...]
    """One a seed, 0-1; None where nothing was scored."""
    mean: float | None
    """Like the three below, over the seeds that were scored; None where there is none."""
    sd: float | None
    """Standard deviation over seeds (n - 1); None for fewer than two."""
    lowest: float | None
    highest: float | None


_ROWS = TypeAdapter(list[Row])
_TROUBLES: dict[str, Callable[[Row], int]] = {
    "errors": lambda row: row.n_errors,
    "unparsed": lambda row: row.n_unparsed,
    "truncated": lambda row: row.n_truncated,
    "ungraded": lambda row: row.n_ungraded,
    "mark lost": lambda row: row.n_marks_lost,
    "mark cut": lambda row: row.n_marks_cut,
}
"""What accuracy alone does not show; tables have a column for each that occurs."""


def summarise(manifest: Manifest, scores: Iterable[ScoreLine]) -> list[Row]:
    """Sum scores up by task, style, metric and group: `all`, then each value of each axis."""
    summary = Summary(manifest)
    for line in scores:
        summary.add(line)
    return summary.rows()


class Summary:
    """The rows of a run, summed up from one line after another."""

    def __init__(self, manifest: Manifest) -> None:
        """Take the manifest of the run."""
        self._manifest = manifest
        self._parts: dict[tuple[str, str, str], _Part] = {}
        self._images: dict[str, int] = {}

    def add(self, line: ScoreLine) -> None:
        """Take a line of `scores.jsonl`."""
        name = line.task, line.style, line.metric
        part = self._parts.get(name)
        if part is None:
            part = self._parts[name] = _Part()
        place = part.add(line, self._images.setdefault(line.group, len(self._images)))
        part.groups[ALL].append(place)
        for axis in self._manifest.tasks[line.task].breakdown:
            for value in line.tags.get(axis, ()):
                part.groups[f"{axis}={value}"].append(place)

    def rows(self) -> list[Row]:
        """Return a row for each task, style, metric and group."""
        return [
            _row(self._manifest, name, group, part.take(part.groups[group]))
            for name, part in self._parts.items()
            for group in sorted(part.groups, key=partial(_group_order, axes=self._axes(name[0])))
        ]

    def _axes(self, task: str) -> Sequence[str]:
        return self._manifest.tasks[task].breakdown


class _Part:
    """What rows need of the lines of one task, style and metric: some 30 bytes a line."""

    def __init__(self) -> None:
        self.values, self.margins = array("d"), array("d")
        """nan where there is none."""
        self.images = array("l")
        self.flags = array("H")
        self.groups: dict[str, array[int]] = defaultdict(partial(array, "l"))
        """Places of the lines in each group."""

    def add(self, line: ScoreLine, image: int) -> int:
        """Take a line and return its place."""
        self.values.append(math.nan if line.value is None else line.value)
        self.margins.append(math.nan if line.margin is None else line.margin)
        self.images.append(image)
        self.flags.append(_flags(line))
        return len(self.values) - 1

    def take(self, places: "array[int]") -> "_Lines":
        """Return the lines at some places."""
        at = np.asarray(places)
        return _Lines(
            values=np.asarray(self.values)[at],
            margins=np.asarray(self.margins)[at],
            images=np.asarray(self.images)[at],
            flags=np.asarray(self.flags)[at],
        )


_ERROR, _UNPARSED, _TRUNCATED, _UNGRADED, _LOST, _CUT, _COMPARED, _AGREES = (
    1 << bit for bit in range(8)
)


def _flags(line: ScoreLine) -> int:
    return (
        _ERROR * (line.error is not None)
        | _UNPARSED * (line.answer is None)
        | _TRUNCATED * line.truncated
        | _UNGRADED * (line.ungraded is not None)
        | _LOST * bool(line.n_marks_lost)
        | _CUT * bool(line.n_marks_cut)
        | _COMPARED * (line.agrees is not None)
        | _AGREES * bool(line.agrees)
    )


class _Lines(NamedTuple):
    """Lines of one group, as arrays (n,)."""

    values: npt.NDArray[np.float64]
    margins: npt.NDArray[np.float64]
    images: npt.NDArray[np.int64]
    flags: npt.NDArray[np.uint16]

    def scored(self) -> "_Lines":
        """Return those that have a value."""
        keep = ~np.isnan(self.values)
        return _Lines(self.values[keep], self.margins[keep], self.images[keep], self.flags[keep])

    def count(self, flag: int) -> int:
        """Return how many have a flag."""
        return int(np.count_nonzero(self.flags & flag))


def _row(manifest: Manifest, name: tuple[str, str, str], group: str, lines: _Lines) -> Row:
    task, style, metric = name
    identity, spec = manifest.identity, manifest.tasks[task]
    scored = lines.scored()
    values = scored.values.tolist()
    estimate = clustered_mean(values, scored.images.tolist()) if values else None
    n_compared = scored.count(_COMPARED)
    margins = scored.margins[~np.isnan(scored.margins)].tolist()
    return Row(
        task=task,
        task_version=spec.version,
        style=style,
        model=identity.model,
        prompt_format=identity.settings.prompt_format,
        fit=spec.fit,
        decoding=identity.settings.decoding,
        dtype=identity.settings.dtype,
        seed=identity.seed,
        metric=metric,
        group=group,
        n=len(values),
        n_expected=spec.n_samples if group == ALL else len(lines.values),
        n_clusters=estimate.n_clusters if estimate else 0,
        n_errors=lines.count(_ERROR),
        n_unparsed=scored.count(_UNPARSED),
        n_truncated=scored.count(_TRUNCATED),
        n_ungraded=lines.count(_UNGRADED),
        agreement=scored.count(_AGREES) / n_compared if n_compared else None,
        margin=statistics.median(margins) if margins else None,
        n_marks_lost=lines.count(_LOST),
        n_marks_cut=lines.count(_CUT),
        accuracy=estimate.mean if estimate else None,
        stderr=estimate.stderr if estimate else None,
        ci_low=estimate.ci_low if estimate else None,
        ci_high=estimate.ci_high if estimate else None,
        synthetic=spec.synthetic,
    )


def lost_marks(manifest: Manifest, rows: Iterable[Row]) -> list[str]:
    """Say under which tasks and styles a model saw nothing of some marks: a line each."""
    warnings = []
    for row in rows:
        if row.group != ALL or not row.n_marks_lost or manifest.tasks[row.task].parts:
            continue
        of = row.n + row.n_errors + row.n_ungraded
        cut = f" (and in {row.n_marks_cut:,} one is cut)" if row.n_marks_cut else ""
        advice = "use --fit pad" if row.fit == "crop" else "it is too small, or outside the image"
        warnings.append(
            f"{row.task} under {row.style}: in {row.n_marks_lost:,} of {of:,} samples a mark is "
            f"lost{cut} under fit {row.fit}; {advice}; `vipbench check {row.task} --visibility` "
            "compares the fits"
        )
    return list(dict.fromkeys(warnings))  # each metric has its rows


def _group_order(group: str, axes: Sequence[str]) -> tuple[int, int, list[tuple[int, str]]]:
    """Sort `all` first, then by axis, then values as they are listed elsewhere, numbers by size."""
    axis, _, value = group.partition("=")
    known = _VALUE_ORDER.get(axis, ())
    natural = [
        (int(part), "") if part.isdecimal() else (0, part) for part in re.split(r"(\d+)", value)
    ]
    return (ALL, *axes).index(axis), known.index(value) if value in known else len(known), natural


def over_seeds(runs: Sequence[Sequence[Row]]) -> list[SeedRow]:
    """Sum up runs that differ in nothing but their seed; groups other than `all` are left out."""
    found: dict[tuple[str, str, str], list[Row]] = defaultdict(list)
    for row in (row for rows in runs for row in rows if row.group == ALL):
        found[row.task, row.style, row.metric].append(row)
    return [_seed_row(rows) for rows in found.values()]


def _seed_row(rows: Sequence[Row]) -> SeedRow:
    first = rows[0]
    known = [row.accuracy for row in rows if row.accuracy is not None]
    return SeedRow(
        task=first.task,
        task_version=first.task_version,
        style=first.style,
        model=first.model,
        metric=first.metric,
        seeds=tuple(row.seed for row in rows),
        accuracies=tuple(row.accuracy for row in rows),
        mean=statistics.fmean(known) if known else None,
        sd=statistics.stdev(known) if len(known) > 1 else None,
        lowest=min(known, default=None),
        highest=max(known, default=None),
    )


def read_summary(folder: Path) -> list[Row]:
    """Read the rows of a finished run; RunError where there are none or they are broken."""
    path = folder / store.SUMMARY
    if not path.exists():
        reason = "the run has not ended" if (folder / store.MANIFEST).exists() else "no run is here"
        raise RunError(f"{path}: does not exist ({reason}); expected the folder of a finished run")
    try:
        return _ROWS.validate_python(store.read_json(path))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise RunError(
            f"{path}: {where}: {first['msg']}; use `vipbench score` to redo it"
        ) from error


# --- leaderboards over several runs


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


class _Grid(NamedTuple):
    """A table of plain text."""

    title: str
    header: tuple[str, ...]
    lines: list[tuple[str, ...]]


def leaderboard(runs: Sequence[Path], out: Path) -> list[Path]:
    """Write `leaderboard.{md,csv,json,tex}` and `breakdown.{md,csv,json}` of finished runs.

    Models are lines, tasks are columns, each style has its table. Fractions 0-1 in JSON and CSV,
    percent with the 95 % interval in Markdown and LaTeX. Returns the paths written.

    Raises:
        RunError: A run has not ended or is broken.
    """
    cells = _cells(list(dict.fromkeys(run.resolve() for run in runs)))
    rows = [cell.row for cell in cells if cell.row.group == ALL]
    breakdown_rows = [cell.row for cell in cells if cell.row.group != ALL]
    grids = _leaderboard_grids([cell for cell in cells if cell.row.group == ALL])
    notes = _notes(rows)
    texts = {
        "leaderboard.md": _markdown("Leaderboard", notes, grids),
        "leaderboard.csv": _csv(rows),
        "leaderboard.tex": _latex(notes, grids),
        "breakdown.md": _markdown("Breakdown", notes, _breakdown_grids(cells)),
        "breakdown.csv": _csv(breakdown_rows),
    }
    for name, text in texts.items():
        store.write_text(out / name, [text])
    for name, listed in (("leaderboard.json", rows), ("breakdown.json", breakdown_rows)):
        store.write_json(out / name, [row.model_dump(mode="json") for row in listed])
        texts[name] = ""
    return sorted(out / name for name in texts)


def _cells(folders: Sequence[Path]) -> list[_Cell]:
    """Place all rows of all runs; runs of the same model and protocol share a line if they can."""
    cells: list[_Cell] = []
    taken: set[tuple[_Line, _Column]] = set()
    for folder in folders:
        placed = [(row, _column(row)) for row in read_summary(folder)]
        headlines = {name: task.headline for name, task in manifests.read(folder).tasks.items()}
        copy = 0
        while any((_line(row, copy), column) in taken for row, column in placed):
            copy += 1
        cells += [
            _Cell(_line(row, copy), column, headlines.get(row.task) == row.style, row)
            for row, column in placed
        ]
        taken.update((_line(row, copy), column) for row, column in placed)
    return cells


def _column(row: Row) -> _Column:
    return _Column(row.task, row.task_version, row.metric, row.synthetic, row.style, row.fit)


def _line(row: Row, copy: int) -> _Line:
    return _Line(row.model, row.prompt_format, row.decoding, row.dtype, row.seed, copy)


def _leaderboard_grids(cells: Sequence[_Cell]) -> list[_Grid]:
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


def _grid(title: str, cells: Sequence[_Cell]) -> _Grid:
    models = list(dict.fromkeys(cell.line.model for cell in cells))
    lines = sorted(dict.fromkeys(c.line for c in cells), key=lambda line: models.index(line.model))
    columns = list(dict.fromkeys(cell.column for cell in cells))
    rows = {column: [c.row for c in cells if c.column == column] for column in columns}
    placed = {(cell.line, cell.column): cell.row for cell in cells}
    with_style = len({column.style for column in columns}) > 1
    body = [
        (
            line.model,
            _protocol(line),
            *(_cell_text(placed.get((line, column)), rows[column]) for column in columns),
        )
        for line in lines
    ]
    head = tuple(_column_text(column, rows[column], with_style=with_style) for column in columns)
    return _Grid(title, ("model", "protocol", *head), body)


def _column_text(column: _Column, rows: Sequence[Row], *, with_style: bool) -> str:
    """Head a column with all that its cells share; another number of samples stands in the cell."""
    about = [column.style] if with_style else []
    about.append(column.fit)
    about += [column.metric] if column.metric != HEADLINE_METRIC else []
    about += ["synthetic"] if column.synthetic else []
    sizes = {row.n_expected for row in rows if row.group == ALL}
    about += [f"n {size:,}" for size in sizes] if len(sizes) == 1 else []
    return f"{column.task} v{column.version}" + (f" ({', '.join(about)})" if about else "")


def _cell_text(row: Row | None, column: Sequence[Row]) -> str:
    if row is None:
        return MISSING
    text = percent(row)
    if row.n < row.n_expected:
        text += f" ({row.n} of {row.n_expected})"
    elif len({each.n_expected for each in column}) > 1:
        text += f" (n {row.n})"
    return text


def percent(row: Row) -> str:
    """Write an accuracy in percent with its interval: `81.2 [76.1, 85.4]`, `?` where unreliable."""
    if row.accuracy is None or row.ci_low is None or row.ci_high is None:
        return MISSING
    interval = f"[{100 * row.ci_low:.1f}, {100 * row.ci_high:.1f}]"
    return f"{100 * row.accuracy:.1f} {interval}{_doubt(row)}"


def _doubt(row: Row) -> str:
    return "?" if row.n_clusters < MIN_CLUSTERS else ""


def _protocol(line: _Line) -> str:
    parts = [line.prompt_format, line.decoding, line.dtype, f"seed {line.seed}"]
    parts += [f"run {line.copy + 1}"] if line.copy else []
    return ", ".join(part for part in parts if part)


def _trouble_grid(cells: Sequence[_Cell]) -> _Grid:
    """List the answers that are missing, unparsed or cut off: accuracy alone does not show them."""
    rows = [cell.row for cell in cells]
    shown = {name: count for name, count in _TROUBLES.items() if any(map(count, rows))}
    header = ("model", "protocol", "task", "style", "metric", *shown, "of")
    lines = [
        (
            *(line.model, _protocol(line), row.task, row.style, row.metric),
            *(str(count(row)) for count in shown.values()),
            str(row.n + row.n_errors + row.n_ungraded),
        )
        for line, _, _, row in cells
        if any(count(row) for count in shown.values())
    ]
    title = "Errors, unparsed and truncated answers"
    if any(row.n_marks_lost or row.n_marks_cut for row in rows):
        title += ", lost and cut marks"
    return _Grid(title, header, lines)


def _breakdown_grids(cells: Sequence[_Cell]) -> list[_Grid]:
    """Make a table for each task and style: groups are lines, models are columns."""
    grids = []
    for column in dict.fromkeys(cell.column for cell in cells):
        inside = [cell for cell in cells if cell.column == column]
        rows = [cell.row for cell in inside]
        groups = list(dict.fromkeys(row.group for row in rows))
        if groups == [ALL]:
            continue
        lines = list(dict.fromkeys(cell.line for cell in inside))
        placed = {(cell.line, cell.row.group): cell.row for cell in inside}
        same_name = len({line.model for line in lines}) < len(lines)
        heads = []
        for line in lines:
            whole = placed[line, ALL]
            head = f"{line.model} ({_protocol(line)})" if same_name else line.model
            part = f" ({whole.n} of {whole.n_expected})" if whole.n < whole.n_expected else ""
            heads.append(head + part)
        body = [
            (group, *(_group_text(placed.get((line, group))) for line in lines))
            for group in sorted(groups, key=lambda g: g != ALL)
        ]
        title = _column_text(column, rows, with_style=False)
        grids.append(_Grid(f"{title}, style {column.style}", ("group", *heads), body))
    return grids


def _group_text(row: Row | None) -> str:
    return MISSING if row is None else f"{percent(row)} (n {row.n})"


def _notes(rows: Sequence[Row]) -> list[str]:
    notes = [
        "Accuracy in percent with its 95 % interval, samples clustered by image.",
        f"The metric is {HEADLINE_METRIC} (the task's strict rule) where none is named.",
    ]
    if any(row.n < row.n_expected for row in rows):
        notes.append("(20 of 250): not all samples of the task were scored; a subset, or errors.")
    if any(_doubt(row) for row in rows):
        notes.append(f"?: fewer than {MIN_CLUSTERS} images; the interval is not to be relied on.")
    if any(row.synthetic for row in rows):
        notes.append("synthetic: the embedded benchmark of vipbench, not the published data.")
    return notes


# --- formats


def _markdown(title: str, notes: Sequence[str], grids: Iterable[_Grid]) -> str:
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


def _latex(notes: Sequence[str], grids: Iterable[_Grid]) -> str:
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


# --- tables for a terminal


def run_table(rows: Sequence[Row]) -> Table:
    """Lay out the end of a run: tasks as lines, styles as columns, percent with interval."""
    rows = [row for row in rows if row.group == ALL]
    styles = list(dict.fromkeys(row.style for row in rows))
    shown = {name: count for name, count in _TROUBLES.items() if any(map(count, rows))}
    table = _table("accuracy, % [95 % interval]", rows, ("task",), (*styles, *shown))
    for task, metric in dict.fromkeys((row.task, row.metric) for row in rows):
        mine = {row.style: row for row in rows if (row.task, row.metric) == (task, metric)}
        label = task if metric == HEADLINE_METRIC else f"{task}\n({metric})"
        cells = [_short_text(mine.get(style)) for style in styles]
        counts = [str(sum(map(count, mine.values()))) for count in shown.values()]
        table.add_row(*map(Text, (label, *cells, *counts)))
    return table


def seed_table(rows: Sequence[SeedRow]) -> Table:
    """Lay out the spread over seeds: mean, standard deviation, lowest and highest in percent."""
    n = max((len(row.seeds) for row in rows), default=0)
    table = Table(title=Text(f"accuracy over {n} seeds, %"), title_justify="left")
    for name in ("task", "style"):
        table.add_column(Text(name), no_wrap=True)
    for name in ("mean", "sd", "lowest", "highest"):
        table.add_column(Text(name), justify="right")
    for row in rows:
        label = row.task if row.metric == HEADLINE_METRIC else f"{row.task} ({row.metric})"
        values = [(row.mean, 1), (row.sd, 2), (row.lowest, 1), (row.highest, 1)]
        cells = [MISSING if v is None else f"{100 * v:.{digits}f}" for v, digits in values]
        table.add_row(*map(Text, (label, row.style, *cells)))
    return table


class BreakdownTable:
    """How accuracy depends on the kind of mark: groups as lines, tasks as columns.

    As many tasks stand side by side as the terminal has room for.
    """

    def __init__(
        self,
        rows: Sequence[Row],
        styles: Collection[str] | None = None,
        axes: Sequence[str] = ("shape", "color"),
    ) -> None:
        """Take the rows of a run; `styles` are those to show, None: all.

        Of each task the first metric is shown, which is its headline.
        """
        self.axes = axes
        metrics = {row.task: row.metric for row in reversed(rows)}
        self.rows = [
            row
            for row in rows
            if row.group.partition("=")[0] in axes
            and (styles is None or row.style in styles)
            and row.metric == metrics[row.task]
        ]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Table]:
        """Yield tables that are no wider than the terminal."""
        tasks = list(dict.fromkeys(row.task for row in self.rows))
        names = max((len(row.style) + len(row.group) for row in self.rows), default=0) + 7
        room = max(1, (options.max_width - names) // (len("100.0 (1234)") + 3))
        for start in range(0, len(tasks), room):
            yield self._table(tasks[start : start + room])

    def _table(self, tasks: Sequence[str]) -> Table:
        rows = [row for row in self.rows if row.task in tasks]
        placed = {(row.style, row.group, row.task): row for row in rows}
        table = _table("accuracy by kind of mark, % (n)", rows, ("style", "group"), tasks)
        for style in dict.fromkeys(row.style for row in rows):
            groups = dict.fromkeys(row.group for row in rows if row.style == style)
            table.add_section()
            ordered = sorted(groups, key=lambda group: _group_order(group, self.axes))
            for number, group in enumerate(ordered):
                cells = [_count_text(placed.get((style, group, task))) for task in tasks]
                table.add_row(*map(Text, ("" if number else style, group, *cells)))
        return table


def _table(what: str, rows: Sequence[Row], names: Sequence[str], values: Sequence[str]) -> Table:
    """Make an empty table that loses no letter in a narrow terminal."""
    models = ", ".join(dict.fromkeys(row.model for row in rows))
    data = " · synthetic data" if any(row.synthetic for row in rows) else ""
    table = Table(title=Text(f"{models}: {what}{data}"), title_justify="left")
    for name in names:
        table.add_column(Text(name), no_wrap=True)
    for value in values:
        table.add_column(Text(value), justify="right", overflow="fold")
    return table


def _short_text(row: Row | None) -> str:
    """Write an accuracy with an interval in whole percent: `81.2 [76-85]`."""
    if row is None or row.accuracy is None or row.ci_low is None or row.ci_high is None:
        return MISSING
    interval = f"[{100 * row.ci_low:.0f}-{100 * row.ci_high:.0f}]{_doubt(row)}"
    text = f"{100 * row.accuracy:.1f} {interval}"
    if row.n < row.n_expected:
        text += f" ({row.n} of {row.n_expected})"
    return text


def _count_text(row: Row | None) -> str:
    if row is None or row.accuracy is None:
        return MISSING
    return f"{100 * row.accuracy:.1f} ({row.n})"
