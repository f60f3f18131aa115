"""The race: which of several styles or models is best, asked until that is known.

All that are left are asked the same samples in the same random order. Out goes what cannot be best
any more, by an interval of its difference that holds at every look and for all pairs together.
"""

import contextlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np

from vipbench.console import Console
from vipbench.errors import RunError
from vipbench.report.names import called_as, display_names
from vipbench.report.text import counted
from vipbench.run.score import Results, check
from vipbench.run.settings import RunSettings
from vipbench.runfolder.name_file import Name
from vipbench.schema import NO_CONTROLS, Record
from vipbench.scoring.scorers import metric_name
from vipbench.sequential.asking import Arm, BlockRun
from vipbench.sequential.room import ask_all, stay_loaded
from vipbench.stats import races
from vipbench.stats.sequences import TOLERANCE, bounds
from vipbench.trials.selection import Selection, select

ALPHA = 0.05
"""Probability that the best one is out, or a survivor farther behind than is said, at most."""
State = Literal["best", "within", "out"]


class Look(Record):
    """What was known of a racer at the end of a block."""

    n: int
    accuracy: float
    """Over the samples that were asked, 0-1."""
    lower: float
    """Interval of the accuracy over all samples, valid at every look and for all racers."""
    upper: float


class RaceRow(Record):
    """How one racer ended."""

    place: int
    racer: str
    """Its style, its model, or both, as far as they differ."""
    model: str
    style: str
    state: State
    block: int
    """The last block that it was asked."""
    n: int
    n_failed: int
    """Of `n`, answers that failed; each counts as wrong."""
    accuracy: float
    lower: float
    upper: float
    looks: tuple[Look, ...]


class Race(NamedTuple):
    """How a race ended."""

    task: str
    metric: str
    within: float
    """How far behind the best a survivor may be, 0-1."""
    n_all: int
    """Samples of the task that every racer can be asked."""
    n_blocks: int
    """Blocks that were asked."""
    rows: tuple[RaceRow, ...]
    """By place."""
    results: tuple[Results, ...]
    """The runs, one a model."""
    synthetic: bool

    @property
    def n_asked(self) -> int:
        """Questions that were asked of all racers together."""
        return sum(row.n for row in self.rows)

    @property
    def n_whole(self) -> int:
        """Questions that asking everything would take."""
        return len(self.rows) * self.n_all


@dataclass
class _Racer:
    """A racer while it is asked."""

    run: BlockRun
    model: str
    style: str
    arms: tuple[Arm, ...]
    values: list[float] = field(default_factory=list)
    """Scores in the order in which they were asked."""
    n_failed: int = 0

    def look(self, ids: Sequence[str]) -> None:
        """Take the scores of some samples that were asked now."""
        for id_ in ids:
            value = self.run.joint_value(self.arms, id_)
            self.n_failed += value is None
            self.values.append(value or 0.0)


class Course(NamedTuple):
    """What a race is about, before any data are read."""

    task: str
    parts: tuple[str, ...]
    styles: tuple[str, ...]
    notes: tuple[str, ...]
    """Styles that do not race, and why."""


def course_of(settings: RunSettings) -> Course:
    """Return the task and the styles of a race.

    Raises:
        RunError: There are several tasks, or no style that shows marks.
        VipbenchError: A task or style is unknown, or data cannot be found.
    """
    selection = select(
        suite=settings.suite,
        tasks=settings.tasks,
        styles=settings.styles,
        data=settings.data,
        include=settings.include,
    )
    task, parts = _task(selection)
    styles = selection.tasks[0].styles
    racing = tuple(style.name for style in styles if style.kind in NO_CONTROLS)
    controls = [style.name for style in styles if style.kind not in NO_CONTROLS]
    if not racing:
        raise RunError(
            f"--styles: {', '.join(controls)} show no marks · expected styles that do: controls do "
            "not race"
        )
    notes = [f"{', '.join(controls)}: a control, which does not race · it is not asked"]
    return Course(task, parts, racing, tuple(notes) if controls else ())


def _task(selection: Selection) -> tuple[str, tuple[str, ...]]:
    """Return the only task of a selection, and those that are asked for it."""
    names = [choice.spec.name for choice in selection.tasks]
    if not selection.joints and len(names) == 1:
        return names[0], (names[0],)
    if len(selection.joints) == 1 and set(selection.joints[0].data) == set(names):
        return selection.joints[0].name, tuple(names)
    listed = [*names, *(joint.name for joint in selection.joints)]
    raise RunError(
        f"race: {counted(len(listed), 'task')} ({', '.join(listed)}) · expected one, since the "
        "best of one may not be that of another · give --tasks NAME"
    )


def race(settings: Sequence[RunSettings], course: Course, within: float, console: Console) -> Race:
    """Ask the styles of a course, of one model or more, until the best are known.

    Args:
        settings: of a run for each model, all of the same samples.
        course: as `course_of` returns it.
        within: how far behind the best a survivor may be, 0-1.
        console: hears what the user should know.

    Raises:
        RunError: There is one racer only, or a margin or a block is of no use.
        VipbenchError: As a run.
    """
    _check(settings, course, within)
    with contextlib.ExitStack() as stack:
        runs: list[BlockRun] = []
        for own in settings:
            runs.append(stack.enter_context(BlockRun(own, console, runs)))
        racers = _racers(runs, course)
        ids, ends = _samples(runs, racers, course)
        if 0 < within < 1 / len(ids):
            raise RunError(
                f"--within {100 * within:g}: less than one of {counted(len(ids), 'sample')} "
                f"({100 / len(ids):.3g} points), so that no number of samples can show it · "
                "expected more, in percentage points: 1 for one · or 0: until one is left"
            )
        for run in runs:
            run.check_blocks()
        together = stay_loaded(runs, console)
        looks, states = _ask(racers, ids, ends, within, together=together)
        results = tuple(run.end() for run in runs)
        spec = runs[0].started.manifest.tasks[course.parts[0]]
        metric = metric_name(spec.kind, spec.rule)
    for each, asked in zip(results, settings, strict=True):
        check(each, asked.max_errors, console)
    rows = _rows(racers, states, looks, len(ids))
    return Race(course.task, metric, within, len(ids), len(looks), rows, results, spec.synthetic)


