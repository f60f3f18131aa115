"""One model at several steps, on the same samples: is it worse than at its start, or its best?"""

from collections.abc import Hashable, Mapping, Sequence
from typing import NamedTuple

from vipbench.stats.comparisons import Paired, paired

Scores = Mapping[str, tuple[float, Hashable]]
"""Sample -> its score, 0-1, and the cluster that it is of; without samples that failed."""


class Against(NamedTuple):
    """A step against an earlier one."""

    number: int
    """Of the earlier step; the start is 0."""
    change: Paired
    """This step minus the earlier one, on the samples that both have a score for."""
    p: float
    """One-sided, of "it is not worse"."""


class Look(NamedTuple):
    """One step against those before it; None where no sample has both scores, and at the start."""

    start: Against | None
    best: Against | None
    """Against the best so far by its accuracy, at the first of equal ones. It was chosen on these
    samples, where chance has made it look better than it is: p is multiplied by the number of
    steps that it was chosen from (Bonferroni), so that it holds whichever of them had been the
    best."""


def level(alpha: float, look: int) -> float:
    """Return the level of one look, the first one being 1: alpha / (k (k + 1)).

    All of them together, however many, add up to `alpha`, so that their number need not be known.
    """
    return alpha / (look * (look + 1))


def looks(steps: Sequence[Scores]) -> list[Look]:
    """Hold each step against the start and against the best before it.

    Args:
        steps: In the order of the training, the start first.
    """
    found: list[Look] = []
    best: tuple[float, int] | None = None
    for number, scores in enumerate(steps):
        start = best_so_far = None
        if number:
            start = _against(steps, 0, number)
        if best is not None:
            best_so_far = _against(steps, best[1], number)
        if best_so_far is not None:
            best_so_far = best_so_far._replace(p=min(1.0, number * best_so_far.p))
        found.append(Look(start, best_so_far))
        if scores:
            mean = sum(value for value, _ in scores.values()) / len(scores)
            best = max(best or (mean, number), (mean, number), key=lambda each: each[0])
    return found


def _against(steps: Sequence[Scores], earlier: int, number: int) -> Against | None:
    base, new = steps[earlier], steps[number]
    shared = [id_ for id_ in base if id_ in new]
    if not shared:
        return None
    change = paired(
        [base[id_][0] for id_ in shared],
        [new[id_][0] for id_ in shared],
        [base[id_][1] for id_ in shared],
    )
    return Against(earlier, change, change.p_below())
