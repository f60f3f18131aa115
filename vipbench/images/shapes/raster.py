"""Which pixels OpenCV 4 draws: circles and lines of any thickness, 8-connected, not smoothed.

Pillow's lines and discs are others, so that marks which were published as drawn by OpenCV need its
rules, all in whole numbers: OpenCV 4.12, modules/imgproc/src/drawing.cpp. OpenCV's lines are
clipped to the image before they are stepped along, so that pixels depend on its size near a border.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import pairwise

from vipbench.images.shapes.strokes import Bitmap
from vipbench.schema import RGB

Pixel = tuple[int, int]
Run = tuple[int, int, int]
"""Row, first and last column; both are drawn."""

_BITS = 16
ONE = 1 << _BITS
"""A pixel in OpenCV's fixed point."""
_HALF = ONE >> 1


def circle(center: Pixel, radius: int, thickness: int, size_wh: Pixel) -> Iterator[Run]:
    """Yield a circle's outline, or, where `thickness` is 0, its area.

    A line of 2 px or more is that of a polygon.
    """
    if thickness <= 1:
        yield from _midpoint_circle(center, radius, fill=thickness == 0)
        return
    vertices = _circle_vertices(center, radius)
    yield from _joined(vertices, thickness, size_wh, first_end=True)


def outline(
    points: Sequence[Pixel], thickness: int, size_wh: Pixel, *, closed: bool = True
) -> Iterator[Run]:
    """Yield lines from point to point, `thickness` 1 or more, and back to the first if `closed`."""
    chain = [points[-1], *points] if closed else points
    if thickness == 1:
        for start, end in pairwise(chain):
            yield from _thin_line(start, end, size_wh)
        return
    fixed = [(x << _BITS, y << _BITS) for x, y in chain]
    yield from _joined(fixed, thickness, size_wh, first_end=not closed)


def convex_area(points: Sequence[Pixel], size_wh: Pixel) -> Iterator[Run]:
    """Yield a convex polygon, its outline included."""
    for start, end in pairwise([points[-1], *points]):
        yield from _thin_line(start, end, size_wh)
    yield from _scan([(x << _BITS, y << _BITS) for x, y in points], size_wh)


def bitmap(
    runs: Iterable[Run], size_wh: tuple[int, int], color: RGB | None = None
) -> Iterator[Bitmap]:
    """Yield the part of the runs that lies in an image of this size, if there is any."""
    width, height = size_wh
    inside = [
        (row, max(first, 0), min(last, width - 1))
        for row, first, last in runs
        if 0 <= row < height and first < width and last >= 0
    ]
    if not inside:
        return
    left, top = min(first for _, first, _ in inside), min(inside)[0]
    n_columns = max(last for _, _, last in inside) + 1 - left
    n_rows = max(inside)[0] + 1 - top
    drawn = bytearray(n_columns * n_rows)
    for row, first, last in inside:
        start = (row - top) * n_columns - left
        drawn[start + first : start + last + 1] = b"\xff" * (last + 1 - first)
    yield Bitmap((left, top), (n_columns, n_rows), bytes(drawn), color=color)


def keeps_clear(center: Pixel, reach: int, size_wh: Pixel) -> bool:
    """Tell whether nothing that lies within `reach` px of a pixel is clipped to the image."""
    return all(reach < center[axis] < size_wh[axis] - 1 - reach for axis in (0, 1))


def _joined(
    chain: Sequence[Pixel], thickness: int, size_wh: Pixel, *, first_end: bool
) -> Iterator[Run]:
    """Yield thick lines along fixed-point vertices, a disc at each end of them."""
    if first_end:
        yield from _disc(chain[0], thickness)
    for start, end in pairwise(chain):
        yield from _thick_line(start, end, thickness, size_wh)
        yield from _disc(end, thickness)


def _disc(center: Pixel, thickness: int) -> Iterator[Run]:
    x, y = ((value + _HALF) >> _BITS for value in center)
    return _midpoint_circle((x, y), ((thickness << (_BITS - 1)) + _HALF) >> _BITS, fill=True)


