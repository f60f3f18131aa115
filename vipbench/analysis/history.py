"""Accuracy over the steps of a training, and where it has dropped. Runs no model."""

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, NamedTuple

from vipbench.analysis.common import common_samples, left_out
from vipbench.analysis.differences import have_same_weights, tell_apart
from vipbench.analysis.looks import Against, Look, Scores, level, looks
from vipbench.analysis.pairs import Side, read_side, split_side
from vipbench.errors import RunError, nearest
from vipbench.report.names import display_names
from vipbench.runfolder.folder import MANIFEST
from vipbench.runfolder.lines import ScoreLine
from vipbench.runfolder.progress import finished_runs
from vipbench.runfolder.summary import ALL, Group
from vipbench.schema import Record
from vipbench.stats.comparisons import holm
from vipbench.stats.intervals import clustered_mean

ALPHA = 0.05
"""Probability of one false drop or more, over all looks and all rows of a kind."""
MARKS = ("shape", "color")
"""Axes that tell kinds of mark, where nothing else is asked for."""


class HistoryRow(Record):
    """One task, or one kind of mark of it, at one step; fractions."""

    run: str
    name: str
    step: int
    task: str
    style: str
    metric: str
    group: str
    """`all`, or `shape=ellipse`."""
    n: int
    n_clusters: int
    n_errors: int
    accuracy: float | None
    """None where every sample failed."""
    ci_low: float | None
    ci_high: float | None
    reliable: bool
    level: float | None = None
    """Of this look; None at the start."""
    from_start: float | None = None
    """Difference from the first step, on the samples of both."""
    from_start_low: float | None = None
    from_start_high: float | None = None
    """95 % interval, for this step alone."""
    p_start: float | None = None
    """One-sided, of "no drop"; Holm over all tasks, or all kinds of mark, of this step."""
    dropped_from_start: bool = False
    """`p_start` is below `level`."""
    best_step: int | None = None
    """The best of the steps before."""
    from_best: float | None = None
    from_best_low: float | None = None
    from_best_high: float | None = None
    p_best: float | None = None
    """Multiplied by the number of steps that the best was chosen from, then Holm."""
    dropped_from_best: bool = False
    synthetic: bool

    @property
    def label(self) -> str:
        """The task, with its group where the row is one kind of mark of it."""
        return self.task if self.group == ALL else f"{self.task} {self.group}"


class History(NamedTuple):
    """Runs in the order of their steps, and what they show."""

    steps: tuple[int, ...]
    rows: tuple[HistoryRow, ...]
    """Series after series, each in the order of the steps; whole tasks first."""
    notes: tuple[str, ...]
    """What differs between the runs beside the step, and what is left out."""
    alpha: float
    is_part: bool = False
    """Samples or tasks are left out, since not all runs have them."""

    def series(self) -> list[list[HistoryRow]]:
        """Return the rows of each task and kind of mark, in the order of the steps."""
        n = len(self.steps)
        return [list(self.rows[first : first + n]) for first in range(0, len(self.rows), n)]


class _Series(NamedTuple):
    """One task, or one kind of mark of it, at all steps."""

    task: str
    metric: str
    group: Group | None
    lines: tuple[tuple[ScoreLine, ...], ...]
    """At each step."""


def history(
    runs: Sequence[str], *, by: Sequence[str] | None = None, alpha: float = ALPHA
) -> History:
    """Put runs of one training in order, and test each step against the start and the best so far.

    Args:
        runs: Folders, or RUN@STYLE; of different steps.
        by: Breakdown axes whose values are rows as well; None: shape and colour, as far as a task
            has them.
        alpha: Probability of a false drop.

    Raises:
        RunError: Fewer than two runs, a step that is not known or stands twice, samples that
            cannot be paired, or an unknown axis. Of runs of one protocol, the samples and tasks
            that all of them have are looked at; a note says what is left out.
    """
    sides = _in_order([read_side(run) for run in dict.fromkeys(runs)])
    common = common_samples(sides)
    if not common:
        raise RunError(
            f"{sides[0].name}: no score that all runs have in common · expected one metric of one "
            "task in all of them · have them scored alike (`vipbench score`)"
        )
    part = left_out(sides, common)
    notes = [*_notes(sides), *part]
    axes = _axes(sides, [task for task, _ in common], by)
    series = [one for key, ids in common.items() for one in _series_of(sides, *key, ids, axes)]
    series.sort(key=lambda one: one.group is not None)  # stable: whole tasks first
    rows = [_rows(sides, one, alpha) for one in series]
    _adjust([each for each in rows if each[0].group == ALL])
    _adjust([each for each in rows if each[0].group != ALL])
    steps = tuple(_step(side) for side in sides)
    return History(
        steps, tuple(row for each in rows for row in each), tuple(notes), alpha, bool(part)
    )


