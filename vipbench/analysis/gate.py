"""The gate: did a checkpoint get worse? Thresholds, tests and findings. Runs no model."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import Field

from vipbench.analysis.differences import Apart, is_elsewhere, tell_apart
from vipbench.analysis.pairs import (
    Pair,
    Pairing,
    Rounding,
    Side,
    change,
    is_unparsed,
    left_out_notes,
    pair_runs,
    read_side,
    rounding_of,
)
from vipbench.data.suites import PowerGoal
from vipbench.data.tasks import find_suites, load_suite
from vipbench.errors import RunError, nearest
from vipbench.report.text import number, p_text, percent, points
from vipbench.runfolder.lines import ScoreLine
from vipbench.runfolder.manifest import marked_styles
from vipbench.runfolder.summary import ALL
from vipbench.schema import Record
from vipbench.stats.comparisons import holm
from vipbench.stats.intervals import MIN_CLUSTERS
from vipbench.stats.power import Design
from vipbench.validation import checked, read_yaml

Trouble = Literal["errors", "unparsed", "power", "few images", "not tested"]
RoundingRule = Literal["report", "widen"]
DETECT = 0.02
"""Drop to be found where neither thresholds nor suite name one: two percentage points."""
DISCORDANCE = 0.1
"""Assumed share of changed answers, likewise: one in ten. Ours; `vipbench power` measures it."""


class TaskThresholds(Record):
    """What holds for one task instead of what holds for all."""

    max_drop: float | None = Field(default=None, ge=0, lt=1)
    detect: float | None = Field(default=None, gt=0, lt=1)


class Thresholds(Record):
    """A thresholds file; all numbers are fractions: 0.02 is two percentage points."""

    alpha: float = Field(default=0.05, gt=0, lt=0.5)
    """Level of the one-sided test, for all rows together."""
    max_drop: float = Field(default=0.0, ge=0, lt=1)
    """A row fails where its drop is larger beyond doubt."""
    detect: float | None = Field(default=None, gt=0, lt=1)
    """Drop that each task should be able to show; less power is a warning. None: the suite's, else
    0.02."""
    power: float = Field(default=0.8, gt=0.5, lt=1)
    """Probability with which it should."""
    discordance: float | None = Field(default=None, gt=0, le=1)
    """Share of answers that another checkpoint changes, for the power; where more have changed to
    and fro, those. None: the suite's, else 0.1."""
    max_errors: float = Field(default=0.01, ge=0, lt=1)
    """Share of a task's samples by which errors may rise."""
    max_unparsed: float | None = Field(default=None, ge=0, lt=1)
    """The same for answers that cannot be parsed, which also count as wrong; None: any."""
    rounding: RoundingRule = "report"
    """`widen`: rows may drop further, by what rounding could do at worst (see `_allowed`)."""
    tasks: dict[str, TaskThresholds] = Field(default={})

    def max_drop_of(self, task: str) -> float:
        """Return the drop that a task is allowed."""
        own = self.tasks.get(task, TaskThresholds()).max_drop
        return self.max_drop if own is None else own


class GateRow(Record):
    """One test: a task, or one prompt type of it."""

    task: str
    metric: str
    style: str
    group: str
    """`all`, or `shape=ellipse`."""
    n: int
    n_clusters: int
    accuracy_base: float
    accuracy_new: float
    difference: float
    upper: float
    """Upper bound of the one-sided interval of new minus base."""
    max_drop: float
    """As the thresholds say, and under `widen` what rounding could do."""
    p: float
    """Of "the drop is not larger than `max_drop`"."""
    p_holm: float
    """Adjusted for all rows; the row fails below the level."""
    failed: bool
    reliable: bool
    smallest_drop: float | None
    """That the row would find with the power asked for; None where it would find none."""
    lost: tuple[str, ...]
    """Samples that were right and are wrong."""
    n_gained: int
    rounding_lost: float | None = None
    """Answers that rounding is expected to lose; None: no certificate tells."""
    rounding_worst: float | None = None
    """Those that it could lose: the bounds of both runs, were every flip a loss."""

    @property
    def label(self) -> str:
        """The task, with its group where the row is one prompt type of it."""
        return self.task if self.group == ALL else f"{self.task} {self.group}"


