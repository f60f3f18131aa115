"""Marks as drawn by hand, somewhere in the region or beside it: point, scribble, arrow."""

import math
from collections.abc import Iterator
from functools import lru_cache
from random import Random

import numpy as np

from vipbench.images import geometry
from vipbench.images.shapes.draws import ANCHOR, drawn_width, polar, random_point
from vipbench.images.shapes.lines import dashes, halves
from vipbench.images.shapes.settings import ShaftSettings, settings_of
from vipbench.images.shapes.spec import ShapeSpec
from vipbench.images.shapes.strokes import Area, Ellipse, Line, Point, Stroke
from vipbench.schema import Region, VisualPrompt

POINT_RADII = (5, 20)
"""In px at a 336-px long side, lowest and highest, that the official code draws."""
SCRIBBLE_WIDTHS = (2, 12)
ARROW_WIDTHS = (1, 6)


def _point(region: Region, mark: VisualPrompt, size_wh: tuple[int, int]) -> Iterator[Stroke]:
    """Fill a disc near the middle of one polygon; in training half of the discs are ovals."""
    rng = Random(mark.seed)
    x, y = _point_center(region, rng)
    radius = drawn_width(mark, size_wh, rng, POINT_RADII)
    aspect = 1.0
    if mark.width is None and rng.random() >= 0.5:
        aspect = rng.uniform(0.5, 2.0)
    radius_x, radius_y = radius * aspect, radius / aspect
    yield Ellipse((x - radius_x, y - radius_y, x + radius_x, y + radius_y))


def _scribble(region: Region, mark: VisualPrompt, size_wh: tuple[int, int]) -> Iterator[Stroke]:
    """Draw a cubic Bezier curve with four random control points in one polygon."""
    rng = Random(mark.seed)
    polygons = (rng.choice(region.polygons),) if region.polygons else ()
    controls = [random_point(region.box, polygons, rng) for _ in range(4)]
    width = drawn_width(mark, size_wh, rng, SCRIBBLE_WIDTHS)
    weights = _bezier_weights(int(1000 * max(size_wh) / ANCHOR))
    # Summed one after another: a matrix product would round differently from machine to machine.
    terms = [w[:, None] * np.array(control) for w, control in zip(weights, controls, strict=True)]
    curve = terms[0] + terms[1] + terms[2] + terms[3]
    yield Line(curve.ravel().tolist(), width)


def _arrow(region: Region, mark: VisualPrompt, size_wh: tuple[int, int]) -> Iterator[Stroke]:
    """Draw an arrow at a random angle whose tip lies within a quarter of the box of its centre."""
    rng = Random(mark.seed)
    x0, y0, x1, y1 = region.box
    long_side = max(size_wh)
    x, y = geometry.box_center(region.box)
    length = rng.uniform(0.8 * min(x1 - x0, y1 - y0), max(int(50 * long_side / ANCHOR), 1))
    angle = rng.uniform(0, 2 * math.pi)
    x += rng.uniform(-0.25, 0.25) * (x1 - x0)
    y += rng.uniform(-0.25, 0.25) * (y1 - y0)
    head = max(rng.uniform(0.2, 0.5) * length, int(6 * long_side / ANCHOR))
    shaft = [(x, y), polar((x, y), length - head, angle)]
    if rng.random() < 0.5:  # bent a little, as by hand; not at all in images under 336 px
        bend = int(long_side / ANCHOR)
        middle_x, middle_y = (x + shaft[1][0]) / 2, (y + shaft[1][1]) / 2
        middle = middle_x + rng.uniform(-5, 5) * bend, middle_y + rng.uniform(-5, 5) * bend
        shaft.insert(1, middle)
    filled = rng.random() < 0.5
    barbs = [polar((x, y), head, angle + turn) for turn in (math.pi / 3, -math.pi / 3)]
    corners = [barbs[0], (x, y), barbs[1]]
    width = drawn_width(mark, size_wh, rng, ARROW_WIDTHS)
    yield from _shaft(shaft, width, settings_of(mark, ShaftSettings).line)
    yield Area(corners) if filled else Line(corners, width)


def _shaft(path: list[Point], width: int, line: str) -> Iterator[Stroke]:
    """Draw the line of an arrow; a double one is two beside each other."""
    if line == "dashed":
        yield from dashes(path, width)
    elif line == "double" and path[0] != path[-1]:
        thin, apart = halves(width)
        (x0, y0), (x1, y1) = path[0], path[-1]
        length = math.dist(path[0], path[-1])
        dx, dy = (y0 - y1) / length * apart / 2, (x1 - x0) / length * apart / 2
        for side in (-1, 1):
            yield Line([(x + side * dx, y + side * dy) for x, y in path], thin)
    else:
        yield Line(path, width)


def _point_center(region: Region, rng: Random) -> Point:
    """Return a point near the middle of one random polygon, or the middle of the box.

    Normal around the middle of the polygon's bounds; an eighth of their width and height is the
    *variance*, as in the official code. Ten tries to hit the polygon, then any point is taken.
    """
    if not region.polygons:
        return geometry.box_center(region.box)
    polygon = rng.choice(region.polygons)
    x0, y0, x1, y1 = geometry.bounds([polygon])
    middle_x, middle_y = geometry.box_center((x0, y0, x1, y1))
    sigma_x, sigma_y = math.sqrt((x1 - x0) / 8), math.sqrt((y1 - y0) / 8)
    for _ in range(10):
        x, y = rng.gauss(middle_x, sigma_x), rng.gauss(middle_y, sigma_y)
        if geometry.contains(polygon, x, y):
            return x, y
    return rng.gauss(middle_x, sigma_x), rng.gauss(middle_y, sigma_y)


@lru_cache(maxsize=64)
def _bezier_weights(n_points: int) -> tuple[np.ndarray, ...]:
    """Return for each control point of a cubic Bezier curve its weights (n_points,)."""
    t = np.linspace(0, 1, n_points)
    s = 1 - t
    # Products, as powers are not rounded alike on all machines.
    return s * s * s, 3 * (s * s) * t, 3 * s * (t * t), t * t * t


POINT = ShapeSpec(_point)
SCRIBBLE = ShapeSpec(_scribble)
ARROW = ShapeSpec(_arrow, settings=ShaftSettings, bare="line")