def finished(runs: Sequence[str], say: Callable[[str], None]) -> list[str]:
    """Return the finished runs of those named; `say` is told of each other why it is left out.

    A folder that is no run stands for the runs in it, such as all that a callback has made.

    Raises:
        RunError: A folder holds no run, or no run is finished.
    """
    each = [inner for run in dict.fromkeys(runs) for inner in _expanded(run)]
    kept = set(finished_runs([split_side(run)[0] for run in each], say))
    return [run for run in each if split_side(run)[0] in kept]


def _expanded(run: str) -> list[str]:
    folder, style = split_side(run)
    if (folder / MANIFEST).exists() or not folder.is_dir():
        return [run]
    inner = sorted(path.parent for path in folder.glob(f"*/{MANIFEST}"))
    return [f"{path}@{style}" if style else str(path) for path in inner] or [run]


def _step(side: Side) -> int:
    step = side.called.step
    if step is None:
        raise RunError(
            f"{side.folder}: the training step is not known · expected a step, by which runs are "
            f"put in order · say it: `vipbench name {side.folder} --step N`"
        )
    return step


def _in_order(sides: Sequence[Side]) -> list[Side]:
    """Put runs in the order of their steps; RunError where that cannot be done."""
    if len(sides) < 2:
        given = sides[0].name if sides else "no run"
        raise RunError(
            f"history: {given} alone · expected two or more runs, of different steps of one "
            "training · give the others too"
        )
    by_step: dict[int, Side] = {}
    for side in sides:
        step = _step(side)
        if step in by_step:
            raise RunError(
                f"{by_step[step].name} and {side.name}: are both of step {step:,} · expected one "
                "run of each step · leave one of them out, or correct its step: `vipbench name "
                f"{side.folder} --step N`"
            )
        by_step[step] = side
    return [by_step[step] for step in sorted(by_step)]


def _notes(sides: Sequence[Side]) -> list[str]:
    """Say which runs have the same weights, and what else differs from the first run."""
    notes = [_same_weights(group) for group in _groups_of_weights(sides)]
    start = sides[0]
    labels = display_names([side.called for side in sides])
    for side, label in zip(sides[1:], labels[1:], strict=True):
        apart = tell_apart(start, side, (labels[0], label))
        notes += _other_styles(start, side)
        found = [difference.words for difference in apart.differences]
        notes += [f"{start.name} → {side.name}: differs: {words}" for words in found]
    return notes


def _groups_of_weights(sides: Sequence[Side]) -> list[list[Side]]:
    """Return the runs that have the same weights as another one, as far as is known, together."""
    groups: list[list[Side]] = []
    for side in sides:
        group = next((each for each in groups if have_same_weights(each[0], side)), None)
        if group is None:
            groups.append([side])
        else:
            group.append(side)
    return [group for group in groups if len(group) > 1]


def _same_weights(group: Sequence[Side]) -> str:
    """Say that runs have the same weights; the folder of those beside the first is told once."""
    first, *others = group
    names = [first.name]
    for side in others:
        is_beside = side.folder.parent == first.folder.parent
        names.append(side.name.removeprefix(f"{side.folder.parent}/") if is_beside else side.name)
    steps = [f"{_step(side):,}" for side in group]
    return f"{_both(names)}: have the same weights, at steps {_both(steps)}"


