"""The order of several models: who beats whom under how many styles, and how stable that is."""

import hashlib
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from vipbench.analysis.sweep.scores import Floats, Scores
from vipbench.analysis.sweep.stability import (
    Flips,
    StabilityRow,
    flips,
    mean_tau,
    stability_row,
)
from vipbench.runfolder.judge_file import judge_labels
from vipbench.schema import Record
from vipbench.stats.comparisons import Paired, holm, paired

N_RESAMPLES = 1000
"""Draws of images for the stability of the order."""


class OrderRow(Record):
    """How stable it is that one model is better than another."""

    task: str
    first: str
    second: str
    n_styles: int
    n_first: int
    """Styles under which the first has the higher accuracy."""
    n_second: int
    n_first_clear: int
    """Those among them whose 95 % interval of the paired difference leaves 0 out."""
    n_second_clear: int
    resampled: float
    """Share of styles x draws of images in which the first is ahead; ties count half."""
    flips: Flips | None
    """None for fewer than two styles."""
    sentence: str


class RankRow(Record):
    """The ranks that a model takes over styles and draws of images."""

    task: str
    model: str
    n_styles: int
    mean: float
    """1 is the best; ties share the mean of their ranks."""
    low: float
    high: float
    """2.5 and 97.5 percentiles."""
    best: float
    worst: float
    """Over the styles as they were measured, without draws."""
    tau: float | None
    """Kendall's tau-b between the orders of all models under two styles, over all pairs of styles;
    the same in each row of a task. None for fewer than two styles, or where all are tied."""
    name: str
    """What the run is called; `model` is that, with what tells others of the name apart."""
    step: int | None
    """Training step of the checkpoint; None: it is not known."""
    weights: str | None
    """Short digest of the weights; None for a baseline."""


class Ranking(NamedTuple):
    """All that one task shows of the order of the models."""

    orders: list[OrderRow]
    ranks: list[RankRow]
    stability: StabilityRow | None
    """None for fewer than two styles."""


def why_not_ranked(runs: Sequence[Scores]) -> str:
    """Say why the models of some runs cannot be ranked; empty where they can."""
    first = runs[0]
    for other in runs[1:]:
        obstacle = ""
        if other.name in {run.name for run in runs if run is not other}:
            obstacle = f"are both of model {other.name}"
        elif other.manifest.tasks[first.task].version != first.manifest.tasks[first.task].version:
            obstacle = "have different versions of the task"
        elif other.metric != first.metric:
            obstacle = f"report {first.metric} and {other.metric}"
        elif other.graded_by != first.graded_by:
            labels = judge_labels([first.graded_by, other.graded_by])
            one, two = labels[first.graded_by], labels[other.graded_by]
            obstacle = f"were graded by different judges ({one}; {two})"
        elif other.ids() != first.ids():
            obstacle = "hold different samples"
        if obstacle:
            return f"{first.model} and {other.model} {obstacle}"
    return ""


def rank(runs: Sequence[Scores], *, with_orders: bool = True) -> Ranking | None:
    """Return who is better under how many styles, and how stable that is; None without a style.

    Without `with_orders` there are the ranks alone.
    """
    samples = _shared_samples(runs)
    if not samples:
        return None
    accuracies = np.array(
        [[_accuracy(run.values(style, ids)) for style, ids in samples.items()] for run in runs]
    )
    drawn = _resampled(runs, samples)
    several = len(samples) > 1
    ranks = _rank_rows(runs, accuracies, drawn, mean_tau(accuracies) if several else None)
    if not with_orders:
        return Ranking([], ranks, None)
    changes = [
        _changes(first, second, samples) for first, second in itertools.combinations(runs, 2)
    ]
    found = _adjusted(flips(accuracies, drawn, changes)) if several else [None] * len(changes)
    pairs = itertools.combinations(range(len(runs)), 2)
    orders = [
        _order_row((runs[a], runs[b]), of_pair, (drawn[:, a], drawn[:, b]), flipped)
        for (a, b), of_pair, flipped in zip(pairs, changes, found, strict=True)
    ]
    reliable = all(change.reliable for of_pair in changes for change in of_pair)
    stability = (
        stability_row(runs[0].task, list(samples), accuracies, drawn, reliable=reliable)
        if several
        else None
    )
    return Ranking(orders, ranks, stability)


def _accuracy(values: Sequence[float]) -> float:
    """Return a mean that does not depend on the order of the samples, so that ties are ties."""
    return math.fsum(values) / len(values)


def _changes(first: Scores, second: Scores, samples: Mapping[str, Sequence[str]]) -> list[Paired]:
    """Return how far the first is ahead under each style."""
    return [
        paired(second.values(style, ids), first.values(style, ids), first.groups(ids))
        for style, ids in samples.items()
    ]


