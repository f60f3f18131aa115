"""All that finished runs show of styles, task by task. Asks no model and opens no image."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from vipbench.analysis.sweep.best import BestRow, best_rows
from vipbench.analysis.sweep.effects import EffectRow, effect_rows
from vipbench.analysis.sweep.ranking import OrderRow, RankRow, rank, why_not_ranked
from vipbench.analysis.sweep.scores import NOTHING_KNOWN, read_runs
from vipbench.analysis.sweep.stability import StabilityRow
from vipbench.analysis.sweep.styles import StyleRow, style_rows
from vipbench.runfolder.summary import Row
from vipbench.schema import Record


class Sweep(Record):
    """All that several runs show of styles."""

    styles: tuple[StyleRow, ...]
    effects: tuple[EffectRow, ...]
    orders: tuple[OrderRow, ...]
    ranks: tuple[RankRow, ...]
    stability: tuple[StabilityRow, ...]
    notes: tuple[str, ...]
    best: tuple[BestRow, ...] = ()
    """All styles of each task and model, the one with the highest accuracy first."""


def sweep(
    folders: Sequence[Path],
    *,
    with_orders: bool = True,
    known: Mapping[Path, Sequence[Row]] = NOTHING_KNOWN,
) -> Sweep:
    """Sum up what the styles of finished runs do, task by task.

    The order of several models is looked at where their runs hold the same samples, under the
    styles that all of them have; where they do not, a note says why. Without `with_orders` no two
    of them are held against each other, which takes a time that grows with the square of their
    number: then `orders` and `stability` are empty. `known` are rows that were read just now, by
    the resolved folders of their runs.

    Raises:
        RunError: A run has not ended, or is broken.
    """
    all_scores = read_runs(list(dict.fromkeys(folders)), known)
    notes: list[str] = []
    orders: list[OrderRow] = []
    ranks: list[RankRow] = []
    stability: list[StabilityRow] = []
    for task in dict.fromkeys(scores.task for scores in all_scores):
        of_task = [scores for scores in all_scores if scores.task == task]
        if len(of_task) < 2:
            continue
        obstacle = why_not_ranked(of_task)
        if obstacle:
            notes.append(f"{task}: the order of the models is not shown, since {obstacle}")
            continue
        ranking = rank(of_task, with_orders=with_orders)
        if ranking is None:
            continue
        orders += ranking.orders
        ranks += ranking.ranks
        stability += [ranking.stability] if ranking.stability else []
    effects = [row for scores in all_scores for row in effect_rows(scores, notes)]
    return Sweep(
        styles=tuple(row for scores in all_scores for row in style_rows(scores)),
        effects=tuple(effects),
        orders=tuple(orders),
        ranks=tuple(ranks),
        stability=tuple(stability),
        notes=tuple(notes),
        best=tuple(row for scores in all_scores for row in best_rows(scores)),
    )
