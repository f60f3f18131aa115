"""Which of several is best, on the whole benchmark? Told from a part of its samples.

The error is one: that the one which is best on the whole, s, is put out, or that the race ends with
one that is farther from s than it may be. Only s matters, however many set out:

- Out goes whoever has evidence of 2/alpha against "it is the best". Under this null the mean of
  what any other would add to it, on samples that are not seen, is known to be at most so and so
  much; therefore bets may be placed on a different opponent each time, as long as it is chosen by
  earlier samples. It is whoever leads. That s itself is put out has probability alpha/2 at most.
- It ends where of any two that are left the first is shown to be no farther ahead of the second
  than `within`. That is false for some second only where the first is s, at most one for each other
  that was there when the bets began: with evidence of 2 (others) / alpha for each pair the
  probability is alpha/2 at most. They begin when few are left, and what was seen before is not bet
  on. When that is depends on earlier samples alone, so that all of this holds given those.
"""

import math
from typing import NamedTuple

import numpy as np

from vipbench.stats.intervals import Floats
from vipbench.stats.sequences import TOLERANCE, Wealth, begin, go_on, place, spread_bets

FEW = 8
"""Left, or less, when bets begin on their being close together; they do at the latest when a tenth
of the samples is seen. Ours: with fewer the level is divided less, and less is seen."""


class Race(NamedTuple):
    """A race after some blocks; a pure function of the scores and of where the blocks end."""

    size: int
    """Samples of the whole benchmark."""
    within: float
    """It ends where all that are left are within this of the best, 0-1; 0: where one is left."""
    alpha: float
    """Probability of the error, at most."""
    alive: tuple[int, ...]
    """Numbers of those that may be best, rising."""
    asked: tuple[int, ...]
    """Samples asked of each that set out."""
    ended: bool
    """Nothing more has to be asked."""
    totals: Floats
    """(alive,): sums of their scores."""
    products: Floats
    """(alive, alive): sums of the products of their scores."""
    behind: Wealth
    """(alive,): bets against "it is the best"."""
    close: Wealth | None
    """(alive, alive): bets against "the first is ahead of the second by more than `within`"; None
    before they begin."""
    enough: float
    """Logarithm of the evidence with which two are close."""


def set_out(n: int, size: int, within: float, alpha: float = 0.05) -> Race:
    """Return the race of `n`, two or more, before the first sample."""
    nothing = np.zeros((n, n))
    behind = begin((n,), spread_bets(size))
    everybody = tuple(range(n))
    return _watch(
        Race(
            size=size,
            within=within,
            alpha=alpha,
            alive=everybody,
            asked=(0,) * n,
            ended=False,
            totals=nothing[0],
            products=nothing,
            behind=behind,
            close=None,
            enough=math.inf,
        )
    )


def after(race: Race, block: Floats) -> Race:
    """Return the race after a block of scores (samples, alive), each 0-1, in the order asked.

    The columns are those of `race.alive`. Where all samples are seen, those are left that have the
    highest score, to 1e-9 of the mean.

    Raises:
        ValueError: The race has ended, or the block has another number of columns, or too many
            samples.
    """
    n = race.behind.n + len(block)
    if race.ended or block.shape[1] != len(race.alive) or n > race.size:
        raise ValueError(
            f"a block of {block.shape} for {len(race.alive)} that are left, after "
            f"{race.behind.n} of {race.size} samples"
        )
    behind = _behind(race, block)
    close = None if race.close is None else _closer(race, race.close, block)
    totals = race.totals + block.sum(axis=0)
    short = totals.max() - totals
    stays = short <= race.size - n + TOLERANCE * race.size  # else too few samples are left
    if n < race.size:
        stays &= behind.best < math.log(2 / race.alpha)
    stays[totals.argmax()] = True  # somebody is best
    left = np.flatnonzero(stays)
    pairs = np.ix_(left, left)
    asked = list(race.asked)
    for number in race.alive:
        asked[number] = n
    return _ended(
        _watch(
            race._replace(
                alive=tuple(race.alive[place] for place in left),
                asked=tuple(asked),
                totals=totals[left],
                products=(race.products + block.T @ block)[pairs],
                behind=_those(behind, left),
                close=None if close is None else _those(close, pairs),
            )
        )
    )


def _behind(race: Race, block: Floats) -> Wealth:
    """Bet for the leader of each moment against each other, for the next one against the leader."""
    before = race.totals + np.cumsum(block, axis=0) - block
    moments, everybody = np.arange(len(block)), np.arange(block.shape[1])
    leader = before.argmax(axis=1)
    others = before.copy()
    others[moments, leader] = -np.inf
    rival = np.where(leader[:, None] == everybody, others.argmax(axis=1)[:, None], leader[:, None])
    ahead = np.take_along_axis(block, rival, axis=1) - block
    so_far = np.take_along_axis(before, rival, axis=1) - before
    null = -so_far / (race.size - race.behind.n - moments)[:, None]
    return place(race.behind, ahead.T, null.T, race.size, spread_bets(race.size))


def _closer(race: Race, close: Wealth, block: Floats) -> Wealth:
    """Bet that the second of each pair is behind the first by `within` at most, which is close."""
    ahead = (block[:, None, :] - block[:, :, None]).transpose(1, 2, 0)
    bets = spread_bets(race.size, race.within)
    return go_on(close, ahead, race.size, -race.within - 2 * TOLERANCE, bets)


def _those(wealth: Wealth, chosen: object) -> Wealth:
    """Return what some have of it, by their indices."""
    arrays = (array[chosen] for array in wealth[1:])  # type: ignore[call-overload]
    return Wealth(wealth.n, *arrays)


def _watch(race: Race) -> Race:
    """Begin to bet on those that are left being close, when it is time."""
    n, left = race.behind.n, len(race.alive)
    if race.close is not None or not race.within or left < 2 or (left > FEW and n < race.size / 10):
        return race
    own = race.products.diagonal()
    close = begin((left, left), spread_bets(race.size, race.within))._replace(
        n=n,
        total=race.totals - race.totals[:, None],
        squares=own + own[:, None] - 2 * race.products,
    )
    return race._replace(close=close, enough=math.log(2 * (left - 1) / race.alpha))


def _ended(race: Race) -> Race:
    """Say whether nothing more has to be asked."""
    if len(race.alive) == 1 or race.behind.n == race.size:
        return race._replace(ended=True)
    if race.close is None:
        return race
    shown = race.close.best >= race.enough
    return race._replace(ended=bool((shown | np.eye(len(shown), dtype=bool)).all()))
