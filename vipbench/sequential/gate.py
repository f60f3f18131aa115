"""The sequential gate: has one checkpoint dropped against another, asked until that is known.

The question is what all samples of the benchmark would say: they are asked in random order, and
the difference of the two runs has an interval that holds at every look.
"""

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from vipbench.analysis.asked import asked_of
from vipbench.analysis.differences import Apart, tell_apart
from vipbench.analysis.gate import Gate, Thresholds, check_rows, gate
from vipbench.analysis.pairs import Kept, Side
from vipbench.console import Console
from vipbench.errors import RunError
from vipbench.report.text import counted, points
from vipbench.run.score import Results, check
from vipbench.run.settings import RunSettings
from vipbench.runfolder.judge_file import JUDGE_METRICS
from vipbench.runfolder.lines import ScoreLine
from vipbench.runfolder.manifest import marked_styles
from vipbench.runfolder.name_file import Name
from vipbench.runfolder.summary import ALL, Group
from vipbench.schema import Record
from vipbench.scoring.scorers import metric_name
from vipbench.sequential.asking import Arm, BlockRun
from vipbench.stats.sequences import bounds
from vipbench.stats.verdicts import Answer, Drawn, Verdict, judge
from vipbench.trials.selection import CUSTOM


class SequentialRow(Record):
    """What was found of a task under its headline style, or of one kind of its samples."""

    task: str
    metric: str
    style: str
    group: str
    """`all`, or `shape=ellipse`."""
    n: int
    """Samples that were asked."""
    n_all: int
    """Samples of the benchmark that the row is about."""
    n_failed: int
    """Of `n`, those whose answer failed; each counts as no difference."""
    block: int
    """Blocks that were asked until the verdict."""
    accuracy_base: float
    """Over the samples that were asked, like the two below; 0-1."""
    accuracy_new: float
    difference: float
    lower: float
    """Bounds of the difference over all samples, new minus base, each one-sided; they hold at every
    look, and for all rows together. The verdict has a test of its own, which may know sooner."""
    upper: float
    max_drop: float
    p: float
    """Of the opposite of the verdict; adjusted for all rows and both verdicts, valid at every look.
    """
    verdict: Answer

    @property
    def label(self) -> str:
        """The task, with its group where the row is one kind of its samples."""
        return self.task if self.group == ALL else f"{self.task} {self.group}"


class SequentialGate(NamedTuple):
    """How the gate ended."""

    base: Side
    new: Results
    apart: Apart
    allowed: frozenset[str]
    alpha: float
    rows: tuple[SequentialRow, ...]
    whole: Gate | None
    """The gate that asks whether other images would say the same; None: not all was asked."""

    @property
    def dropped(self) -> tuple[SequentialRow, ...]:
        """The rows that have dropped."""
        return tuple(row for row in self.rows if row.verdict == "dropped")


UNDECIDED = Verdict(None, 1.0, 1.0)


@dataclass
class _Row:
    """A row while it is asked."""

    task: str
    metric: str
    style: str
    group: str
    max_drop: float
    parts: tuple[Arm, ...]
    """What is asked for it: the task under its headline style; of a joint task, its parts."""
    ids: tuple[str, ...]
    """Its samples that both runs can score, in the order in which they are asked."""
    base: tuple[float, ...]
    """Their scores in the base run."""
    ends: tuple[int, ...]
    """How many of them have been asked at the end of each block."""
    new: list[float | None] = field(default_factory=list)
    """Scores of the new run so far; None where the answer failed."""
    block: int = 0
    said: Verdict = UNDECIDED

    @property
    def label(self) -> str:
        """The task, with its group where the row is one kind of its samples."""
        return self.task if self.group == ALL else f"{self.task} {self.group}"

    def look(self, run: BlockRun, block: int) -> None:
        """Take the scores of the samples that were asked by the end of a block."""
        for id_ in self.ids[len(self.new) : self.ends[block]]:
            values = [run.value(arm, id_) for arm in self.parts]
            known = [value for value in values if value is not None]
            self.new.append(min(known) if len(known) == len(values) else None)
        self.block = block + 1

    @property
    def differences(self) -> list[float]:
        """New minus base; 0 where the answer failed."""
        pairs = zip(self.base, self.new, strict=False)
        return [0.0 if new is None else new - base for base, new in pairs]


def settings_of(base: Side, given: RunSettings) -> RunSettings:
    """Return the settings of the new run: those that are given, and what is asked as in the base.

    Raises:
        RunError: Something is given that the base says.
    """
    identity = base.manifest.identity
    suite = None if identity.suite == CUSTOM else identity.suite
    headlines = {
        task.headline
        for task in base.manifest.tasks.values()
        if task.headline in marked_styles(identity)
    }
    # Without a suite, each task has its own headline where they are several.
    styles = ";".join(sorted(headlines)) if suite or len(headlines) == 1 else None
    return given.model_copy(
        update={
            "suite": suite,
            "tasks": tuple(identity.tasks),
            "styles": styles,
            "limit": identity.limit,
            "ids": identity.ids,
            "seed": identity.seed,
            "metrics": tuple(m for m in base.manifest.metrics if m != "lenient"),
            "replay": base.manifest.replay,
        }
    )


