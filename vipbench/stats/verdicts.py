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
    """None: more samples are needed. An answer stays, unless it is wrong and all is seen."""
    p_dropped: float
    """Of "it has not dropped by more": anytime-valid, adjusted for all rows and both answers."""
    p_passed: float
    """Of "it has"."""


def judge(rows: Sequence[Drawn], alpha: float = 0.05) -> list[Verdict]:
    """Return each row's verdict; in all but `alpha` of all cases none ever contradicts the whole.

    Each row stands for itself: they may be seen in different parts, and one that has its answer
    need not be asked any further.

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
    return decide(dropped, passed, alpha)


def decide(dropped: Sequence[float], passed: Sequence[float], alpha: float) -> list[Verdict]:
    """Return verdicts, given each row's anytime-valid p-value of either null.

    For each row one of two nulls is true: it has dropped, or it has not. Each of the two families
    of nulls is adjusted by Holm's method for one half of `alpha`. There at most all rows but one
    can be true: where all of one family are, none of the other is, and `alpha` is theirs alone,
    which for two rows or more allows more. (Holm's method for both at once would take the true null
    of a decided row out of account, which has had its chance to be rejected.)

    No p-value rises with further samples, and no adjusted one rises unless one of them does: a row
    that is decided stays decided. That each is seen at its own time is no matter, as a p-value that
    is valid at all times together is valid at any.

    Args:
        dropped: Of "it has not dropped by more than it may", a row each.
        passed: Of "it has".
        alpha: Probability of a wrong answer, or more, among all rows.
    """
    halves, true = (1, 1) if len(dropped) == 1 else (2, len(dropped) - 1)
    verdicts = []
    for down, up in zip(holm(dropped, true), holm(passed, true), strict=True):
        p_dropped, p_passed = min(1.0, halves * down), min(1.0, halves * up)
        answer: Answer | None = None
        if min(p_dropped, p_passed) <= alpha:
            answer = "dropped" if p_dropped < p_passed else "passed"
        verdicts.append(Verdict(answer, p_dropped, p_passed))
    return verdicts
