"""Strokes: what a shape consists of, as pure data; `images/draw.py` turns them into pixels.

Coordinates are px of the image that is drawn on; origin top left, x to the right, y down. They may
lie beyond it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from vipbench.schema import RGB, Box, Level

Point = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stroke:
    """Base of all strokes. Strokes in a row that share colour and opacity are blended at once."""

    color: RGB | None = None
    """None: the mark's."""
    alpha: Level | None = None
    """Opacity; None: the mark's."""

    def reach(self) -> Box:
        """Return a box that no pixel of the stroke lies outside of; it may be too large."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Line(Stroke):
    """A line through points."""

    points: Sequence[Point] | Sequence[float]
    """As (x, y), or as x, y, x, y, …"""
    width: int
    round_joints: bool = False

    def reach(self) -> Box:
        """Return a box around it."""
        flat: list[Any] = [*self.points]
        if isinstance(flat[0], tuple):
            flat = [*chain.from_iterable(flat)]
        xs, ys = flat[::2], flat[1::2]  # of curves, thousands
        return _wider((min(xs), min(ys), max(xs), max(ys)), self.width)


@dataclass(frozen=True, slots=True)
class Rectangle(Stroke):
    """The outline of a box, growing inwards, corners included."""

    box: Box
    width: int

    def reach(self) -> Box:
        """Return a box around it: where it is wider than the box, it ends beyond."""
        return _wider(self.box, self.width)


@dataclass(frozen=True, slots=True)
class Ellipse(Stroke):
    """The ellipse in a box: its outline, growing inwards, or its area."""

    box: Box
    width: int = 0
    """0: filled."""

    def reach(self) -> Box:
        """Return a box around it."""
        return _wider(self.box, self.width)


@dataclass(frozen=True, slots=True)
class Area(Stroke):
    """A filled polygon, its outline included."""

    points: Sequence[Point]

    def reach(self) -> Box:
        """Return a box around it."""
        return _around(self.points, 0)


@dataclass(frozen=True, slots=True)
class Contour(Stroke):
    """A polygon's outline in one-pixel lines, shifted by -width to +width px both ways."""

    points: Sequence[Point]
    width: int
    hollow: int | None = None
    """Lines shifted by at most so many px are left out; None: none is."""

    def reach(self) -> Box:
        """Return a box around it."""
        return _around(self.points, self.width)


@dataclass(frozen=True, slots=True)
class Bitmap(Stroke):
    """Pixels that are given one by one, for what is drawn by rules of its own."""

    corner: tuple[int, int]
    """Where its top left pixel lies."""
    size_wh: tuple[int, int]
    pixels: bytes
    """One a pixel, rows first: 0 is left as it is, 255 is drawn on; between, where an edge is
    smooth."""

    def reach(self) -> Box:
        """Return its box."""
        left, top = self.corner
        return left, top, left + self.size_wh[0], top + self.size_wh[1]


def _around(points: Sequence[Point], width: int) -> Box:
    xs, ys = [x for x, _ in points], [y for _, y in points]
    return _wider((min(xs), min(ys), max(xs), max(ys)), width)


def _wider(box: Box, width: int) -> Box:
    """Widen a box by the width of its line, and by what rounding to pixels may add."""
    x0, y0, x1, y1 = box
    return x0 - width - 2, y0 - width - 2, x1 + width + 2, y1 + width + 2