def _adjusted(rows: Sequence[Flips]) -> list[Flips]:
    """Adjust p-values for the number of pairs of models."""
    moved = iter(holm([row.p_moved for row in rows if row.p_moved is not None]))
    turned = iter(holm([row.p_reversed for row in rows if row.p_reversed is not None]))
    return [
        row
        if row.p_moved is None
        else row.model_copy(update={"p_moved": next(moved), "p_reversed": next(turned)})
        for row in rows
    ]


def _rank_rows(
    runs: Sequence[Scores], accuracies: Floats, drawn: Floats, tau: float | None
) -> list[RankRow]:
    ranks, measured = _ranks(drawn), _ranks(accuracies[None])
    return [
        RankRow(
            task=run.task,
            model=run.model,
            n_styles=accuracies.shape[1],
            mean=float(ranks[:, index].mean()),
            low=float(np.quantile(ranks[:, index], 0.025)),
            high=float(np.quantile(ranks[:, index], 0.975)),
            best=float(measured[:, index].min()),
            worst=float(measured[:, index].max()),
            tau=tau,
            name=run.called.name,
            step=run.called.step,
            weights=run.weights,
        )
        for index, run in enumerate(runs)
    ]


def _shared_samples(runs: Sequence[Scores]) -> dict[str, list[str]]:
    """Return, for the styles with marks that all runs have, the samples that all have scored."""
    first, *others = runs
    samples = {}
    for style in first.marked():
        if not all(style in run.marked() for run in others):
            continue
        sets = [set(run.common([style])) for run in others]
        ids = [id_ for id_ in first.common([style]) if all(id_ in scored for scored in sets)]
        if ids:
            samples[style] = ids
    return samples


def _order_row(
    runs: tuple[Scores, Scores],
    changes: Sequence[Paired],
    drawn: tuple[Floats, Floats],
    flipped: Flips | None,
) -> OrderRow:
    """Sum up the order of two models, the one that is ahead under more styles first."""
    ahead, behind = [], []
    for change in changes:
        low, high = change.bounds()
        ahead.append((change.difference > 0, low > 0))
        behind.append((change.difference < 0, high < 0))
    n_ahead, n_behind = sum(won for won, _ in ahead), sum(won for won, _ in behind)
    if n_behind > n_ahead:
        runs, drawn, ahead, behind = runs[::-1], drawn[::-1], behind, ahead
        n_ahead, n_behind = n_behind, n_ahead
    n_styles = len(changes)
    n_ties = n_styles - n_ahead - n_behind
    sentence = f"{runs[0].model} beats {runs[1].model} under {n_ahead} of {n_styles} styles"
    if n_behind or n_ties:
        rest = [f"loses under {n_behind}" * bool(n_behind), f"ties under {n_ties}" * bool(n_ties)]
        sentence += f", {' and '.join(part for part in rest if part)}"
    return OrderRow(
        task=runs[0].task,
        first=runs[0].model,
        second=runs[1].model,
        n_styles=n_styles,
        n_first=n_ahead,
        n_second=n_behind,
        n_first_clear=sum(clear for _, clear in ahead),
        n_second_clear=sum(clear for _, clear in behind),
        resampled=float((drawn[0] > drawn[1]).mean() + (drawn[0] == drawn[1]).mean() / 2),
        flips=flipped,
        sentence=sentence,
    )


def _resampled(runs: Sequence[Scores], samples: Mapping[str, Sequence[str]]) -> Floats:
    """Return accuracies (draws, models, styles) over images drawn with replacement."""
    groups = list(dict.fromkeys(g for ids in samples.values() for g in runs[0].groups(ids)))
    columns = {group: column for column, group in enumerate(groups)}
    sums = np.zeros((len(runs), len(samples), len(groups)))
    sizes = np.zeros((len(samples), len(groups)))
    for s, (style, ids) in enumerate(samples.items()):
        at = [columns[group] for group in runs[0].groups(ids)]
        np.add.at(sizes[s], at, 1)
        for m, run in enumerate(runs):
            np.add.at(sums[m, s], at, run.values(style, ids))
    key = hashlib.sha256(f"sweep {runs[0].task}".encode()).digest()
    rng = np.random.default_rng(int.from_bytes(key[:16]))
    shares = np.full(len(groups), 1 / len(groups))
    counts = rng.multinomial(len(groups), shares, N_RESAMPLES).astype(np.float64)
    totals = np.einsum("dg,msg->dms", counts, sums, optimize=True)
    n = np.einsum("dg,sg->ds", counts, sizes, optimize=True)[:, None]
    # A draw without any sample of a style says nothing about it.
    means: Floats = totals / np.where(n > 0, n, np.nan)
    return np.nan_to_num(means)


def _ranks(drawn: Floats) -> Floats:
    """Return ranks (draws x styles, models): 1 is the highest accuracy, ties share their mean."""
    flat = np.moveaxis(drawn, 1, 2).reshape(-1, drawn.shape[1])
    above = (flat[:, None, :] > flat[:, :, None]).sum(2)
    equal = (flat[:, None, :] == flat[:, :, None]).sum(2)
    ranks: Floats = above + (equal + 1) / 2
    return ranks
