"""Did a row drop by more than it may, on the whole benchmark? Told from a part of its samples."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from vipbench.stats.intervals import Floats

Answer = Literal["dropped", "passed"]


class Drawn(NamedTuple):
    """A row: differences of its samples, new minus base, -1 to 1, in the order of the questions."""

    values: Sequence[float] | Floats
    size: int
    """Samples of the whole row."""
    max_drop: float
    """Above 0, below 1: the row has dropped where the difference of the whole is below -max_drop."""


class Verdict(NamedTuple):
    """What is known of a row."""

    answer: Answer | None
    """None: more samples are needed. An answer stays whatever is seen later."""
    n: int
    size: int
    difference: float | None
    """Of the samples seen; biased where it was looked at to stop. None: no sample is seen."""
    low: float
    high: float
    """Confidence sequence of the difference of the whole, for this row alone."""
    p_dropped: float
    """Anytime-valid, adjusted for all rows and both answers: of "it has not dropped"."""
    p_passed: float
    """The same of "it has dropped"."""


def judge(rows: Sequence[Drawn], alpha: float = 0.05) -> list[Verdict]:
    """Return each row's verdict; one that contradicts the whole comes with probability `alpha`."""
    raise NotImplementedError