def sequential_gate(
    base: Side,
    settings: RunSettings,
    thresholds: Thresholds,
    console: Console,
    *,
    by: Sequence[str] = (),
    allow: Collection[str] = (),
) -> SequentialGate:
    """Ask a model block by block until it is known of each row whether it has dropped.

    Args:
        base: a finished run, whole.
        settings: of the new run, as `settings_of` returns them.
        thresholds: what each task may drop by; `alpha` is of all rows together.
        console: hears what the user should know.
        by: breakdown axes whose values are rows as well, as `gate` takes them.
        allow: names of differences that may be there.

    Raises:
        RunError: The runs cannot be paired, differ in protocol, or a margin cannot be shown.
        VipbenchError: As a run.
    """
    check_base(base, settings, thresholds)
    with BlockRun(settings, console) as run:
        new = _side(run)
        apart, allowed = tell_apart(base, new), frozenset(allow)
        if forbidden := apart.forbidden(allowed):
            names = " ".join(f"--allow-difference {each.name}" for each in forbidden)
            raise RunError(
                f"{base.name} and the new run differ in more than the checkpoint: "
                f"{'; '.join(each.words for each in forbidden)} · nothing was asked · ask in the "
                f"same way, or allow it: {names}"
            )
        rows = _rows(base, new, run, thresholds, by)
        rows = _large_enough(rows, console)
        run.check_blocks()
        _ask(run, rows, thresholds.alpha)
        results = run.end()
    found = tuple(_record(row, 2 * thresholds.alpha / len(rows)) for row in rows)
    check(results, settings.max_errors, console)
    whole = None
    if results.manifest.state is None:
        whole = gate(base, str(results.path), thresholds, by=by, allow=allow)
    return SequentialGate(base, results, apart, allowed, thresholds.alpha, found, whole)


def check_base(base: Side, settings: RunSettings, thresholds: Thresholds) -> None:
    """Refuse what can be known to be of no use before any data are read; RunError."""
    if settings.shard is not None:
        raise RunError(
            f"--shard {settings.shard} with --sequential: a shard sees only its own batches, and "
            "where to stop depends on all answers · give --workers N, which share one run"
        )
    if base.manifest.state is not None:
        raise RunError(
            f"{base.name}: was stopped early itself, so that it has no score of what was left out "
            f"· expected a whole run · `vipbench run --extend -o {base.folder}` asks the rest"
        )
    marked = marked_styles(base.manifest.identity)
    for task in base.manifest.tasks:
        metric = base.headline_metric(task)
        if metric is not None and base.style_of(task) in marked:
            n = sum(line.value is not None for line in base.lines[task, metric].values())
            _check_margin(task, thresholds.max_drop_of(task), n)


def _side(run: BlockRun) -> Side:
    """Return the new run as comparisons take it, before it has any scores."""
    manifest = run.started.manifest
    lines: dict[tuple[str, str], dict[str, ScoreLine]] = {
        (name, metric_name(manifest.tasks[(task.parts or (name,))[0]].kind, task.rule)): {}
        for name, task in manifest.tasks.items()
    }
    trials = run.prepared.trials
    asked = {
        name: asked_of(trials, name, task.headline)
        for name, task in manifest.tasks.items()
        if not task.parts
    }
    return Side(run.folder, None, manifest, lines, Kept(Name(), None, asked))


def _rows(
    base: Side, new: Side, run: BlockRun, thresholds: Thresholds, by: Sequence[str]
) -> list[_Row]:
    """Return the rows of the gate; RunError where one has no base."""
    marked = marked_styles(base.manifest.identity)
    tasks = {
        task: spec
        for task, spec in new.manifest.tasks.items()
        if task in base.manifest.tasks and base.style_of(task) in marked
    }
    axes = check_rows(thresholds, by, {task: spec.breakdown for task, spec in tasks.items()})
    rows: list[_Row] = []
    for task, spec in tasks.items():
        metric = new.headline_metric(task)
        known = base.headline_metric(task)
        if known in JUDGE_METRICS:
            raise RunError(
                f"{base.name}: {task} was graded by a judge, who is not asked between blocks · "
                "leave --sequential out: `vipbench run`, then `vipbench gate BASE NEW`"
            )
        if known is None or metric is None or known != metric:
            raise RunError(
                f"{base.name}: has no scores of {task} by {metric} · expected a base of every row "
                f"· `vipbench score {base.folder}`, or run both in the same way"
            )
        if spec.headline != base.style_of(task):
            raise RunError(
                f"{base.name}: the headline style of {task} is {base.style_of(task)}, and would be "
                f"{spec.headline} in the new run · ask with the suite of the base"
            )
        parts = tuple(Arm(part, spec.headline) for part in spec.parts or (task,))
        rows += _rows_of(base, run, task, metric, parts, thresholds.max_drop_of(task), axes)
    if not rows:
        raise RunError(f"{base.name}: no task has a headline style with marks · nothing to ask")
    return rows


