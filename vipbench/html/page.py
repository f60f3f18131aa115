"""The page: one HTML file with its style, its script and its data inside."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import TYPE_CHECKING, NamedTuple

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from vipbench._version import __version__
from vipbench.analysis.sweep.board import StyleBoard, boards
from vipbench.analysis.sweep.effects import EffectRow
from vipbench.analysis.sweep.overview import Sweep
from vipbench.analysis.sweep.text import effect_text, span_text
from vipbench.files import without_folders
from vipbench.html.dataset import Dataset, as_json
from vipbench.html.pictures import Drawn
from vipbench.html.runs import Run, TaskKey, reveal_hidden, task_labels
from vipbench.html.scales import Scale, scale_around_zero, scale_of_bars, scale_of_cells
from vipbench.html.tables import MOST_ORDERED, Board, TaskPart, Trouble, browse
from vipbench.prompts.colors import COLORS
from vipbench.report.columns import parts_of
from vipbench.report.text import counted, number, p_text, percent, points
from vipbench.stats.intervals import MIN_CLUSTERS

if TYPE_CHECKING:
    from vipbench.html.histories import Curve


SECTIONS = (
    ("best", "Best styles"),
    ("troubles", "Troubles"),
    ("leaderboard", "Leaderboard"),
    ("differences", "Differences"),
    ("history", "History"),
    ("controls", "Controls"),
    ("marks", "Marks"),
    ("styles", "Styles"),
    ("effects", "Effects"),
    ("ranking", "Ranking"),
    ("samples", "Samples"),
    ("runs", "Runs"),
)
"""Anchors and names of the sections, in their order."""


class Plot(NamedTuple):
    """A plot that was also written to files."""

    files: list[str]
    """Seen from the page."""


class Content(NamedTuple):
    """All that is on the page."""

    dataset: Dataset
    boards: tuple[Board, Board]
    """Headline metrics, other metrics."""
    troubles: list[Trouble]
    parts: list[TaskPart]
    drawn: Drawn
    plots: Mapping[str, Plot]
    """By name: `styles-<slug>`, `marks-<slug>`."""
    sweep: Sweep
    curves: "Sequence[Curve]" = ()
    """Trainings, over their steps."""
    notes: tuple[str, ...] = ()
    """What is not shown of them."""


def render(content: Content) -> str:
    """Return the page; the same content gives the same text.

    Whatever comes from data is escaped by the template, or is JSON that no text in it can end. The
    policy in the page's head allows this script and this style only, and no connection.
    """
    css, script, template = (
        files(__package__).joinpath(name).read_text("utf-8")
        for name in ("page.css", "page.js", "page.html.jinja")
    )
    runs, parts = content.dataset.runs, content.parts
    folded = [*content.sweep.notes, *content.notes, *_picture_notes(content), *_prompt_notes(runs)]
    style_boards = _style_boards(content)
    control_names = list(dict.fromkeys(name for part in parts for name in part.control_names))
    with_orders = any(part.orders for part in parts)
    is_ranked = with_orders or (len(runs) > MOST_ORDERED and bool(content.sweep.ranks))
    differences = [(change, part) for part in parts for change in part.differences]
    shown = {
        "best": style_boards,
        "troubles": content.troubles or folded,
        "differences": differences,
        "history": content.curves,
        "controls": control_names,
        "effects": content.sweep.effects,
        "ranking": is_ranked,
    }
    missing = {name for name, holds in shown.items() if not holds}
    return (
        _environment()
        .from_string(template)
        .render(
            title=_title(runs),
            counts=_counts(content),
            notes=_notes(content),
            folded=folded,
            policy=_policy(css, script),
            css=Markup(css),  # noqa: S704  # our own files
            script=Markup(script),  # noqa: S704
            data=Markup(as_json(content.dataset)),  # noqa: S704  # cannot end the element
            runs=runs,
            boards=list(zip(("Headline metrics", "Other metrics"), content.boards, strict=True)),
            style_boards=style_boards,
            troubles=_by_run(content.troubles),
            parts=parts,
            control_names=control_names,
            with_gain=any(control.gain for part in parts for control in part.controls),
            with_differences=bool(differences),
            other_differences=any(
                change.style not in part.headlines for change, part in differences
            ),
            gain_scale=_scale_of_gains(parts),
            scale_around=_scale_of_differences,
            browse=browse,
            with_orders=with_orders,
            is_ranked=is_ranked,
            effects=_by_task(content.sweep),
            ranks=content.sweep.ranks,
            min_clusters=MIN_CLUSTERS,
            plots=content.plots,
            curves=content.curves,
            sections=[each for each in SECTIONS if each[0] not in missing],
            about_pictures=_about_pictures(content),
            version=__version__,
        )
    )


def _environment() -> Environment:
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["shown"] = reveal_hidden
    environment.filters["name"] = _name
    environment.filters["swatch"] = _swatch
    environment.filters["number"] = number
    environment.filters["percent"] = percent
    environment.filters["points"] = lambda value: _with_minus(points(value))
    environment.filters["effect_text"] = lambda row: _with_minus(effect_text(row))
    environment.filters["p_text"] = p_text
    environment.filters["scale_of_bars"] = scale_of_bars
    environment.filters["scale_of_cells"] = scale_of_cells
    environment.filters["trouble_text"] = _trouble_text
    environment.filters["span_text"] = span_text
    return environment


def _name(text: str) -> Markup:
    """Escape a name, and let it be broken where its parts end, as in `rectangle:red`."""
    return Markup("<wbr>").join(parts_of(reveal_hidden(text)))


def _policy(css: str, script: str) -> str:
    """Return a Content-Security-Policy that allows this style, this script, and pictures.

    `file:` is there because `'self'` matches nothing on a page that was opened from a disk.
    """
    return (
        f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(css)}; "
        "img-src data: 'self' file:; base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"


def _with_minus(text: str) -> str:
    """Set a minus, which is as wide as a plus, for a hyphen."""
    return text.replace("-", "\N{MINUS SIGN}")


def _by_task(results: Sweep) -> dict[tuple[str, str], list[EffectRow]]:
    """Return the effects of each task and model."""
    by_task: dict[tuple[str, str], list[EffectRow]] = {}
    for row in results.effects:
        by_task.setdefault((row.task, row.model), []).append(row)
    return by_task


def _style_boards(content: Content) -> list[tuple[StyleBoard, str, list[tuple[str, int]]]]:
    """Return the table of each task under several styles, its label, and the runs as columns."""
    numbers = {run.label: number for number, run in enumerate(content.dataset.runs)}
    labels = task_labels(content.dataset.tasks)
    found = []
    for board in boards(content.sweep.best):
        row = next(iter(board.rows.values()))
        label = labels[TaskKey(row.task, row.task_version, row.synthetic)]
        heads = [(model, numbers.get(model, 0)) for model in board.models]
        if len(board.styles) > 1:
            found.append((board, label, heads))
    return found


def _by_run(troubles: Sequence[Trouble]) -> list[tuple[int, list[Trouble]]]:
    by_run: dict[int, list[Trouble]] = {}
    for trouble in troubles:
        by_run.setdefault(trouble.run, []).append(trouble)
    return list(by_run.items())


def _trouble_text(rows: Sequence[Trouble]) -> str:
    """Sum up what happened to the answers of a run: `3 errors, 1 truncated of 240 answers`."""
    kinds = ("errors", "unparsed", "truncated", "refused", "filtered")
    sums = {kind: sum(getattr(row, kind) for row in rows) for kind in kinds}
    said = ", ".join(f"{n:,} {kind}" for kind, n in sums.items() if n)
    places = list(dict.fromkeys(f"{row.task}, {row.style}" for row in rows))
    where = f" ({places[0]})" if len(places) == 1 else f" (in {len(places)} tasks and styles)"
    return f"{said} of {counted(sum(row.n for row in rows), 'answer')}{where}"


def _scale_of_gains(parts: Sequence[TaskPart]) -> Scale:
    gains = [control.gain for part in parts for control in part.controls if control.gain]
    return scale_around_zero(value for n in gains for value in (n.low, n.mean, n.high))


def _scale_of_differences(parts: Sequence[TaskPart], headline: bool) -> Scale:
    return scale_around_zero(
        value
        for part in parts
        for each in part.differences
        if (each.style in part.headlines) == headline
        for value in (each.number.low, each.number.mean, each.number.high)
    )


def _swatch(color: str) -> str:
    return f"c-{color}" if color in COLORS else "c-other"


def _title(runs: Sequence[Run]) -> str:
    models = list(dict.fromkeys(run.name for run in runs))
    more = f" and {len(models) - 3} more" if len(models) > 3 else ""
    return ", ".join(models[:3]) + more


def _counts(content: Content) -> str:
    data = content.dataset
    return ", ".join(
        counted(n, noun)
        for n, noun in (
            (len(data.runs), "run"),
            (len(data.tasks), "task"),
            (len(data.styles), "style"),
            (data.n_samples() + data.n_left_out, "sample"),
        )
    )


def _prompt_notes(runs: Sequence[Run]) -> list[str]:
    """Say what of a checkpoint contradicts the prompts that it was asked in."""
    return [
        f"{run.label}: {without_folders(note)}"
        for run in runs
        for note in run.manifest.prompt_notes
    ]


def _notes(content: Content) -> list[str]:
    """Say what a reader of the numbers must know."""
    notes = []
    keys = content.dataset.tasks
    if any(key.synthetic for key in keys):
        some = "Some data are" if not all(key.synthetic for key in keys) else "All data are"
        notes.append(f"{some} synthetic: the embedded benchmark, not the published data.")
    lines = [cell for board in content.boards for line in board.lines for cell in line.cells]
    if any(cell is not None and cell.whole for cell in lines):
        notes.append("Not all samples of each task were scored: subsets, or errors; see n.")
    n_shown, n_left_out = content.dataset.n_samples(), content.dataset.n_left_out
    if n_left_out:
        notes.append(
            f"Of {n_shown + n_left_out:,} samples, {n_shown:,} are in this page, drawn at random "
            "and the same under all styles and in all runs. Tables and plots are of all of them, "
            "and numbers open those that are here; --max-answers shows more."
        )
    return notes


def _picture_notes(content: Content) -> list[str]:
    """Say which pictures are missing."""
    notes = []
    if content.drawn.n_withheld:
        notes.append(
            f"{content.drawn.n_withheld:,} pictures are left out, since their tasks may not be "
            "redistributed; --embed-images shows them."
        )
    if content.drawn.n_failed:
        notes.append(
            f"{content.drawn.n_failed:,} pictures could not be drawn, the first because of "
            f"{without_folders(content.drawn.first_failure)}"
        )
    return notes


def _about_pictures(content: Content) -> str:
    size = content.dataset.pictures.size
    if not content.drawn.n_drawn:
        return "There are no pictures in this report."
    known = any(run.manifest.image_size for run in content.dataset.runs)
    seen = "as the model saw them" if known else "marked and fitted as for a model"
    return f"Pictures {seen}, {size} \u00d7 {size} px."