class Finding(NamedTuple):
    """Something beside the accuracy of rows."""

    task: str
    about: Trouble
    message: str
    failed: bool
    shared: str = ""
    """What may be said of several tasks at once; `short` follows each of their names."""
    short: str = ""


class Gate(NamedTuple):
    """Two runs, what was tested of them under which thresholds, and what failed.

    The gate is passed where `failures` is empty.
    """

    base: Side
    new: Side
    thresholds: Thresholds
    rows: tuple[GateRow, ...]
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]
    apart: Apart
    """What differs beside the checkpoint."""
    allowed: frozenset[str] = frozenset()
    """Names of the differences that may be there; any other fails before the rows, which are then
    empty."""
    rounding: tuple[str, ...] = ()
    """What is known of rounding, in either run and in each task."""
    left_out: tuple[str, ...] = ()
    """Which samples are not looked at, since only one of the runs has them."""
    new_only: tuple[str, ...] = ()
    """Tasks that the new run alone has."""

    @property
    def untested(self) -> list[str]:
        """The tasks of the base that are not rows, since the new run lacks them."""
        return [finding.task for finding in self.findings if finding.about == "not tested"]

    @property
    def failures(self) -> list[str]:
        """Say what failed, in a few words each; empty where the gate is passed."""
        forbidden = self.apart.forbidden(self.allowed)
        if forbidden:
            return [f"differs: {difference.words}" for difference in forbidden]
        rows = [
            f"{row.label} {points(row.difference)} points (p {p_text(row.p_holm)})"
            for row in self.rows
            if row.failed
        ]
        return rows + told_findings([each for each in self.findings if each.failed])


def told_findings(findings: Sequence[Finding]) -> list[str]:
    """Say findings in words; what is the same for several tasks once, with their names."""
    groups: dict[tuple[str, ...], list[Finding]] = {}
    for each in findings:
        key = (each.about, each.shared) if each.shared else (each.about, each.task, each.message)
        groups.setdefault(key, []).append(each)
    said = []
    for first, *others in groups.values():
        if others:
            named = (f"{each.task} {each.short}".strip() for each in (first, *others))
            said.append(f"{first.shared}: {', '.join(named)}")
        else:
            said.append(f"{first.task}: {first.message}")
    return said


def read_thresholds(path: Path | None) -> Thresholds:
    """Read a thresholds file, None: the defaults; TaskError names every mistake."""
    if path is None:
        return Thresholds()
    content = read_yaml(path)
    tasks = content.get("tasks")
    if isinstance(tasks, dict):
        for name, fields in tasks.items():
            if isinstance(fields, dict):
                tasks[name] = checked(TaskThresholds, fields, f"{path}: tasks.{name}")
    return checked(Thresholds, content, str(path))


def with_max_drop(thresholds: Thresholds, drop: float) -> Thresholds:
    """Return thresholds with another drop that all tasks are allowed, in percentage points.

    Raises:
        RunError: It is none.
    """
    if not 0 <= drop < 100:
        raise RunError(
            f"--max-drop {drop:g}: expected percentage points from 0 to below 100 · 2 for two"
        )
    return thresholds.model_copy(update={"max_drop": drop / 100})


