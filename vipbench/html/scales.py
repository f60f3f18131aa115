"""The scales of plots: as wide as what differs needs, with round numbers at the ends."""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from vipbench.html.tables import Bar, TaskPart

STEPS = (5, 10, 15, 20, 25, 30, 40, 50)
"""Percentage points of half an axis; less than the first would be noise in large print."""
LEFT, WIDTH = 10, 200
"""px of the drawing, of which 10 more are at the right."""


class Scale(NamedTuple):
    """An axis of three round numbers; percent, or percentage points."""

    low: int
    high: int

    @property
    def middle(self) -> int:
        """What stands in the middle."""
        return (self.low + self.high) // 2

    def share(self, value: float) -> float:
        """Return where a fraction lies, 0 to 1; beyond the ends it is at the end."""
        return min(1.0, max(0.0, (100 * value - self.low) / (self.high - self.low)))

    def x(self, value: float) -> str:
        """Return where a fraction is drawn, in px."""
        return f"{LEFT + WIDTH * self.share(value):.1f}"

    def holds(self, value: float | None) -> bool:
        """Say whether a fraction is on the axis."""
        return value is not None and self.low <= 100 * value <= self.high


def scale_of(values: Iterable[float | None]) -> Scale:
    """Return a scale that holds fractions 0-1; 0 to 100 where there are none."""
    percents = [100 * value for value in values if value is not None]
    if not percents:
        return Scale(0, 100)
    low = max(0, math.floor(min(percents) / 5) * 5)
    for step in STEPS:
        start = min(low, 100 - 2 * step)
        if start + 2 * step >= max(percents) - 1e-9:
            return Scale(start, start + 2 * step)
    return Scale(0, 100)


def scale_around_zero(values: Iterable[float | None]) -> Scale:
    """Return a scale that holds differences of fractions, with 0 in the middle."""
    largest = max((abs(100 * value) for value in values if value is not None), default=0.0)
    reach = next((step for step in (*STEPS, 75) if step >= largest - 1e-9), 100)
    return Scale(-reach, reach)


def scale_of_bars(bars: Sequence[Bar]) -> Scale:
    """Return the scale of accuracies with intervals."""
    numbers = [bar.number for bar in bars]
    return scale_of(value for n in numbers for value in (n.low, n.mean, n.high))


def scale_of_cells(part: TaskPart) -> Scale:
    """Return the scale of the colours of a task's heat maps."""
    cells = (cell for each in part.heat_maps for row in each.cells for cell in row if cell)
    return scale_of(cell.mean for cell in cells)