def _rows_of(
    base: Side,
    run: BlockRun,
    task: str,
    metric: str,
    parts: tuple[Arm, ...],
    max_drop: float,
    by: Sequence[str],
) -> Iterator[_Row]:
    lines, ordered = base.lines[task, metric], run.order(parts[0].task)
    if lines.keys() != set(ordered):
        lone = sorted(lines.keys() ^ set(ordered))
        raise RunError(
            f"{base.name}: has {len(lines):,} samples of {task}, the new run {len(ordered):,}, and "
            f"{lone[0]} is in one of them only · expected the same data"
        )
    groups: dict[str, set[str]] = {ALL: set(ordered)}
    for axis in by:
        for id_ in ordered:
            for tag in lines[id_].tags.get(axis, ()):
                members = groups.setdefault(Group(axis, tag).name, set())
                members.add(id_)
    for group in sorted(groups, key=lambda name: (name != ALL, name)):
        members = groups[group]
        ids: list[str] = []
        base_values: list[float] = []
        ends: list[int] = []
        stops = iter([*run.ends(parts[0].task), math.inf])
        stop = next(stops)
        for n, id_ in enumerate(ordered, 1):
            value = lines[id_].value
            if id_ in members and value is not None and all(run.can_ask(arm, id_) for arm in parts):
                ids.append(id_)
                base_values.append(value)
            if n == stop:
                ends.append(len(ids))
                stop = next(stops)
        if ids:
            yield _Row(
                task=task,
                metric=metric,
                style=parts[0].style,
                group=group,
                max_drop=max_drop,
                parts=parts,
                ids=tuple(ids),
                base=tuple(base_values),
                ends=tuple(ends),
            )


def _large_enough(rows: Sequence[_Row], console: Console) -> list[_Row]:
    """Return the rows that can show their margin; a kind of samples that cannot is left out."""
    kept = []
    for row in rows:
        n = len(row.ids)
        if row.group != ALL and row.max_drop < 1 / n:
            console.say(
                f"{row.label}: {counted(n, 'sample')}, one of which is more than the drop that is "
                "allowed · no row of its own"
            )
            continue
        _check_margin(row.label, row.max_drop, n)
        kept.append(row)
    return kept


def _check_margin(row: str, max_drop: float, n: int) -> None:
    """Refuse a margin between two neighbouring numbers of lost samples; RunError."""
    if max_drop <= 0:
        raise RunError(
            f"{row}: a drop of {points(max_drop)} points is allowed · expected more than 0: of a "
            "checkpoint that has not changed, the last sample alone would show that · give "
            "--max-drop POINTS"
        )
    if n and max_drop < 1 / n:
        raise RunError(
            f"{row}: a drop of {100 * max_drop:g} points is allowed, less than one of "
            f"{counted(n, 'sample')} ({100 / n:.3g} points), so that no number of samples can show "
            "it · expected more · --max-drop is in percentage points: 2 for two"
        )


def _ask(run: BlockRun, rows: Sequence[_Row], alpha: float) -> None:
    """Ask block by block for the rows that have no verdict, until all have one."""
    block = 0
    while alive := [row for row in rows if row.said.answer is None and block < len(row.ends)]:
        run.ask(block, dict.fromkeys(arm for row in alive for arm in row.parts))
        for row in alive:
            row.look(run, block)
        drawn = [Drawn(row.differences, len(row.ids), row.max_drop) for row in rows]
        for row, said in zip(rows, judge(drawn, alpha), strict=True):
            row.said = said
        block += 1


def _record(row: _Row, alpha: float) -> SequentialRow:
    both = [(base, new) for base, new in zip(row.base, row.new, strict=False) if new is not None]
    n, differences = max(1, len(both)), row.differences
    (low, high), answer = (
        bounds(differences, len(row.ids), [len(row.new)], alpha)[0],
        row.said.answer,
    )
    assert answer is not None  # all of it was asked
    return SequentialRow(
        task=row.task,
        metric=row.metric,
        style=row.style,
        group=row.group,
        n=len(row.new),
        n_all=len(row.ids),
        n_failed=len(row.new) - len(both),
        block=row.block,
        accuracy_base=math.fsum(base for base, _ in both) / n,
        accuracy_new=math.fsum(new for _, new in both) / n,
        difference=math.fsum(differences) / len(row.new),
        lower=float(low),
        upper=float(high),
        max_drop=row.max_drop,
        p=row.said.p_dropped if answer == "dropped" else row.said.p_passed,
        verdict=answer,
    )
