"""Outlines around a region or in it: rectangle, ellipse, triangle."""

import math
from collections.abc import Iterator
from random import Random

from vipbench.images import geometry
from vipbench.images.shapes.draws import drawn_width, random_point, region_bounds
from vipbench.images.shapes.spec import ShapeSpec
from vipbench.images.shapes.strokes import Ellipse, Line, Point, Rectangle, Stroke
from vipbench.schema import Region, VisualPrompt

TRAINING_WIDTHS = (2, 8)
"""Line width in px at a 336-px long side, lowest and highest, that the official code draws."""
TRIANGLE_TRIES = 1000
"""Triangles drawn before one with a wide angle is taken; the official code tries for ever."""


def _rectangle(region: Region, mark: VisualPrompt, size_wh: tuple[int, int]) -> Iterator[Stroke]:
    """Outline the box, the stroke growing inwards, corners included."""
    yield Rectangle(region.box, drawn_width(mark, size_wh, Random(mark.seed), TRAINING_WIDTHS))


def _ellipse(region: Region, mark: VisualPrompt, size_wh: tuple[int, int]) -> Iterator[Stroke]:
    """Outline an ellipse around the bounds of the region, up to half as large again."""
    rng = Random(mark.seed)
    x0, y0, x1, y1 = region_bounds(region)
    ratio = rng.uniform(1, 1.5)
    half_x, half_y = (x1 - x0) * ratio / 2, (y1 - y0) * ratio / 2
    x, y = geometry.box_center((x0, y0, x1, y1))
    box = (x - half_x, y - half_y, x + half_x, y + half_y)
    yield Ellipse(box, drawn_width(mark, size_wh, rng, TRAINING_WIDTHS))


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
    yield Line([a, b, c, a], width, round_joints=True)


def _widest_angle(a: Point, b: Point, c: Point) -> float:
    """Return the widest angle of a triangle in degrees; 180 where two corners coincide."""
    sides = sorted((math.dist(a, b), math.dist(b, c), math.dist(c, a)))
    if sides[0] == 0:
        return 180.0
    cosine = (sides[0] ** 2 + sides[1] ** 2 - sides[2] ** 2) / (2 * sides[0] * sides[1])
    return math.degrees(math.acos(min(max(cosine, -1.0), 1.0)))


RECTANGLE = ShapeSpec(_rectangle)
ELLIPSE = ShapeSpec(_ellipse)
TRIANGLE = ShapeSpec(_triangle)
