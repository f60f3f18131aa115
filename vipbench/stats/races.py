"""Which of several is best, on the whole benchmark? Told from a part of its samples."""

from typing import NamedTuple

from vipbench.stats.intervals import Floats


class Race(NamedTuple):
    """A race after some blocks; a pure function of the scores and of where the blocks end."""

    size: int
    """Samples of the whole benchmark."""
    within: float
    """The race ends when every one that is left is within this of the best: 0-1, 0: never early."""
    alpha: float
    alive: tuple[int, ...]
    """Numbers of those that are left, rising."""
    asked: tuple[int, ...]
    """Samples asked of each that set out."""
    ended: bool
    """Nothing more has to be asked."""


def set_out(n: int, size: int, within: float, alpha: float = 0.05) -> Race:
    """Return the race of `n` before the first sample."""
    raise NotImplementedError


def after(race: Race, block: Floats) -> Race:
    """Return the race after a block of scores (samples, alive), each 0-1, in the order asked.

    The columns are those of `race.alive`.
    """
    raise NotImplementedError