def gate(
    base: str | Side,
    new: str,
    thresholds: Thresholds,
    *,
    by: Sequence[str] = (),
    require_power: bool = False,
    allow: Collection[str] = (),
) -> Gate:
    """Test whether any task got worse from one run to another.

    Rows are the tasks, each under its headline metric and style; controls never count. A row fails
    where the upper bound of its one-sided interval, paired and clustered, lies below -`max_drop`,
    at a level that Holm's method divides among the rows. Where something else than the checkpoint
    differs, the gate fails before its rows.

    Args:
        base: A run folder, or the side that a baseline was read as.
        new: A run folder, of the same suite.
        thresholds: What is allowed.
        by: Breakdown axes, such as `shape`, whose values are rows as well; a text that is not one
            itself is a list with commas.
        require_power: Too little power, or none, is a failure instead of a warning.
        allow: Names of differences that may be there, of `differences.NAMES`.

    Raises:
        RunError: The runs cannot be paired, no headline style shows marks, an axis is unknown, or
            rounding is to widen what is allowed and a 16-bit run has no certificate.
    """
    sides = base if isinstance(base, Side) else read_side(base), read_side(new)
    apart, allowed = tell_apart(*sides), frozenset(allow)
    if apart.forbidden(allowed):
        return Gate(*sides, thresholds, (), (), apart.others, apart, allowed)
    roundings = [rounding_of(side, thresholds.alpha) for side in sides]
    _check_certificates(roundings, thresholds)
    pairings, left_out = _headlines(*sides)
    breakdowns = {each.task: each.base.manifest.tasks[each.task].breakdown for each in pairings}
    by = check_rows(thresholds, by, breakdowns)
    tests = [
        (pairing, group, pairs)
        for pairing in pairings
        for group, pairs in _groups(pairing, by)
        if any(pair.values for pair in pairs)
    ]
    goal = _goal(thresholds, sides[0].manifest.identity.suite)
    rows = _adjusted([_row(*test, thresholds, goal, roundings) for test in tests], thresholds.alpha)
    findings = [
        *(finding for pairing in pairings for finding in _troubles(pairing, thresholds)),
        *(finding for row in rows for finding in _doubts(row, thresholds, goal, require_power)),
        *_untested(*sides, pairings, require_power=require_power),
    ]
    lines = tuple(_rounding_lines(rows, roundings))
    notes = (*apart.others, *left_out)
    lone = [task for task in sides[1].manifest.tasks if task not in sides[0].manifest.tasks]
    return Gate(
        *(*sides, thresholds, tuple(rows), tuple(findings), notes, apart, allowed, lines),
        left_out=tuple(left_out_notes(pairings)),
        new_only=tuple(lone),
    )


def _goal(thresholds: Thresholds, suite: str) -> PowerGoal:
    """Say which drop a row should find: as the thresholds say, else the suite, else our default."""
    stated = load_suite(suite).power if suite in find_suites() else None
    default = stated or PowerGoal(drop=DETECT, discordance=DISCORDANCE)
    wanted = {"drop": thresholds.detect, "discordance": thresholds.discordance}
    return default.model_copy(update={key: v for key, v in wanted.items() if v is not None})


def _headlines(base: Side, new: Side) -> tuple[list[Pairing], list[str]]:
    """Pair the tasks whose headline style shows marks, and say which are left out."""
    kept: list[Pairing] = []
    notes: list[str] = []
    marked = marked_styles(base.manifest.identity)
    for pairing in pair_runs(base, new, overlap="one"):
        style, other = pairing.styles
        if style != other:
            advice = "run both with one suite"
            if any(is_elsewhere(side, pairing.task) for side in (base, new)):
                advice = "give `vipbench import` the --style that the answers were made under"
            raise RunError(
                f"{base.name} and {new.name} cannot be paired: the headline style of "
                f"{pairing.task} is {style} in one, {other} in the other · {advice}"
            )
        if style in marked:
            kept.append(pairing)
        else:
            notes.append(f"{pairing.task}: style {style} shows no marks: a control, not a row")
    if not kept:
        raise RunError(f"{base.name}: no task has a headline style with marks · nothing to test")
    return kept, notes


