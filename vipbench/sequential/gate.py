"""The sequential gate: has one checkpoint dropped against another, asked until that is known.

The question is what all samples of the benchmark would say: they are asked in random order, and
the difference of the two runs has an interval that holds at every look.
"""

import contextlib
import math
from collections.abc import Collection, Sequence
from typing import NamedTuple

from vipbench.analysis.asked import asked_of
from vipbench.analysis.differences import Apart, tell_apart
from vipbench.analysis.gate import Gate, Thresholds, gate
from vipbench.analysis.pairs import Kept, Side
from vipbench.console import Console
from vipbench.errors import RunError
from vipbench.run.score import Results, check
from vipbench.run.settings import RunSettings
from vipbench.runfolder.lines import ScoreLine
from vipbench.runfolder.manifest import marked_styles
from vipbench.runfolder.name_file import Name
from vipbench.runfolder.summary import ALL
from vipbench.schema import NO_CONTROLS, Record
from vipbench.scoring.scorers import metric_name
from vipbench.sequential.asking import BlockRun
from vipbench.sequential.room import ask_all, stay_loaded
from vipbench.sequential.rows import Base, Row, check_margin, large_enough, rows_of
from vipbench.stats.sequences import bounds
from vipbench.stats.verdicts import Answer, Drawn, judge
from vipbench.trials.selection import CUSTOM, select


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
    """Of `n`, those of which an answer failed; each counts as no difference."""
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
    old: Results | None
    """The run of the base, where it was asked as well."""
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


def settings_of_both(given: RunSettings, base_model: str) -> tuple[RunSettings, RunSettings]:
    """Return the settings of the base and of the new run, where both are asked now.

    What is asked is as given, of each task under its headline style alone. Adapter and name are
    those of the new run.

    Args:
        given: of the new run; its folder is to hold both, `base` and `new`.
        base_model: the checkpoint, or the endpoint's model, that the new one is held against.

    Raises:
        RunError: The two are one.
        VipbenchError: A task or style is unknown, or data cannot be found.
    """
    selection = select(
        suite=given.suite,
        tasks=given.tasks,
        styles=given.styles,
        data=given.data,
        include=given.include,
    )
    headlines = {
        choice.headline
        for choice in selection.tasks
        for style in choice.styles
        if style.name == choice.headline and style.kind in NO_CONTROLS
    }
    if not headlines:
        named = ", ".join(dict.fromkeys(s.name for c in selection.tasks for s in c.styles))
        raise RunError(
            f"--styles: {named} show no marks · expected styles that do: a gate is about what "
            "marks are understood"
        )
    styles = given.styles
    if given.suite or len(headlines) == 1:
        styles = ";".join(sorted(headlines))
    new = given.model_copy(update={"styles": styles})
    old = new.model_copy(update={"model": base_model, "adapter": None, "name": None, "step": None})
    if (old.model, old.adapter) == (new.model, new.adapter):
        raise RunError(
            f"--base-model {base_model}: is what --model names, so that nothing can have changed · "
            "expected two models"
        )
    if given.out is None:
        return old, new
    folders = [given.out / name for name in ("base", "new")]
    return (
        old.model_copy(update={"out": folders[0]}),
        new.model_copy(update={"out": folders[1]}),
    )


