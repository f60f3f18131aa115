"""Strokes: what a shape consists of, as pure data; `images/draw.py` turns them into pixels.

Coordinates are px of the image that is drawn on; origin top left, x to the right, y down. They may
lie beyond it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from vipbench.schema import RGB, Box, Level

Point = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stroke:
    """Base of all strokes. Strokes in a row that share colour and opacity are blended at once."""

    color: RGB | None = None
    """None: the mark's."""
    alpha: Level | None = None
    """Opacity; None: the mark's."""


@dataclass(frozen=True, slots=True)
class Line(Stroke):
    """A line through points."""

    points: Sequence[Point] | Sequence[float]
    """As (x, y), or as x, y, x, y, …"""
    width: int
    round_joints: bool = False


@dataclass(frozen=True, slots=True)
class Rectangle(Stroke):
    """The outline of a box, growing inwards, corners included."""

    box: Box
    width: int


@dataclass(frozen=True, slots=True)
class Ellipse(Stroke):
    """The ellipse in a box: its outline, growing inwards, or its area."""

    box: Box
    width: int = 0
    """0: filled."""


@dataclass(frozen=True, slots=True)
class Area(Stroke):
    """A filled polygon, its outline included."""

    points: Sequence[Point]


@dataclass(frozen=True, slots=True)
class Contour(Stroke):
    """A polygon's outline in one-pixel lines, shifted by -width to +width px both ways."""

    points: Sequence[Point]
    width: int


@dataclass(frozen=True, slots=True)
class Bitmap(Stroke):
    """Pixels that are given one by one, for what is drawn by rules of its own."""

    corner: tuple[int, int]
    """Where its top left pixel lies."""
    size_wh: tuple[int, int]
    pixels: bytes
    """One a pixel, rows first: 0 is left as it is, 255 is drawn on; between, where an edge is
    smooth."""
