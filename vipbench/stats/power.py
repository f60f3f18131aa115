"""Power of a paired comparison: the samples that find a drop, and the smallest drop found."""

import functools
import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy  # its parts are loaded when they are first used, which most commands never do

from vipbench.stats.intervals import Floats

FEW_GAINS = 5.0
"""Expected gained samples up to which the power is computed exactly; with more, the normal
distribution is off by less than 0.005, by simulation."""
MOST_GAINS = 30
"""Gained samples that the exact power looks at; more are gained once in 1e13 where FEW_GAINS are
expected."""


class Design(NamedTuple):
    """What the power of a paired comparison depends on."""

    n: int
    """Samples."""
    discordance: float
    """Share of the samples whose score changes (for partial credits the mean squared change); where
    a drop is larger, it is that of the drop."""
    design_effect: float = 1.0
    """Clustered over independent variance of the difference."""
    alpha: float = 0.05
    """Level of the one-sided test."""
    power: float = 0.8
    """Probability with which a drop is found."""

    def samples_for(self, drop: float) -> int:
        """Return how many samples find a drop (0-1).

        Under no drop, the variance of a change is the discordance; under the drop, less its square
        (Miettinen, Biometrics 24, 1968). Where next to nothing is gained, losses are too few for
        the normal distribution: there the exact power is looked at too. Raises ValueError for a
        drop outside 0-1, or 0.
        """
        if not 0 < drop <= 1:
            raise ValueError(f"drop = {drop}: expected a number above 0, up to 1")
        effective = (self._needed(drop) / drop) ** 2
        low = high = math.ceil(effective)
        if self._keeps_promise(high, drop):
            return math.ceil(effective * self.design_effect)
        while not self._keeps_promise(high, drop):
            low, high = high + 1, 2 * high
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if self._keeps_promise(middle, drop) else (middle + 1, high)
        return math.ceil(high * self.design_effect)

    def smallest_drop(self) -> float | None:
        """Return the smallest drop that is found; None where not even a drop to nothing is."""
        low, high = 0.0, 1.0
        if not self._finds(high):
            return None
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (low, middle) if self._finds(middle) else (middle, high)
        return high

    def _finds(self, drop: float) -> bool:
        effective = self.n / self.design_effect
        if drop * math.sqrt(effective) < self._needed(drop):
            return False
        return self._keeps_promise(math.floor(effective), drop)

    def _needed(self, drop: float) -> float:
        """Return what the drop, times the root of the effective n, has to reach."""
        changed = max(self.discordance, drop)
        level, reach = map(float, scipy.special.ndtri([1 - self.alpha, self.power]))
        return level * math.sqrt(changed) + reach * math.sqrt(changed - drop**2)

    def _keeps_promise(self, n: int, drop: float) -> bool:
        """Say whether `n` independent samples have the power, where gains are few; else True."""
        changed = max(self.discordance, drop)
        gain, loss = (changed - drop) / 2, (changed + drop) / 2
        if n * gain > FEW_GAINS:
            return True
        if n < 2:
            return False
        gained = np.arange(min(n, MOST_GAINS) + 1)
        critical = np.array(_critical_losses(n, self.alpha))
        share = scipy.special.bdtr(gained, n, gain)
        share[1:] -= share[:-1].copy()
        found = scipy.special.bdtrc(critical - 1, n - gained, min(1.0, loss / (1 - gain)))
        return float(share @ np.where(critical > n - gained, 0, found)) >= self.power


@functools.lru_cache(maxsize=256)
def _critical_losses(n: int, alpha: float) -> tuple[int, ...]:
    """Return, for 0, 1, … gained samples of `n`, how few lost ones are a finding; n + 1: none."""
    gained = np.arange(min(n, MOST_GAINS) + 1)
    low, high = np.zeros_like(gained), n - gained
    never = _p_of_counts(n, gained, high) >= alpha
    while (low < high).any():
        middle = (low + high) // 2
        finds = _p_of_counts(n, gained, middle) < alpha
        low, high = (
            np.where(finds, low, np.minimum(middle + 1, high)),
            np.where(finds, middle, high),
        )
    return tuple(np.where(never, n + 1, high).tolist())


def _p_of_counts(n: int, gained: npt.NDArray[np.intp], lost: npt.NDArray[np.intp]) -> Floats:
    """Return `paired(…).p_below()` of `n` > 1 independent samples that are right or wrong."""
    difference = (gained - lost) / n
    variance = ((gained + lost) / n - difference**2) / (n - 1)
    half_width = np.sqrt(variance * (n / (n + 2)) ** 2 + 2 / (n + 2) ** 2)
    return np.asarray(scipy.special.stdtr(n - 1, difference * n / (n + 2) / half_width))
