"""Which style is best for a model, and which of the others may be: one row a style."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from vipbench.analysis.sweep.mcb import Against, AgainstBest, against, against_best
from vipbench.analysis.sweep.scores import Scores
from vipbench.report.text import counted, percent, points_interval
from vipbench.schema import Record, StyleKind
from vipbench.stats.intervals import clustered_mean

Standing = Literal["best", "open", "behind", "untested", "only", "unmarked"]
"""`best`: none has a higher accuracy; `open`: cannot be told from the best; `behind`: some other is
better, beyond chance; `untested`: not the highest, of too few images; `only`: there is no other
style with marks to be better than; `unmarked`: without marks, not compared."""


class BestRow(Record):
    """One style of one task in one run, and how it stands among the others that show marks."""

    run: str
    model: str
    task: str
    task_version: int
    synthetic: bool
    metric: str
    style: str
    kind: StyleKind
    standing: Standing
    n: int
    """Samples that all styles with marks have a score for; of a control, those that it has, too."""
    n_asked: int
    n_clusters: int
    accuracy: float
    ci_low: float
    ci_high: float
    reliable: bool
    """Whether there are images enough for the interval."""
    to_best: float | None
    """Accuracy minus the highest one of the other styles with marks, -1 to 1; None: no other."""
    to_best_low: float | None
    to_best_high: float | None
    """95 % interval, simultaneous over the styles (Hsu); None as `untested`."""
    gain: float | None
    """Accuracy minus that under style `none`; None where that was not asked."""
    gain_low: float | None
    gain_high: float | None
    """95 % interval, simultaneous over the styles (Dunnett)."""
    name: str
    """What the run is called; `model` is that, with what tells others of the name apart."""
    step: int | None
    """Training step of the checkpoint; None: it is not known."""
    weights: str | None
    """Short digest of the weights; None for a baseline."""


def best_rows(scores: Scores) -> list[BestRow]:
    """Rank the styles of one task in one run by accuracy, on the samples that all have.

    Styles that have no score at all are left out.
    """
    scored = [name for name in scores.styles if name in scores.lines and scores.common([name])]
    marked = [name for name in scores.marked() if name in scored]
    ids = scores.common(marked) if marked else []
    rows = _compared(scores, marked, ids) if ids else []
    rows += [
        _row(scores, name, shared, "unmarked")
        for name in scored
        if name not in marked and (shared := scores.common([*marked, name]))
    ]
    return sorted(rows, key=lambda row: -row.accuracy)


def _compared(scores: Scores, names: Sequence[str], ids: Sequence[str]) -> list[BestRow]:
    rows = [_row(scores, name, ids, "untested") for name in names]
    highest = max(row.accuracy for row in rows)
    is_tested = rows[0].reliable
    tests: list[AgainstBest | None] = [None] * len(rows)
    if is_tested and len(rows) > 1:
        values = np.array([scores.values(name, ids) for name in names]).T
        tests = [*against_best(values, scores.groups(ids), key=scores.task)]
    gains = _gains(scores, names, ids) if is_tested else [None] * len(rows)
    found = []
    for number, (row, test, gain) in enumerate(zip(rows, tests, gains, strict=True)):
        others = [other.accuracy for n, other in enumerate(rows) if n != number]
        standing: Standing = "best" if row.accuracy == highest else "untested"
        if not others:
            standing = "only"
        if test is not None and standing != "best":
            standing = "open" if test.may_be_best else "behind"
        found.append(
            row.model_copy(
                update={
                    "standing": standing,
                    "to_best": row.accuracy - max(others) if others else None,
                    "to_best_low": test.low if test else None,
                    "to_best_high": test.high if test else None,
                    "gain": gain.difference if gain else None,
                    "gain_low": gain.low if gain else None,
                    "gain_high": gain.high if gain else None,
                }
            )
        )
    return found


def _gains(scores: Scores, names: Sequence[str], ids: Sequence[str]) -> Sequence[Against | None]:
    """Compare styles with `none`, on the samples that it has a score for, too."""
    none = next((name for name, style in scores.styles.items() if style.kind == "none"), None)
    if none is None or none in names or none not in scores.lines:
        return [None] * len(names)
    shared = scores.common([none, *names])
    if len(set(scores.groups(shared))) < 2:
        return [None] * len(names)
    values = np.array([scores.values(name, shared) for name in names]).T
    base, groups = scores.values(none, shared), scores.groups(shared)
    return against(values, base, groups, key=f"{scores.task} gain")


def _row(scores: Scores, name: str, ids: Sequence[str], standing: Standing) -> BestRow:
    mean = clustered_mean(scores.values(name, ids), scores.groups(ids))
    return BestRow(
        run=scores.run,
        model=scores.model,
        task=scores.task,
        task_version=scores.manifest.tasks[scores.task].version,
        synthetic=scores.manifest.tasks[scores.task].synthetic,
        metric=scores.metric,
        style=name,
        kind=scores.styles[name].kind,
        standing=standing,
        n=len(ids),
        n_asked=len(scores.ids()),
        n_clusters=mean.n_clusters,
        accuracy=mean.mean,
        ci_low=mean.ci_low,
        ci_high=mean.ci_high,
        reliable=mean.reliable,
        to_best=None,
        to_best_low=None,
        to_best_high=None,
        gain=None,
        gain_low=None,
        gain_high=None,
        name=scores.called.name,
        step=scores.called.step,
        weights=scores.weights,
    )


def best_sentence(rows: Sequence[BestRow]) -> str:
    """Say which style of a task is best for a model, how sure that is, and what it is worth.

    Empty where there are not two styles to compare.
    """
    compared = [row for row in rows if row.standing != "unmarked"]
    if len(compared) < 2:
        return ""
    best = [row for row in compared if row.standing == "best"]
    n_open = sum(row.standing == "open" for row in compared)
    first = best[0]
    names = first.style + (f" and {len(best) - 1} more" if len(best) > 1 else "")
    verb = "are" if len(best) > 1 else "is"
    n_others = len(compared) - len(best)
    parts = [f"{names} {verb} best with {percent(first.accuracy)} %"]
    if not first.reliable:
        parts.append(f"{counted(first.n_clusters, 'image')}: too few to tell styles apart")
    elif n_others:
        told = f"{n_open} of {counted(n_others, 'other style')} cannot be told from it"
        rest = f"all {n_others} other styles are" if n_others > 1 else "the other style is"
        parts.append(told if n_open else f"{rest} behind, beyond chance")
    if first.gain is not None:
        worth = points_interval(first.gain, first.gain_low, first.gain_high)
        parts.append(f"its mark is worth {worth} points over none")
    return f"{first.task}, {first.model}: {'; '.join(parts)}"
