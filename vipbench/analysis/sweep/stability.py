"""How far the order of several models depends on the style, and whether by more than chance.

Arithmetic on accuracies (models, styles) and on draws of them; axes before these two are kept.
"""

import itertools
import math
from collections.abc import Sequence

import numpy as np

from vipbench.analysis.sweep.scores import Floats
from vipbench.schema import Record
from vipbench.stats.comparisons import Paired

DUST = 9
"""Decimals to which differences of accuracies are rounded: smaller ones are rounding errors."""


class TauRow(Record):
    """How alike the orders of the models under two styles are."""

    first: str
    second: str
    """Styles."""
    tau: float | None
    """Kendall's tau-b of the accuracies, -1 to 1; None where all models are tied under one."""


class StabilityRow(Record):
    """How stable the order of all models is over the styles."""

    task: str
    n_models: int
    n_styles: int
    mean: float | None
    """Of tau over all pairs of styles that have one; None where none has."""
    by_chance: float | None
    """The same where the styles do not matter to the order, and only the draw of images does."""
    p: float | None
    """That chance alone makes tau so low or lower; None where there are too few images."""
    lowest: TauRow | None
    pairs: tuple[TauRow, ...]


class Flips(Record):
    """How often the order of two models changes from one style to another."""

    n: int
    """Pairs of styles under one of which one model is ahead, and under the other the other."""
    n_pairs: int
    """All pairs of styles."""
    by_chance: float
    """Mean of `n` where the styles do not matter to the order, and only the draw of images does."""
    p_moved: float | None
    """Of "how far one is ahead of the other does not depend on the style": by the variance of the
    difference over the styles, in draws of images. Like the next it is adjusted by Holm over the
    pairs of models, and None where there are too few images."""
    p_reversed: float | None
    """Of "one of the two is ahead under no style at all": by clustered paired tests, Bonferroni
    over the styles."""


def stability_row(
    task: str, styles: Sequence[str], accuracies: Floats, drawn: Floats, *, reliable: bool
) -> StabilityRow:
    """Sum up tau-b over all pairs of at least two styles.

    Args:
        task: Its name.
        styles: Names.
        accuracies: (models, styles), 0-1.
        drawn: (draws, models, styles), of images drawn with replacement.
        reliable: Whether there are enough images for a p-value.
    """
    found = taus(accuracies)
    mean = mean_tau(accuracies)
    null = _mean(taus(styles_alike(accuracies, drawn)))
    null = null[np.isfinite(null)]
    # Pairs are in one order throughout: the upper triangle, row by row.
    pairs = tuple(
        TauRow(first=first, second=second, tau=None if np.isnan(tau) else float(tau))
        for (first, second), tau in zip(itertools.combinations(styles, 2), found, strict=True)
    )
    known = [row for row in pairs if row.tau is not None]
    tested = mean is not None and len(null) > 0
    return StabilityRow(
        task=task,
        n_models=accuracies.shape[0],
        n_styles=len(styles),
        mean=mean,
        by_chance=float(null.mean()) if tested else None,
        p=_share(null <= mean + 10**-DUST) if mean is not None and tested and reliable else None,
        lowest=min(known, key=lambda row: row.tau or 0.0, default=None),
        pairs=pairs,
    )


def flips(accuracies: Floats, drawn: Floats, changes: Sequence[Sequence[Paired]]) -> list[Flips]:
    """Count the flips of each pair of models, in the order of `itertools.combinations`.

    Args:
        accuracies: (models, styles), 0-1.
        drawn: (draws, models, styles), of images drawn with replacement.
        changes: For each pair of models the paired difference under each style.
    """
    alike = styles_alike(accuracies, drawn)
    counts, chance = _n_flips(accuracies), _n_flips(alike).mean(0)
    spread, noise = _gaps(accuracies).var(-1), _gaps(alike).var(-1)
    n_styles = accuracies.shape[1]
    rows = []
    for index, of_pair in enumerate(changes):
        reliable = all(change.reliable for change in of_pair)
        wider = noise[:, index] >= spread[index] - 10**-DUST
        rows.append(
            Flips(
                n=int(counts[index]),
                n_pairs=n_styles * (n_styles - 1) // 2,
                by_chance=float(chance[index]),
                p_moved=_share(wider) if reliable else None,
                p_reversed=_p_reversed(of_pair) if reliable else None,
            )
        )
    return rows


def taus(accuracies: Floats) -> Floats:
    """Return Kendall's tau-b (..., pairs of styles); nan where all models are tied under a style.

    Source: Kendall, The treatment of ties in ranking problems, Biometrika 33, 1945.
    """
    signs = _signs(accuracies)
    agreement = np.swapaxes(signs, -1, -2) @ signs
    untied = np.sqrt(np.diagonal(agreement, axis1=-2, axis2=-1))
    a, b = np.triu_indices(accuracies.shape[-1], 1)
    norm = untied[..., a] * untied[..., b]
    found: Floats = np.where(norm > 0, agreement[..., a, b] / np.where(norm > 0, norm, 1), np.nan)
    return found


def mean_tau(accuracies: Floats) -> float | None:
    """Return the mean of tau-b over the pairs of styles that have one; None where none has."""
    mean = float(_mean(taus(accuracies)))
    return None if math.isnan(mean) else mean


def styles_alike(accuracies: Floats, drawn: Floats) -> Floats:
    """Return the draws as they were if each model were as far ahead under every style.

    What is left of the styles is what the draw of images does to each: deviations from what was
    measured, added to the models' means over styles. A style that is harder for all moves no order.
    """
    alike: Floats = drawn - accuracies + accuracies.mean(-1, keepdims=True)
    return alike


def _signs(accuracies: Floats) -> Floats:
    """Return who is ahead (..., pairs of models, styles): 1 the first, -1 the second, 0 neither."""
    signs: Floats = np.sign(np.round(_gaps(accuracies), DUST))
    return signs


def _gaps(accuracies: Floats) -> Floats:
    """Return how far the first model is ahead (..., pairs of models, styles)."""
    a, b = np.triu_indices(accuracies.shape[-2], 1)
    gaps: Floats = accuracies[..., a, :] - accuracies[..., b, :]
    return gaps


def _n_flips(accuracies: Floats) -> Floats:
    """Return the number of pairs of styles that put two models in opposite orders."""
    signs = _signs(accuracies)
    ahead: Floats = (signs > 0).sum(-1) * (signs < 0).sum(-1)
    return ahead


def _mean(values: Floats) -> Floats:
    """Return the mean of the last axis without nan; nan where nothing else is there."""
    known = np.isfinite(values)
    n = known.sum(-1)
    total = np.where(known, values, 0.0).sum(-1)
    mean: Floats = np.where(n > 0, total / np.maximum(n, 1), np.nan)
    return mean


def _share(extreme: Floats) -> float:
    """Return the p-value of a Monte Carlo test, in which what was measured is one draw more."""
    return float((1 + extreme.sum()) / (1 + len(extreme)))


def _p_reversed(changes: Sequence[Paired]) -> float:
    """Return the p-value of "one of two models is nowhere ahead": the larger of two.

    Each is the smallest over the styles, times their number, so that no dependence matters.
    """
    first = min(1 - change.p_below() for change in changes)
    second = min(change.p_below() for change in changes)
    return min(1.0, len(changes) * max(first, second))
