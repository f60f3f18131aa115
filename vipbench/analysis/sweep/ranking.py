"""The order of several models: who beats whom under how many styles, and how stable that is."""

import hashlib
import itertools
from collections.abc import Mapping, Sequence

import numpy as np

from vipbench.analysis.sweep.scores import Floats, Scores
from vipbench.runfolder.judge_file import judge_labels
from vipbench.schema import Record
from vipbench.stats import paired

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
    tau: float | None
    """Kendall's tau-b between the orders of all models under two styles, over all pairs of styles;
    the same in each row of a task. None for fewer than two styles, or where all are tied."""
    name: str
    """What the run is called; `model` is that, with what tells others of the name apart."""
    step: int | None
    """Training step of the checkpoint; None: it is not known."""
    weights: str | None
    """Short digest of the weights; None for a baseline."""


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
            return f"{first.run} and {other.run} {obstacle}"
    return ""


def order_rows(runs: Sequence[Scores]) -> tuple[list[OrderRow], list[RankRow]]:
    """Return who is better under how many styles, and the ranks that the models take."""
    samples = _shared_samples(runs)
    styles = list(samples)
    if not styles:
        return [], []
    accuracies = np.array(
        [[np.mean(run.values(style, samples[style])) for style in styles] for run in runs]
    )
    drawn = _resampled(runs, samples)
    orders = []
    for a, b in itertools.combinations(range(len(runs)), 2):
        n_a = int((accuracies[a] > accuracies[b]).sum())
        n_b = int((accuracies[b] > accuracies[a]).sum())
        ahead, behind = (b, a) if n_b > n_a else (a, b)
        orders.append(
            _order_row(runs[ahead], runs[behind], samples, drawn[:, ahead], drawn[:, behind])
        )
    ranks = _ranks(drawn)
    tau = _mean_tau(accuracies)
    rank_rows = [
        RankRow(
            task=run.task,
            model=run.model,
            n_styles=len(styles),
            mean=float(ranks[:, index].mean()),
            low=float(np.quantile(ranks[:, index], 0.025)),
            high=float(np.quantile(ranks[:, index], 0.975)),
            tau=tau,
            name=run.called.name,
            step=run.called.step,
            weights=run.weights,
        )
        for index, run in enumerate(runs)
    ]
    return orders, rank_rows


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
    first: Scores,
    second: Scores,
    samples: Mapping[str, Sequence[str]],
    drawn_first: Floats,
    drawn_second: Floats,
) -> OrderRow:
    changes = [
        paired(second.values(style, ids), first.values(style, ids), first.groups(ids))
        for style, ids in samples.items()
    ]
    n_styles = len(samples)
    n_first = sum(change.difference > 0 for change in changes)
    n_second = sum(change.difference < 0 for change in changes)
    bounds = [change.bounds() for change in changes]
    n_ties = n_styles - n_first - n_second
    sentence = f"{first.model} beats {second.model} under {n_first} of {n_styles} styles"
    if n_second or n_ties:
        rest = [f"loses under {n_second}" * bool(n_second), f"ties under {n_ties}" * bool(n_ties)]
        sentence += f", {' and '.join(part for part in rest if part)}"
    return OrderRow(
        task=first.task,
        first=first.model,
        second=second.model,
        n_styles=n_styles,
        n_first=n_first,
        n_second=n_second,
        n_first_clear=sum(low > 0 for low, _ in bounds),
        n_second_clear=sum(high < 0 for _, high in bounds),
        resampled=float(
            (drawn_first > drawn_second).mean() + (drawn_first == drawn_second).mean() / 2
        ),
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


def _mean_tau(accuracies: Floats) -> float | None:
    """Return the mean of Kendall's tau-b over all pairs of styles; accuracies (models, styles)."""
    signs = np.sign(accuracies[:, None, :] - accuracies[None, :, :])
    taus = []
    for a, b in itertools.combinations(range(accuracies.shape[1]), 2):
        x, y = signs[..., a], signs[..., b]
        norm = np.sqrt((x**2).sum() * (y**2).sum())
        if norm > 0:
            taus.append(float((x * y).sum() / norm))
    return float(np.mean(taus)) if taus else None