def _thick_line(start: Pixel, end: Pixel, thickness: int, size_wh: Pixel) -> Iterator[Run]:
    """Yield the rectangle of which a fixed-point line is the middle; nothing without a length."""
    dx, dy = (start[0] - end[0]) / ONE, (end[1] - start[1]) / ONE
    length_squared = dx * dx + dy * dy
    if length_squared <= 2.0**-52:
        return
    half = ((thickness << (_BITS - 1)) + (thickness & 1) * ONE * 0.5) / math.sqrt(length_squared)
    # Python rounds halves to even, as OpenCV's cvRound does.
    across_x, across_y = round(dy * half), round(dx * half)
    corners = [
        (start[0] + across_x, start[1] + across_y),
        (start[0] - across_x, start[1] - across_y),
        (end[0] - across_x, end[1] - across_y),
        (end[0] + across_x, end[1] + across_y),
    ]
    for first, second in pairwise([corners[-1], *corners]):
        yield from fixed_line(first, second, size_wh)
    yield from _scan(corners, size_wh)


@lru_cache(maxsize=1)
def _sines() -> tuple[float, ...]:
    """Return sines of 0-450 whole degrees as OpenCV tabulates them: seven decimals, float32."""
    import numpy as np

    return tuple(
        float(np.float32(round(math.sin(math.radians(degree)), 7))) for degree in range(451)
    )


def _circle_vertices(center: Pixel, radius: int) -> list[Pixel]:
    """Return the fixed-point polygon that OpenCV draws for a circle: 4 to 72 sides."""
    step = 90 if radius < 3 else 30 if radius < 10 else 18 if radius < 15 else 5
    sines = _sines()
    vertices: list[Pixel] = []
    for degree in range(0, 361, step):
        vertex = (
            _rounded((center[0] << _BITS) + (radius << _BITS) * sines[450 - degree]),
            _rounded((center[1] << _BITS) + (radius << _BITS) * sines[degree]),
        )
        if not vertices or vertex != vertices[-1]:
            vertices.append(vertex)
    return vertices


def _rounded(value: float) -> int:
    """Round to a fixed-point number by OpenCV's way: the pixel first, then what is left."""
    pixel = round(value / ONE) << _BITS
    return pixel + round(value - pixel)


def _midpoint_circle(center: Pixel, radius: int, *, fill: bool) -> Iterator[Run]:
    """Yield a circle's one-pixel outline or its area, by the midpoint algorithm."""
    x, y = center
    error, across, down, plus, minus = 0, radius, 0, 1, 2 * radius - 1
    while across >= down:
        for row, reach in ((down, across), (across, down)):
            for line in (y - row, y + row):
                if fill:
                    yield line, x - reach, x + reach
                else:
                    yield line, x - reach, x - reach
                    yield line, x + reach, x + reach
        down += 1
        error += plus
        plus += 2
        if error > 0:
            error -= minus
            across -= 1
            minus -= 2


def _thin_line(start: Pixel, end: Pixel, size_wh: Pixel) -> Iterator[Run]:
    """Yield a one-pixel line between pixels, by Bresenham's algorithm, from left to right."""
    clipped = _clip(start, end, size_wh)
    if clipped is None:
        return
    (x, y), (x1, y1) = clipped if clipped[0][0] <= clipped[1][0] else clipped[::-1]
    dx, dy = x1 - x, abs(y1 - y)
    step_y = 1 if y1 >= y else -1
    steep = dy > dx
    long, short = (dy, dx) if steep else (dx, dy)
    error = long - 2 * short
    for _ in range(long + 1):
        yield y, x, x
        turns = error < 0
        error += 2 * (long * turns - short)
        x += 1 if not steep or turns else 0
        y += step_y if steep or turns else 0


