"""Did rows drop by more than they may, on the whole benchmark? Told from a part of it."""

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

from vipbench.stats.comparisons import holm
from vipbench.stats.intervals import Floats
from vipbench.stats.sequences import TOLERANCE, log_evidence

Answer = Literal["dropped", "passed"]


class Drawn(NamedTuple):
    """A row: differences of its samples, new minus base, -1 to 1, in the order of the questions."""

    values: Sequence[float] | Floats
    size: int
    """Samples of the whole row."""
    max_drop: float
    """Above 0, up to 1: the row has dropped where the difference of the whole is below it, negated;
    a difference that is just that passes."""


class Verdict(NamedTuple):
    """What is known of a row."""

    answer: Answer | None
    """None: more samples are needed. An answer stays, whatever is seen later."""
    p_dropped: float
    """Of "it has not dropped by more": anytime-valid, adjusted for all rows and both answers."""
    p_passed: float
    """Of "it has"."""


def judge(rows: Sequence[Drawn], alpha: float = 0.05) -> list[Verdict]:
    """Return each row's verdict; in all but `alpha` of all cases none ever contradicts the whole.

    For each row one of two nulls is true: it has dropped, or it has not. Each has an anytime-valid
    p-value, and each of the two families of nulls is adjusted by Holm's method for one half of
    `alpha`; a single row needs no halves, as only one of its nulls can be rejected falsely. The
    p-values never rise, and Holm's adjusted ones only rise if one of them does, so that a row that
    is decided stays decided; its samples need not be asked any further, because p-values that are
    valid at any time are so at different times as well.

    Where all samples of a row are seen, its answer is that of the whole, in exact arithmetic but
    for 1e-9 of the mean, by which sums of partial credits may be rounded.

    Raises:
        ValueError: A value is outside -1 to 1, or a row has more of them than samples.
    """
    dropped, passed = [], []
    for values, size, drop in rows:
        looks = [len(values)]
        against = log_evidence(values, size, -drop, "at least", looks, likely=drop)[0]
        dropped.append(math.exp(-against))
        # The margin itself passes: the null is what lies below it.
        below = -drop - 2 * TOLERANCE
        against = log_evidence(values, size, below, "at most", looks, likely=drop)[0]
        passed.append(math.exp(-against))
    halves = 1 if len(rows) == 1 else 2
    verdicts = []
    for p_dropped, p_passed in zip(holm(dropped), holm(passed), strict=True):
        p_dropped, p_passed = min(1.0, halves * p_dropped), min(1.0, halves * p_passed)
        answer: Answer | None = None
        if min(p_dropped, p_passed) <= alpha:
            answer = "dropped" if p_dropped < p_passed else "passed"
        verdicts.append(Verdict(answer, p_dropped, p_passed))
    return verdicts