def sequential_gate(
    base: Side | RunSettings,
    settings: RunSettings,
    thresholds: Thresholds,
    console: Console,
    *,
    by: Sequence[str] = (),
    allow: Collection[str] = (),
) -> SequentialGate:
    """Ask a model block by block until it is known of each row whether it has dropped.

    Args:
        base: a finished run, whole; or the settings of one that is asked the same blocks.
        settings: of the new run, as `settings_of` or `settings_of_both` returns them.
        thresholds: what each task may drop by; `alpha` is of all rows together.
        console: hears what the user should know.
        by: breakdown axes whose values are rows as well, as `gate` takes them.
        allow: names of differences that may be there.

    Raises:
        RunError: The runs cannot be paired, differ in protocol, or a margin cannot be shown.
        VipbenchError: As a run.
    """
    _check_shard(settings)
    if isinstance(base, Side):
        check_base(base, thresholds)
    with contextlib.ExitStack() as stack:
        if isinstance(base, Side):
            old, held = None, Base(base)
        else:
            old = stack.enter_context(BlockRun(base, console))
            held = Base(_side(old), old)
        run = stack.enter_context(BlockRun(settings, console, [old] if old else ()))
        new, allowed = _side(run), frozenset(allow)
        apart = tell_apart(held.side, new)
        _check_apart(held, apart, allowed)
        rows = large_enough(rows_of(held, new, run, thresholds, by), console)
        run.check_blocks()
        runs = [run] if old is None else [old, run]
        _ask(runs, rows, thresholds.alpha, together=stay_loaded(runs, console))
        ended = [each.end() for each in runs]
    found = tuple(_record(row, 2 * thresholds.alpha / len(rows)) for row in rows)
    for each in ended:
        check(each, settings.max_errors, console)
    whole = None
    if all(each.manifest.state is None for each in ended):
        before = base if isinstance(base, Side) else str(ended[0].path)
        whole = gate(before, str(ended[-1].path), thresholds, by=by, allow=allow)
    first = None if old is None else ended[0]
    return SequentialGate(
        held.side, first, ended[-1], apart, allowed, thresholds.alpha, found, whole
    )


def _check_shard(settings: RunSettings) -> None:
    if settings.shard is not None:
        raise RunError(
            f"--shard {settings.shard} with --sequential: a shard sees only its own batches, and "
            "where to stop depends on all answers · give --workers N, which share one run"
        )


def _check_apart(base: Base, apart: Apart, allowed: frozenset[str]) -> None:
    """Refuse two runs that differ in more than the checkpoint; RunError."""
    if not (forbidden := apart.forbidden(allowed)):
        return
    names = " ".join(f"--allow-difference {each.name}" for each in forbidden)
    raise RunError(
        f"{base.side.name} and the new run differ in more than the checkpoint: "
        f"{'; '.join(each.words for each in forbidden)} · nothing was asked · ask in the "
        f"same way, or allow it: {names}"
    )


def check_base(base: Side, thresholds: Thresholds) -> None:
    """Refuse what can be known to be of no use before any data are read; RunError."""
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
            check_margin(task, thresholds.max_drop_of(task), n)


def _side(run: BlockRun) -> Side:
    """Return a run as comparisons take it, before it has any scores."""
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


def _ask(runs: Sequence[BlockRun], rows: Sequence[Row], alpha: float, *, together: bool) -> None:
    """Ask block by block for the rows that have no verdict, until all have one."""
    block = 0
    while alive := [row for row in rows if row.said.answer is None and block < len(row.ends)]:
        arms = tuple(dict.fromkeys(arm for row in alive for arm in row.parts))
        ask_all(runs, block, dict.fromkeys(runs, arms), together=together)
        for row in alive:
            row.look(block)
        drawn = [Drawn(row.differences, len(row.ids), row.max_drop) for row in rows]
        for row, said in zip(rows, judge(drawn, alpha), strict=True):
            row.said = said
        block += 1


def _record(row: Row, alpha: float) -> SequentialRow:
    both, differences, answer = row.known, row.differences, row.said.answer
    n = max(1, len(both))
    low, high = bounds(differences, len(row.ids), [len(differences)], alpha)[0]
    assert answer is not None  # all of it was asked
    return SequentialRow(
        task=row.task,
        metric=row.metric,
        style=row.style,
        group=row.group,
        n=len(differences),
        n_all=len(row.ids),
        n_failed=len(differences) - len(both),
        block=row.block,
        accuracy_base=math.fsum(base for base, _ in both) / n,
        accuracy_new=math.fsum(new for _, new in both) / n,
        difference=math.fsum(differences) / len(differences),
        lower=float(low),
        upper=float(high),
        max_drop=row.max_drop,
        p=row.said.p_dropped if answer == "dropped" else row.said.p_passed,
        verdict=answer,
    )