def check_rows(
    thresholds: Thresholds, by: Sequence[str], breakdowns: Mapping[str, Sequence[str]]
) -> list[str]:
    """Hold the names of tasks and axes against those of the rows; return the axes.

    Args:
        thresholds: May name tasks.
        by: Axes, or lists of them with commas.
        breakdowns: Task of each row -> its axes.

    Raises:
        RunError: One is not there.
    """
    for task in thresholds.tasks:
        if task not in breakdowns:
            raise RunError(
                f"thresholds: tasks.{task} is not a row of this gate{nearest(task, breakdowns)}"
            )
    axes = {axis for listed in breakdowns.values() for axis in listed}
    split = [[text] if text in axes else map(str.strip, text.split(",")) for text in by]
    names = list(dict.fromkeys(axis for parts in split for axis in parts if axis))
    for axis in names:
        if axis not in axes:
            raise RunError(f"--by {axis}: is not a breakdown of these runs{nearest(axis, axes)}")
    return names


def _groups(pairing: Pairing, by: Sequence[str]) -> Iterator[tuple[str, Sequence[Pair]]]:
    yield ALL, pairing.pairs
    for group, pairs in pairing.by_group():
        if group.axis in by:
            yield group.name, pairs


def _row(
    pairing: Pairing,
    group: str,
    pairs: Sequence[Pair],
    thresholds: Thresholds,
    assumed: PowerGoal,
    roundings: Sequence[Rounding],
) -> GateRow:
    paired = change(pairs)
    if paired is None:
        raise ValueError(f"{pairing.task} {group}: nothing to compare")
    values = [pair.values for pair in pairs if pair.values is not None]
    max_drop = _allowed(thresholds, pairing.task, roundings)
    expected = _total([rounding.expected for rounding in roundings])
    worst = _total([rounding.upper for rounding in roundings])
    design = Design(
        n=paired.n,
        discordance=max(assumed.discordance, paired.churn),
        design_effect=max(1.0, paired.design_effect),
        alpha=thresholds.alpha,
        power=thresholds.power,
    )
    p = paired.p_below(-max_drop)
    return GateRow(
        task=pairing.task,
        metric=pairing.metric,
        style=pairing.styles[0],
        group=group,
        n=paired.n,
        n_clusters=paired.n_clusters,
        accuracy_base=sum(base for base, _ in values) / paired.n,
        accuracy_new=sum(new for _, new in values) / paired.n,
        difference=paired.difference,
        upper=paired.bounds(thresholds.alpha)[1],
        max_drop=max_drop,
        p=p,
        p_holm=p,
        failed=False,
        reliable=paired.reliable,
        smallest_drop=design.smallest_drop(),
        lost=tuple(
            pair.base.id for pair in pairs if pair.values and pair.values[1] < pair.values[0]
        ),
        n_gained=paired.n_gained,
        rounding_lost=None if expected is None else paired.n * expected / 2,
        rounding_worst=None if worst is None else paired.n * worst,
    )


def _check_certificates(roundings: Sequence[Rounding], thresholds: Thresholds) -> None:
    unknown = [rounding.words for rounding in roundings if rounding.upper is None]
    if unknown and thresholds.rounding == "widen":
        raise RunError(
            f"rounding: widen needs certificates: {'; '.join(unknown)} · run `vipbench certify`, "
            "or use --rounding report"
        )


def _allowed(thresholds: Thresholds, task: str, roundings: Sequence[Rounding]) -> float:
    """Return the drop that a row may have.

    Flips by rounding are as likely to gain as to lose, and what they add to the variance is in the
    interval already, since it is measured between these very answers; so nothing is added for them
    as a rule. `widen` is for those who do not rely on that: it allows for flips that all go against
    the new run, at the bound of their share in either run.
    """
    allowed = thresholds.max_drop_of(task)
    if thresholds.rounding == "widen":
        allowed += _total([rounding.upper for rounding in roundings]) or 0.0
    return min(allowed, 1.0)


def _total(shares: Sequence[float | None]) -> float | None:
    """Add up what both runs may have changed; None where one of them does not say."""
    known = [share for share in shares if share is not None]
    return min(1.0, sum(known)) if len(known) == len(shares) else None


