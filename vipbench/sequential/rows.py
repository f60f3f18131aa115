"""The rows of a sequential gate while they are asked: their samples, and what two runs score."""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from vipbench.analysis.gate import Thresholds, check_rows
from vipbench.analysis.pairs import Side
from vipbench.console import Console
from vipbench.errors import RunError
from vipbench.report.text import counted, points
from vipbench.runfolder.judge_file import JUDGE_METRICS
from vipbench.runfolder.manifest import marked_styles
from vipbench.runfolder.summary import ALL, Group
from vipbench.schema import Tags
from vipbench.sequential.asking import Arm, BlockRun
from vipbench.stats.verdicts import Verdict

UNDECIDED = Verdict(None, 1.0, 1.0)
Scores = Callable[[str], float | None]
"""Sample id -> its score; None where the answer failed."""


@dataclass
class Row:
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
    ends: tuple[int, ...]
    """How many of them have been asked at the end of each block."""
    base: Scores
    new: Scores
    pairs: list[tuple[float | None, float | None]] = field(default_factory=list)
    """Scores of both runs so far."""
    block: int = 0
    said: Verdict = UNDECIDED

    @property
    def label(self) -> str:
        """The task, with its group where the row is one kind of its samples."""
        return self.task if self.group == ALL else f"{self.task} {self.group}"

    def look(self, block: int) -> None:
        """Take the scores of the samples that were asked by the end of a block."""
        for id_ in self.ids[len(self.pairs) : self.ends[block]]:
            self.pairs.append((self.base(id_), self.new(id_)))
        self.block = block + 1

    @property
    def known(self) -> list[tuple[float, float]]:
        """The pairs of which both were answered."""
        return [(base, new) for base, new in self.pairs if base is not None and new is not None]

    @property
    def differences(self) -> list[float]:
        """New minus base; 0 where an answer failed."""
        return [0.0 if base is None or new is None else new - base for base, new in self.pairs]


class Base(NamedTuple):
    """What is known of the base: a finished run, or one that is asked beside the new one."""

    side: Side
    run: BlockRun | None = None
    """None: a finished run."""

    def scores(self, task: str, metric: str, parts: tuple[Arm, ...]) -> Scores:
        """Return what tells the score of a sample; of a run under way, of one that was asked."""
        if self.run is not None:
            run = self.run
            return lambda id_: run.joint_value(parts, id_)
        lines = self.side.lines[task, metric]
        return lambda id_: lines[id_].value

    def can_score(self, task: str, metric: str, parts: tuple[Arm, ...]) -> Callable[[str], bool]:
        """Return what says whether a sample has a score, or may get one."""
        if self.run is not None:
            run = self.run
            return lambda id_: all(run.can_ask(arm, id_) for arm in parts)
        lines = self.side.lines[task, metric]
        return lambda id_: lines[id_].value is not None

    def tags(self, task: str, metric: str, parts: tuple[Arm, ...]) -> Mapping[str, Tags]:
        """Return the tags of each sample."""
        if self.run is not None:
            return self.run.tags(parts)
        return {id_: line.tags for id_, line in self.side.lines[task, metric].items()}


def rows_of(
    base: Base, new: Side, run: BlockRun, thresholds: Thresholds, by: Sequence[str]
) -> list[Row]:
    """Return the rows of the gate; RunError where one has no base."""
    side = base.side
    marked = marked_styles(side.manifest.identity)
    tasks = {
        task: spec
        for task, spec in new.manifest.tasks.items()
        if task in side.manifest.tasks and side.style_of(task) in marked
    }
    axes = check_rows(thresholds, by, {task: spec.breakdown for task, spec in tasks.items()})
    rows: list[Row] = []
    for task, spec in tasks.items():
        metric = new.headline_metric(task)
        known = side.headline_metric(task)
        if known in JUDGE_METRICS:
            raise RunError(
                f"{side.name}: {task} was graded by a judge, who is not asked between blocks · "
                "leave --sequential out: `vipbench run`, then `vipbench gate BASE NEW`"
            )
        if known is None or metric is None or known != metric:
            raise RunError(
                f"{side.name}: has no scores of {task} by {metric} · expected a base of every row "
                f"· `vipbench score {side.folder}`, or run both in the same way"
            )
        if spec.headline != side.style_of(task):
            raise RunError(
                f"{side.name}: the headline style of {task} is {side.style_of(task)}, and would be "
                f"{spec.headline} in the new run · ask with the suite of the base"
            )
        parts = tuple(Arm(part, spec.headline) for part in spec.parts or (task,))
        rows += _of_task(base, run, task, metric, parts, thresholds.max_drop_of(task), axes)
    if not rows:
        raise RunError(f"{side.name}: no task has a headline style with marks · nothing to ask")
    return rows


def _of_task(
    base: Base,
    run: BlockRun,
    task: str,
    metric: str,
    parts: tuple[Arm, ...],
    max_drop: float,
    by: Sequence[str],
) -> Iterator[Row]:
    ordered = run.order(parts[0].task)
    _check_same_samples(base, run, task, metric, parts[0].task)
    groups: dict[str, set[str]] = {ALL: set(ordered)}
    tags = base.tags(task, metric, parts) if by else {}
    for axis in by:
        for id_ in ordered:
            for tag in tags[id_].get(axis, ()):
                groups.setdefault(Group(axis, tag).name, set()).add(id_)
    has_base = base.can_score(task, metric, parts)
    usable = [
        id_ for id_ in ordered if has_base(id_) and all(run.can_ask(arm, id_) for arm in parts)
    ]
    place = {id_: n for n, id_ in enumerate(ordered, 1)}
    for group in sorted(groups, key=lambda name: (name != ALL, name)):
        ids = tuple(id_ for id_ in usable if id_ in groups[group])
        if ids:
            yield Row(
                task=task,
                metric=metric,
                style=parts[0].style,
                group=group,
                max_drop=max_drop,
                parts=parts,
                ids=ids,
                ends=_ends([place[id_] for id_ in ids], run.ends(parts[0].task)),
                base=base.scores(task, metric, parts),
                new=lambda id_: run.joint_value(parts, id_),
            )


def _ends(places: Sequence[int], stops: Iterable[int]) -> tuple[int, ...]:
    """Return how many samples, at rising places in the order, come by each stop."""
    return tuple(bisect_right(places, stop) for stop in stops)


def _check_same_samples(base: Base, run: BlockRun, task: str, metric: str, part: str) -> None:
    """Refuse two runs of other samples; RunError."""
    ordered = run.order(part)
    known = base.run.order(part) if base.run else base.side.lines[task, metric]
    theirs = set(known)
    lone = sorted(theirs ^ set(ordered))
    if lone:
        raise RunError(
            f"{base.side.name}: has {len(theirs):,} samples of {task}, the new run "
            f"{len(ordered):,}, and {lone[0]} is in one of them only · expected the same data"
        )
    if base.run is not None and base.run.ends(part) != run.ends(part):
        raise RunError(
            f"{base.side.name}: is cut into other blocks of {part} than {run.folder} · expected "
            "one --block in both · --fresh asks both anew, or give another -o"
        )


def large_enough(rows: Sequence[Row], console: Console) -> list[Row]:
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
        check_margin(row.label, row.max_drop, n)
        kept.append(row)
    return kept


def check_margin(row: str, max_drop: float, n: int) -> None:
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