def _both(names: Sequence[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}"


def _other_styles(start: Side, side: Side) -> list[str]:
    """Say for which tasks two runs differ in style, which training does not explain."""
    both = [task for task in start.manifest.tasks if task in side.manifest.tasks]
    pairs: dict[tuple[str, str], list[str]] = {}
    for task in both:
        pairs.setdefault((start.style_of(task), side.style_of(task)), []).append(task)
    return [
        f"{start.name} → {side.name}: the style differs, too: {then} → {now} ({', '.join(tasks)}) "
        "· what has dropped may be what the style is worth"
        for (then, now), tasks in pairs.items()
        if then != now
    ]


def _axes(sides: Sequence[Side], tasks: Sequence[str], by: Sequence[str] | None) -> list[str]:
    """Return the axes whose values are rows; RunError for one that no task has."""
    known = {axis for task in tasks for axis in sides[0].manifest.tasks[task].breakdown}
    if by is None:
        return [axis for axis in MARKS if axis in known]
    for axis in by:
        if axis not in known:
            raise RunError(f"--by {axis}: is not a breakdown of these runs{nearest(axis, known)}")
    return list(by)


def _series_of(
    sides: Sequence[Side], task: str, metric: str, ids: Collection[str], axes: Collection[str]
) -> Iterator[_Series]:
    lines = [
        tuple(line for id_, line in side.lines[task, metric].items() if id_ in ids)
        for side in sides
    ]
    yield _Series(task, metric, None, tuple(lines))
    for axis in axes:
        if any(axis not in side.manifest.tasks[task].breakdown for side in sides):
            continue
        values = {value for each in lines for line in each for value in line.tags.get(axis, ())}
        for value in sorted(values):
            of_value = [
                tuple(line for line in each if value in line.tags.get(axis, ())) for each in lines
            ]
            if all(of_value):
                yield _Series(task, metric, Group(axis, value), tuple(of_value))


def _rows(sides: Sequence[Side], series: _Series, alpha: float) -> list[HistoryRow]:
    """Make the rows of a series; p-values are not adjusted for other series yet."""
    scored: list[Scores] = [
        {line.id: (line.value, line.group) for line in lines if line.value is not None}
        for lines in series.lines
    ]
    steps = [_step(side) for side in sides]
    rows = []
    for number, (side, look) in enumerate(zip(sides, looks(scored), strict=True)):
        values, lines = scored[number], series.lines[number]
        clusters = [cluster for _, cluster in values.values()]
        mean = clustered_mean([value for value, _ in values.values()], clusters) if values else None
        rows.append(
            HistoryRow(
                run=side.name,
                name=side.called.name,
                step=steps[number],
                task=series.task,
                style=side.style_of(series.task),
                metric=series.metric,
                group=ALL if series.group is None else series.group.name,
                n=len(values),
                n_clusters=len(set(clusters)),
                n_errors=sum(line.error is not None for line in lines),
                accuracy=None if mean is None else mean.mean,
                ci_low=None if mean is None else mean.ci_low,
                ci_high=None if mean is None else mean.ci_high,
                reliable=mean is not None and mean.reliable,
                level=level(alpha, number) if number else None,
                synthetic=side.manifest.tasks[series.task].synthetic,
                **_look_fields(look, steps),
            )
        )
    return rows


def _look_fields(look: Look, steps: Sequence[int]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, found in (("start", look.start), ("best", look.best)):
        if found is not None:
            low, high = _bounds(found)
            fields |= {
                f"from_{name}": found.change.difference,
                f"from_{name}_low": low,
                f"from_{name}_high": high,
                f"p_{name}": found.p,
            }
    if look.best is not None:
        fields["best_step"] = steps[look.best.number]
    return fields


def _bounds(found: Against) -> tuple[float, float]:
    low, high = found.change.bounds()
    return min(low, found.change.difference), max(high, found.change.difference)


def _adjust(family: list[list[HistoryRow]]) -> None:
    """Adjust p-values for the series of a family, step by step, and say which are drops."""
    for number in range(len(family[0]) if family else 0):
        for p, dropped in (
            ("p_start", "dropped_from_start"),
            ("p_best", "dropped_from_best"),
        ):
            tested = [series for series in family if getattr(series[number], p) is not None]
            adjusted = holm([getattr(series[number], p) for series in tested])
            for series, value in zip(tested, adjusted, strict=True):
                row = series[number]
                assert row.level is not None
                series[number] = row.model_copy(update={p: value, dropped: value < row.level})
