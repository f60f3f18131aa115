"""How an outline is drawn besides solid: dashed or double, and several within each other."""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

from vipbench.images.shapes.strokes import Line, Point
from vipbench.schema import Box

DASH, GAP = 3, 2
"""Length of a dash and of the gap behind it, in widths of the line."""
SHORTEST = 2
"""px; the least width that dashes are measured by."""


def dashes(path: Sequence[Point], width: int, *, closed: bool = False) -> Iterator[Line]:
    """Yield the dashes along a path, back to its first point if `closed`.

    There is a whole number of them, so that they meet where a closed path does; an open path ends
    in a dash. A path without length has none.
    """
    points = [*path, path[0]] if closed else list(path)
    lengths = [math.dist(a, b) for a, b in pairwise(points)]
    total, unit = sum(lengths), max(width, SHORTEST)
    period = (DASH + GAP) * unit
    gap = 0 if closed else GAP * unit
    n = max(round((total + gap) / period), 1)
    stretch = total / (n * period - gap)
    if total == 0:
        return
    for i in range(n):
        start = i * period * stretch
        yield Line(_piece(points, lengths, start, start + DASH * unit * stretch), width)


def halves(width: int) -> tuple[int, int]:
    """Return the width of each line of a double one, and how far its inner line lies inside."""
    thin = max(width // 3, 1)
    return thin, max(width - thin, 2 * thin)


def inset(box: Box, by: float) -> Box | None:
    """Return a box within a box; None where nothing is left of it."""
    x0, y0, x1, y1 = box
    if x1 - x0 <= 2 * by or y1 - y0 <= 2 * by:
        return None
    return x0 + by, y0 + by, x1 - by, y1 - by


def _piece(
    points: Sequence[Point], lengths: Sequence[float], start: float, end: float
) -> list[Point]:
    """Return the part of a path between two distances from its beginning."""
    piece: list[Point] = []
    passed = 0.0
    for i, length in enumerate(lengths):
        first, last = max(start - passed, 0.0), min(end - passed, length)
        if length > 0 and first <= last:
            if not piece:
                piece.append(_along(points[i], points[i + 1], first / length))
            piece.append(_along(points[i], points[i + 1], last / length))
        passed += length
    return piece


def _along(start: Point, end: Point, part: float) -> Point:
    return start[0] + (end[0] - start[0]) * part, start[1] + (end[1] - start[1]) * part