def _check(settings: Sequence[RunSettings], course: Course, within: float) -> None:
    """Refuse what can be known to be of no use before the data are read; RunError."""
    if len(settings) * len(course.styles) < 2:
        raise RunError(
            f"race: {course.styles[0]} runs alone · expected two styles or more (--styles), or two "
            "models or more (--models)"
        )
    if not 0 <= within < 1:
        raise RunError(
            f"--within {100 * within:g}: expected percentage points from 0 to below 100 · 1 for one"
        )
    shard = settings[0].shard
    if shard is not None:
        raise RunError(
            f"--shard {shard}: a shard sees only its own batches, and who is out depends on all "
            "answers · give --workers N, which share one run"
        )


def _racers(runs: Sequence[BlockRun], course: Course) -> list[_Racer]:
    models = display_names([called_as(Name(), run.started.manifest) for run in runs])
    return [
        _Racer(run, model, style, tuple(Arm(part, style) for part in course.parts))
        for run, model in zip(runs, models, strict=True)
        for style in course.styles
    ]


def _samples(
    runs: Sequence[BlockRun], racers: Sequence[_Racer], course: Course
) -> tuple[list[str], list[int]]:
    """Return the samples that all can be asked, in order, and how many each block ends with."""
    ordered, stops = runs[0].order(course.parts[0]), runs[0].ends(course.parts[0])
    for run in runs:
        for part in course.parts:
            if (run.order(part), run.ends(part)) != (ordered, stops):
                raise RunError(
                    f"{run.folder}: has other samples of {part}, or other blocks, than "
                    f"{runs[0].folder} · expected the same data, seed and --block"
                )
    ids: list[str] = []
    ends: list[int] = []
    remaining = set(stops)
    for n, id_ in enumerate(ordered, 1):
        if all(racer.run.can_ask(arm, id_) for racer in racers for arm in racer.arms):
            ids.append(id_)
        if n in remaining:
            ends.append(len(ids))
    return ids, ends


def _ask(
    racers: Sequence[_Racer],
    ids: Sequence[str],
    ends: Sequence[int],
    within: float,
    *,
    together: bool,
) -> tuple[list[int], list[State]]:
    """Ask block by block those that are left; return the looks, and how all stand at the end."""
    race, looks = races.set_out(len(racers), len(ids), within, ALPHA), [0]
    runs = list(dict.fromkeys(racer.run for racer in racers))
    for block, end in enumerate(ends):
        if race.ended:
            break
        alive = [racers[number] for number in race.alive]
        arms: dict[BlockRun, list[Arm]] = {}
        for racer in alive:
            arms.setdefault(racer.run, []).extend(racer.arms)
        ask_all(runs, block, arms, together=together)
        for racer in alive:
            racer.look(ids[looks[-1] : end])
        if end > looks[-1]:
            scores = [racer.values[looks[-1] :] for racer in alive]
            race = races.after(race, np.array(scores).T)
            looks.append(end)
    return looks[1:], _states(racers, race)


def _states(racers: Sequence[_Racer], race: races.Race) -> list[State]:
    """Say who is best, who is near it and who is out; where all was asked, by all that was said."""
    totals = [math.fsum(racer.values) for racer in racers]
    is_whole = race.behind.n == race.size
    near = [
        number
        for number, racer in enumerate(racers)
        if number in race.alive or (is_whole and len(racer.values) == race.size)
    ]
    most = max(totals[number] for number in near)
    states: list[State] = ["out"] * len(racers)
    for number in near:
        gap = (most - totals[number]) / len(racers[number].values)
        if number in race.alive or gap <= race.within + TOLERANCE:
            states[number] = "within"
    states[next(number for number in near if totals[number] == most)] = "best"
    return states


def _rows(
    racers: Sequence[_Racer], states: Sequence[State], looks: Sequence[int], size: int
) -> tuple[RaceRow, ...]:
    """Order the racers: the best, then the other survivors, then those that went out last."""
    order = sorted(
        range(len(racers)),
        key=lambda i: (
            ["best", "within", "out"].index(states[i]),
            -len(racers[i].values),
            -math.fsum(racers[i].values),
            i,
        ),
    )
    names = [
        dict.fromkeys(each) for each in zip(*((r.model, r.style) for r in racers), strict=True)
    ]
    rows = []
    for place, i in enumerate(order, 1):
        racer, mine = racers[i], [n for n in looks if n <= len(racers[i].values)]
        intervals = bounds(racer.values, size, mine, ALPHA / len(racers), 0.0, 1.0)
        seen = tuple(
            Look(n=n, accuracy=math.fsum(racer.values[:n]) / n, lower=float(low), upper=float(high))
            for n, (low, high) in zip(mine, intervals, strict=True)
        )
        told = [racer.model] * (len(names[0]) > 1) + [racer.style] * (len(names[1]) > 1)
        rows.append(
            RaceRow(
                place=place,
                racer=" ".join(told) or racer.model,
                model=racer.model,
                style=racer.style,
                state=states[i],
                block=len(mine),
                n=len(racer.values),
                n_failed=racer.n_failed,
                accuracy=seen[-1].accuracy,
                lower=seen[-1].lower,
                upper=seen[-1].upper,
                looks=seen,
            )
        )
    return tuple(rows)
