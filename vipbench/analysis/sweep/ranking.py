"""ranking: part of what was vipbench/analysis/sweep/styles.py."""

import hashlib
import itertools
from collections.abc import Mapping, Sequence

import numpy as np

from vipbench.analysis.sweep.scores import Floats, Scores
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


# --- the order of several models


def order_rows(runs: Sequence[Scores]) -> tuple[list[OrderRow], list[RankRow]]:
    """Return who is better under how many styles, and the ranks that each model takes."""
    first = runs[0]
    styles = [name for name in first.marked() if all(name in each.marked() for each in runs)]
    ids = {
        style: [id_ for id_ in first.common([style]) if all(id_ in set_ for set_ in others)]
        for style in styles
        for others in [[set(each.common([style])) for each in runs[1:]]]
    }
    styles = [style for style in styles if ids[style]]
    if not styles:
        return [], []
    accuracies = np.array(
        [[np.mean(each.values(style, ids[style])) for style in styles] for each in runs]
    )
    drawn = _resampled(runs, styles, ids)
    orders = []
    for a, b in itertools.combinations(range(len(runs)), 2):
        ahead = [
            place for place in range(len(styles)) if accuracies[a, place] > accuracies[b, place]
        ]
        if 2 * len(ahead) < sum(accuracies[a] != accuracies[b]):
            a, b = b, a
        orders.append(_order_row(runs[a], runs[b], styles, ids, drawn[:, a], drawn[:, b]))
    ranks = _ranks(drawn)
    tau = _mean_tau(accuracies)
    return orders, [
        RankRow(
            task=first.task,
            model=run.model,
            n_styles=len(styles),
            mean=float(ranks[:, place].mean()),
            low=float(np.quantile(ranks[:, place], 0.025)),
            high=float(np.quantile(ranks[:, place], 0.975)),
            tau=tau,
        )
        for place, run in enumerate(runs)
    ]


def _order_row(
    first: Scores,
    second: Scores,
    styles: Sequence[str],
    ids: Mapping[str, Sequence[str]],
    drawn_first: Floats,
    drawn_second: Floats,
) -> OrderRow:
    changes = [
        paired(
            second.values(style, ids[style]),
            first.values(style, ids[style]),
            first.groups(ids[style]),
        )
        for style in styles
    ]
    n_first = sum(change.difference > 0 for change in changes)
    n_second = sum(change.difference < 0 for change in changes)
    clear = [change.bounds() for change in changes]
    n_ties = len(styles) - n_first - n_second
    sentence = f"{first.model} beats {second.model} under {n_first} of {len(styles)} styles"
    if n_second or n_ties:
        rest = [f"loses under {n_second}" * bool(n_second), f"ties under {n_ties}" * bool(n_ties)]
        sentence += f", {' and '.join(part for part in rest if part)}"
    return OrderRow(
        task=first.task,
        first=first.model,
        second=second.model,
        n_styles=len(styles),
        n_first=n_first,
        n_second=n_second,
        n_first_clear=sum(low > 0 for low, _ in clear),
        n_second_clear=sum(high < 0 for _, high in clear),
        resampled=float(
            (drawn_first > drawn_second).mean() + (drawn_first == drawn_second).mean() / 2
        ),
        sentence=sentence,
    )


def _resampled(
    runs: Sequence[Scores], styles: Sequence[str], ids: Mapping[str, Sequence[str]]
) -> Floats:
    """Return accuracies (draws, models, styles), images being drawn anew with replacement."""
    groups = list(dict.fromkeys(g for style in styles for g in runs[0].groups(ids[style])))
    places = {group: place for place, group in enumerate(groups)}
    sums = np.zeros((len(runs), len(styles), len(groups)))
    sizes = np.zeros((len(styles), len(groups)))
    for s, style in enumerate(styles):
        at = [places[group] for group in runs[0].groups(ids[style])]
        np.add.at(sizes[s], at, 1)
        for m, run in enumerate(runs):
            np.add.at(sums[m, s], at, run.values(style, ids[style]))
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
