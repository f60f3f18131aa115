"""Outlines around a region or in it: rectangle, ellipse, triangle."""

import math
from collections.abc import Iterator
from random import Random

from vipbench.images import geometry
from vipbench.images.shapes.draws import drawn_width, random_point, region_bounds
from vipbench.images.shapes.lines import dashes, halves, inset
from vipbench.images.shapes.settings import LineSettings, settings_of
from vipbench.images.shapes.spec import ShapeSpec
from vipbench.images.shapes.strokes import Ellipse, Line, Point, Rectangle, Stroke
from vipbench.schema import Box, Region, VisualPrompt

TRAINING_WIDTHS = (2, 8)
"""Line width in px at a 336-px long side, lowest and highest, that the official code draws."""
ELLIPSE_POINTS = 360
"""Of a dashed ellipse."""
Triangle = tuple[Point, Point, Point]
TRIANGLE_TRIES = 1000
"""Triangles drawn before one with a wide angle is taken; the official code tries for ever."""


def _rectangle(region: Region, mark: VisualPrompt, size_wh: tuple[int, int]) -> Iterator[Stroke]:
    """Outline the box, the stroke growing inwards, corners included."""
    width = drawn_width(mark, size_wh, Random(mark.seed), TRAINING_WIDTHS)
    settings = settings_of(mark, LineSettings)
    for box in _nested(region.box, width, settings.nested):
        if settings.line == "dashed":
            middle = inset(box, (width - 1) / 2) or box
            yield from dashes(geometry.box_corners(middle), width, closed=True)
            continue
        for line_box, line_width in _lines(box, width, settings):
            yield Rectangle(line_box, line_width)


def _ellipse(region: Region, mark: VisualPrompt, size_wh: tuple[int, int]) -> Iterator[Stroke]:
    """Outline an ellipse around the bounds of the region, up to half as large again."""
    rng = Random(mark.seed)
    x0, y0, x1, y1 = region_bounds(region)
    ratio = rng.uniform(1, 1.5)
    half_x, half_y = (x1 - x0) * ratio / 2, (y1 - y0) * ratio / 2
    x, y = geometry.box_center((x0, y0, x1, y1))
    box = (x - half_x, y - half_y, x + half_x, y + half_y)
    width = drawn_width(mark, size_wh, rng, TRAINING_WIDTHS)
    settings = settings_of(mark, LineSettings)
    for each in _nested(box, width, settings.nested):
        if settings.line == "dashed":
            yield from dashes(_around(inset(each, width / 2) or each), width, closed=True)
            continue
        for line_box, line_width in _lines(each, width, settings):
            yield Ellipse(line_box, line_width)


def _triangle(region: Region, mark: VisualPrompt, size_wh: tuple[int, int]) -> Iterator[Stroke]:
    """Join three random points of the region, no angle wider than 150 degrees if possible."""
    rng = Random(mark.seed)
    x0, y0, x1, y1 = region_bounds(region)
    # In a region without extent every triangle is flat.
    tries = TRIANGLE_TRIES if x1 > x0 and y1 > y0 else 1
    for _ in range(tries):
        a, b, c = (random_point(region.box, region.polygons, rng) for _ in range(3))
        if _widest_angle(a, b, c) <= 150:
            break
    width = drawn_width(mark, size_wh, rng, TRAINING_WIDTHS)
    settings = settings_of(mark, LineSettings)
    for i in range(settings.nested):
        by = 2.0 * i * width
        corners = _smaller((a, b, c), by)
        if corners is None:
            return
        if settings.line == "dashed":
            yield from dashes(corners, width, closed=True)
            continue
        thin, inside = halves(width)
        lines = {"solid": [(0.0, width)], "double": [(0.0, thin), (float(inside), thin)]}
        for shift, line_width in lines[settings.line]:
            shifted = _smaller((a, b, c), by + shift)
            if shifted is not None:
                yield Line([*shifted, shifted[0]], line_width, round_joints=True)


def _nested(box: Box, width: int, n: int) -> Iterator[Box]:
    """Yield a box and those within it, as far apart as the line is wide; fewer where none fits."""
    yield box
    for i in range(1, n):
        inner = inset(box, 2 * i * width)
        if inner is None:
            return
        yield inner


def _lines(box: Box, width: int, settings: LineSettings) -> Iterator[tuple[Box, int]]:
    """Yield the boxes of a solid or double line, which grows inwards, and their widths."""
    if settings.line == "solid":
        yield box, width
        return
    thin, inside = halves(width)
    yield box, thin
    inner = inset(box, inside)
    if inner is not None:
        yield inner, thin


def _around(box: Box) -> list[Point]:
    """Return points along the ellipse in a box."""
    x, y = geometry.box_center(box)
    angles = [math.tau * i / ELLIPSE_POINTS for i in range(ELLIPSE_POINTS)]
    half_x, half_y = (box[2] - box[0]) / 2, (box[3] - box[1]) / 2
    return [(x + half_x * math.cos(angle), y + half_y * math.sin(angle)) for angle in angles]


def _smaller(corners: Triangle, by: float) -> Triangle | None:
    """Move the sides of a triangle inwards (out, below 0); None where nothing is left of it."""
    a, b, c = corners
    if by == 0:
        return corners
    sides = math.dist(b, c), math.dist(c, a), math.dist(a, b)
    twice_area = abs((b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]))
    inner_radius = twice_area / sum(sides) if any(sides) else 0.0
    if inner_radius <= by or inner_radius == 0:
        return None
    x, y = (
        sum(side * corner[axis] for side, corner in zip(sides, corners, strict=True)) / sum(sides)
        for axis in (0, 1)
    )
    part = 1 - by / inner_radius
    a, b, c = ((x + (px - x) * part, y + (py - y) * part) for px, py in corners)
    return a, b, c


def _widest_angle(a: Point, b: Point, c: Point) -> float:
    """Return the widest angle of a triangle in degrees; 180 where two corners coincide."""
    sides = sorted((math.dist(a, b), math.dist(b, c), math.dist(c, a)))
    if sides[0] == 0:
        return 180.0
    cosine = (sides[0] ** 2 + sides[1] ** 2 - sides[2] ** 2) / (2 * sides[0] * sides[1])
    return math.degrees(math.acos(min(max(cosine, -1.0), 1.0)))


RECTANGLE = ShapeSpec(_rectangle, settings=LineSettings, bare="line")
ELLIPSE = ShapeSpec(_ellipse, settings=LineSettings, bare="line")
TRIANGLE = ShapeSpec(_triangle, settings=LineSettings, bare="line")
