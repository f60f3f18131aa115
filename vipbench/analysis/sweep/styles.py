"""How answers depend on the style: against the headline, by factor, and for the order of models.

Reads finished runs; asks nothing and opens no image.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from vipbench import files
from vipbench.analysis.sweep.effects import EffectRow, effect_rows
from vipbench.analysis.sweep.ranking import OrderRow, RankRow, order_rows
from vipbench.analysis.sweep.scores import Scores
from vipbench.runfolder import manifest as manifests
from vipbench.runfolder.folder import SCORES
from vipbench.runfolder.lines import ScoreLine
from vipbench.runfolder.summary import read_summary
from vipbench.schema import Record, StyleKind
from vipbench.stats import clustered_mean, holm, paired


class StyleRow(Record):
    """One style of one task in one run."""

    run: str
    model: str
    task: str
    style: str
    headline: bool
    kind: StyleKind
    """All but `marks` and `given` are controls, which show what marks are worth."""
    n: int
    """Samples that this style and the headline style both have a score for."""
    n_clusters: int
    accuracy: float
    ci_low: float
    ci_high: float
    difference: float
    """This style minus the headline style on the same samples, -1 to 1; like the bounds below."""
    difference_low: float
    difference_high: float
    p: float
    """Two-sided, of no difference; adjusted by Holm over the styles of the task."""


class Sweep(Record):
    """All that several runs tell about styles."""

    styles: tuple[StyleRow, ...]
    effects: tuple[EffectRow, ...]
    orders: tuple[OrderRow, ...]
    ranks: tuple[RankRow, ...]
    notes: tuple[str, ...]


def sweep(folders: Sequence[Path]) -> Sweep:
    """Sum up what the styles of finished runs do, task by task.

    The order of several models is looked at where their runs hold the same samples, under the
    styles that all of them have; where they do not, a note says why.

    Raises:
        RunError: A run has not ended, or is broken.
    """
    scores = [each for folder in dict.fromkeys(folders) for each in _read(folder)]
    notes: list[str] = []
    orders: list[OrderRow] = []
    ranks: list[RankRow] = []
    for task in dict.fromkeys(each.task for each in scores):
        mine = [each for each in scores if each.task == task]
        if len(mine) < 2:
            continue
        unlike = _unlike(mine)
        if unlike:
            notes.append(f"{task}: the order of the models is not told, since {unlike}")
            continue
        found = order_rows(mine)
        orders += found[0]
        ranks += found[1]
    effects = [row for each in scores for row in effect_rows(each, notes)]
    return Sweep(
        styles=tuple(row for each in scores for row in _style_rows(each)),
        effects=tuple(effects),
        orders=tuple(orders),
        ranks=tuple(ranks),
        notes=tuple(notes),
    )


def _read(folder: Path) -> Iterator[Scores]:
    """Yield the scores of each task of a run under all of its styles."""
    manifest = manifests.read(folder)
    metrics = {row.task: row.metric for row in reversed(read_summary(folder))}
    lines: dict[str, dict[str, dict[str, ScoreLine]]] = defaultdict(lambda: defaultdict(dict))
    for line in files.read_lines(folder / SCORES, ScoreLine):
        if line.metric == metrics.get(line.task):
            lines[line.task][line.style][line.id] = line
    for task, by_style in lines.items():
        run = manifest.tasks[task]
        styles = manifest.identity.styles[run.parts[0] if run.parts else task]
        yield Scores(
            run=str(folder),
            model=manifest.identity.model,
            manifest=manifest,
            task=task,
            metric=metrics[task],
            styles={style.name: style for style in styles},
            headline=run.headline,
            lines=by_style,
        )


def _unlike(runs: Sequence[Scores]) -> str:
    """Say why runs cannot stand side by side; empty where they can."""
    first = runs[0]
    for other in runs[1:]:
        what = ""
        if other.model in {each.model for each in runs if each is not other}:
            what = f"are both of model {other.model}"
        elif other.manifest.tasks[first.task].version != first.manifest.tasks[first.task].version:
            what = "have different versions of the task"
        elif other.metric != first.metric:
            what = f"report {first.metric} and {other.metric}"
        elif other.lines[other.headline].keys() != first.lines[first.headline].keys():
            what = "hold different samples"
        if what:
            return f"{first.run} and {other.run} {what}"
    return ""


# --- each style against the headline style


def _style_rows(scores: Scores) -> list[StyleRow]:
    names = [name for name in scores.styles if name in scores.lines]
    rows = []
    for name in sorted(names, key=lambda name: name != scores.headline):
        ids = scores.common([scores.headline, name])
        if not ids:
            continue
        values, groups = scores.values(name, ids), scores.groups(ids)
        mean = clustered_mean(values, groups)
        change = paired(scores.values(scores.headline, ids), values, groups)
        low, high = (0.0, 0.0) if name == scores.headline else change.bounds()
        rows.append(
            StyleRow(
                run=scores.run,
                model=scores.model,
                task=scores.task,
                style=name,
                headline=name == scores.headline,
                kind=scores.styles[name].kind,
                n=len(ids),
                n_clusters=mean.n_clusters,
                accuracy=mean.mean,
                ci_low=mean.ci_low,
                ci_high=mean.ci_high,
                difference=change.difference,
                difference_low=low,
                difference_high=high,
                p=1.0 if name == scores.headline else change.p_two_sided(),
            )
        )
    tested = [row for row in rows if not row.headline]
    adjusted = iter(holm([row.p for row in tested]))
    return [row if row.headline else row.model_copy(update={"p": next(adjusted)}) for row in rows]
