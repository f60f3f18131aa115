"""How many times as fast one way is as another, and how well a few rounds tell."""

import math
import statistics
from collections.abc import Sequence

import scipy  # its parts are loaded when they are first used

from vipbench.schema import Record

CONFIDENCE = 0.95


class Ratio(Record):
    """Samples/s of vipbench over those of another way, round by round."""

    rounds: tuple[float, ...]
    """In each round both were measured one after the other, so that a busy moment hits both."""
    mean: float
    """Geometric, over the rounds."""
    low: float | None
    """95 % interval of it; None where there is one round, from which none follows."""
    high: float | None


def paired_ratio(ours: Sequence[float], others: Sequence[float]) -> Ratio:
    """Compare speeds, round by round.

    The interval is Student's for the mean of the logarithms of the ratios: rounds are taken for
    independent of each other.

    Args:
        ours: samples/s in each round.
        others: those of the other way, in the same rounds.

    Raises:
        ValueError: there is no round, or the numbers differ.
    """
    ratios = [a / b for a, b in zip(ours, others, strict=True)]
    if not ratios:
        raise ValueError("no rounds · expected at least one")
    logs = [math.log(ratio) for ratio in ratios]
    mean, n = statistics.fmean(logs), len(logs)
    low = high = None
    if n > 1:
        student = float(scipy.special.stdtrit(n - 1, (1 + CONFIDENCE) / 2))
        reach = student * statistics.stdev(logs) / math.sqrt(n)
        low, high = math.exp(mean - reach), math.exp(mean + reach)
    return Ratio(rounds=tuple(ratios), mean=math.exp(mean), low=low, high=high)