def _rounding_lines(rows: Sequence[GateRow], roundings: Sequence[Rounding]) -> Iterator[str]:
    """Say what rounding did, as far as certificates tell; nothing where they have nothing to say.

    One line for each run, then one for each task; of a run against itself they are the same.
    """
    if all(rounding.upper == 0 for rounding in roundings):
        return
    yield from dict.fromkeys(rounding.words for rounding in roundings)
    for row in rows:
        if row.rounding_lost is None or row.rounding_worst is None or row.group != ALL:
            continue
        line = (
            f"{row.task}: {len(row.lost)} lost; rounding is expected to lose about "
            f"{number(row.rounding_lost, 1)} and to gain as many, and could lose "
            f"{number(row.rounding_worst, 0)} at worst"
        )
        net = len(row.lost) - row.n_gained
        if row.failed and net <= row.rounding_worst:
            line += ": it could make this drop alone (`--rounding widen` allows for it)"
        yield line


def _adjusted(rows: Sequence[GateRow], alpha: float) -> list[GateRow]:
    adjusted = holm([row.p for row in rows])
    return [
        row.model_copy(update={"p_holm": p, "failed": p < alpha})
        for row, p in zip(rows, adjusted, strict=True)
    ]


def _troubles(pairing: Pairing, thresholds: Thresholds) -> Iterator[Finding]:
    """Find a rise of errors, which have no score, and of unparsed answers."""
    base, new = zip(*pairing.pairs, strict=True)
    checks: tuple[tuple[Trouble, Callable[[ScoreLine], bool], float | None], ...] = (
        ("errors", lambda line: line.error is not None, thresholds.max_errors),
        ("unparsed", is_unparsed, thresholds.max_unparsed),
    )
    for trouble, is_trouble, allowed in checks:
        before, now, n = sum(map(is_trouble, base)), sum(map(is_trouble, new)), len(new)
        if now > before:
            failed = allowed is not None and (now - before) / n > allowed
            limit = "" if allowed is None else f"; allowed: a rise by {percent(allowed)} %"
            message = f"{trouble} rose from {before:,} to {now:,} of {n:,} samples{limit}"
            yield Finding(pairing.task, trouble, message, failed)


def _untested(
    base: Side, new: Side, pairings: Sequence[Pairing], *, require_power: bool
) -> Iterator[Finding]:
    """Say which tasks of the base cannot be tested, since the new run has no scores of them."""
    marked = marked_styles(base.manifest.identity)
    tested = {pairing.task for pairing in pairings}
    for task in base.manifest.tasks:
        metric = base.headline_metric(task)
        if task in tested or metric is None or base.style_of(task) not in marked:
            continue
        what = f"no {metric}" if task in new.manifest.tasks else "no such task"
        message = f"not tested: {new.name} has {what}"
        yield Finding(task, "not tested", message, require_power, message)


def _doubts(
    row: GateRow, thresholds: Thresholds, goal: PowerGoal, require_power: bool
) -> Iterator[Finding]:
    """Say where a row cannot tell much: too little power, too few images."""
    if row.group != ALL:
        return
    detect = thresholds.tasks.get(row.task, TaskThresholds()).detect or goal.drop
    if row.smallest_drop is None or row.smallest_drop > detect:
        finds = "none" if row.smallest_drop is None else f"{percent(row.smallest_drop)} points"
        message = (
            f"the smallest drop that it would show with {100 * thresholds.power:g} % power is "
            f"{finds}; wanted: {percent(detect)}"
        )
        shared = (
            f"the smallest drop, in points, that a row would show with {100 * thresholds.power:g} "
            f"% power (wanted: {percent(detect)})"
        )
        short = finds.removesuffix(" points")
        yield Finding(row.task, "power", message, require_power, shared, short)
    if not row.reliable:
        uneven = row.n_clusters >= MIN_CLUSTERS
        images = f"{row.n_clusters:,} images" + ", few of which hold most samples" * uneven
        message = f"{images}: the interval is not to be relied on"
        shared = "too few images, or too few that hold most samples, for an interval to rely on"
        yield Finding(row.task, "few images", message, False, shared, f"{row.n_clusters:,}")