def fixed_line(start: Pixel, end: Pixel, size_wh: Pixel) -> Iterator[Run]:
    """Yield a one-pixel line between fixed-point ends."""
    clipped = _clip(start, end, (size_wh[0] << _BITS, size_wh[1] << _BITS))
    if clipped is None:
        return
    (x, y), (x1, y1) = clipped
    wide, high = abs(x1 - x), abs(y1 - y)
    flat = wide > high
    if (x1 < x) if flat else (y1 < y):
        (x, y), (x1, y1) = (x1, y1), (x, y)
    end_x = (x1 + _HALF) >> _BITS
    yield (y1 + _HALF) >> _BITS, end_x, end_x
    if flat:
        count, step = (x1 - x) >> _BITS, _divided((y1 - y) * ONE, wide | 1)
        column, row = (x + _HALF) >> _BITS, y + _HALF
        for i in range(count + 1):
            yield (row + i * step) >> _BITS, column + i, column + i
    else:
        count, step = (y1 - y) >> _BITS, _divided((x1 - x) * ONE, high | 1)
        column, row = x + _HALF, (y + _HALF) >> _BITS
        for i in range(count + 1):
            here = (column + i * step) >> _BITS
            yield row + i, here, here


def _divided(value: int, by: int) -> int:
    """Divide, cutting towards zero, as C does."""
    return value // by if value >= 0 else -(-value // by)


def _scan(points: Sequence[Pixel], size_wh: Pixel) -> Iterator[Run]:
    """Yield the rows of a convex polygon of fixed-point vertices, without its outline."""
    rows = [(y + _HALF) >> _BITS for _, y in points]
    columns = [(x + _HALF) >> _BITS for x, _ in points]
    width, height = size_wh
    if max(columns) < 0 or max(rows) < 0 or min(columns) >= width or min(rows) >= height:
        return
    top = min(range(len(points)), key=lambda i: points[i][1])
    sides = [_Side(points, rows, top, 1), _Side(points, rows, top, -1)]
    left_over = len(points)
    for row in range(rows[top], min(max(rows), height - 1) + 1):
        for side in sides:
            if row >= side.end:
                left_over = side.turn(row, left_over)
        if left_over < 0:
            return
        first, last = sorted(side.x for side in sides)
        yield row, (first + _HALF) >> _BITS, (last + _HALF) >> _BITS
        for side in sides:
            side.x += side.slope


class _Side:
    """One side of a convex polygon, followed from its top row by row."""

    def __init__(
        self, points: Sequence[Pixel], rows: Sequence[int], index: int, direction: int
    ) -> None:
        self._points, self._rows = points, rows
        self._index, self._direction = index, direction
        self.x, self.slope, self.end = -ONE, 0, rows[index]

    def turn(self, row: int, left_over: int) -> int:
        """Go on to the edge that leads below `row`; return how many edges are left then."""
        index = self._index
        following = (index + self._direction) % len(self._points)
        while left_over > 0:
            left_over -= 1
            end = self._rows[following]
            if end > row:
                start_x, end_x = self._points[index][0], self._points[following][0]
                self.slope = _divided((end_x - start_x) * 2 + (end - row), 2 * (end - row))
                self.x, self.end, self._index = start_x, end, following
                return left_over
            index, following = following, (following + self._direction) % len(self._points)
        return left_over - 1


def _clip(start: Pixel, end: Pixel, size_wh: Pixel) -> tuple[Pixel, Pixel] | None:
    """Cut a line to an image; None where it does not touch it."""
    right, bottom = size_wh[0] - 1, size_wh[1] - 1
    ends = [start, end]
    for axis, far in ((1, bottom), (0, right)):
        if max(ends[0][axis], ends[1][axis]) < 0 or min(ends[0][axis], ends[1][axis]) > far:
            return None
        for i in (0, 1):
            here = ends[i]
            limit = min(max(here[axis], 0), far)
            if limit != here[axis]:
                (x0, y0), (x1, y1) = ends
                run, rise = (x1 - x0, y1 - y0) if axis == 1 else (y1 - y0, x1 - x0)
                other = here[1 - axis] + int(float(limit - here[axis]) * run / rise)
                ends[i] = (other, limit) if axis == 1 else (limit, other)
    return ends[0], ends[1]
