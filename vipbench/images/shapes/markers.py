"""A sign at a point, as OpenCV draws it: circle, dot, square, diamond, triangle, cross, star."""

import math
from collections.abc import Iterable, Iterator
from functools import lru_cache

from vipbench.images.shapes import raster
from vipbench.images.shapes.anchors import anchor_pixel
from vipbench.images.shapes.raster import Pixel, Run
from vipbench.images.shapes.settings import MarkerSettings, pixels, settings_of
from vipbench.images.shapes.spec import ShapeSpec
from vipbench.images.shapes.strokes import Bitmap, Stroke
from vipbench.schema import Region, VisualPrompt

THICKNESS = 2
"""Where neither the settings nor the mark say any: that of VPBench."""
STAMPED = 150
"""px from the middle up to which signs are kept for the next image."""
INNER = (3 - math.sqrt(5)) / 2
"""Radius of a star's inner corners, as a part of that of its tips: that of a pentagram."""


def _marker(region: Region, mark: VisualPrompt, size_wh: tuple[int, int]) -> Iterator[Stroke]:
    """Draw the sign around the region's anchor."""
    settings = settings_of(mark, MarkerSettings)
    center = anchor_pixel(region, settings.anchor, size_wh)
    radius = max(pixels(settings.radius, settings.unit, size_wh), 1)
    thickness = THICKNESS if mark.width is None else mark.width
    if settings.thickness is not None:
        thickness = settings.thickness
    width = max(pixels(thickness, settings.unit, size_wh), 1) if thickness else 0
    reach = radius + width + 2
    if reach <= STAMPED and raster.keeps_clear(center, reach, size_wh):
        stamp = _stamp(settings.kind, radius, width)
        corner = center[0] + stamp.corner[0] - reach, center[1] + stamp.corner[1] - reach
        yield Bitmap(corner, stamp.size_wh, stamp.pixels)
    else:
        yield from raster.bitmap(_runs(settings.kind, center, radius, width, size_wh), size_wh)


@lru_cache(maxsize=64)
def _stamp(kind: str, radius: int, width: int) -> Bitmap:
    """Return a sign in the middle of a square: clear of borders it is the same everywhere."""
    reach = radius + width + 2
    square = (2 * reach + 1, 2 * reach + 1)
    [stamp] = raster.bitmap(_runs(kind, (reach, reach), radius, width, square), square)
    return stamp


def _runs(kind: str, center: Pixel, radius: int, width: int, size_wh: Pixel) -> Iterable[Run]:
    """Return the pixels of a sign; width 0: filled."""
    x, y = center
    if kind in ("circle", "dot"):
        return raster.circle(center, radius, width if kind == "circle" else 0, size_wh)
    if kind == "cross":
        lines = ([(x - radius, y), (x + radius, y)], [(x, y - radius), (x, y + radius)])
        return (run for line in lines for run in raster.outline(line, width, size_wh, closed=False))
    corners = [(x + dx, y + dy) for dx, dy in _corners(kind, radius)]
    if width:
        return raster.outline(corners, width, size_wh)
    if kind != "star":
        return raster.convex_area(corners, size_wh)
    arms = [[center, corners[i - 1], corners[i], corners[(i + 1) % 10]] for i in range(0, 10, 2)]
    return (run for arm in arms for run in raster.convex_area(arm, size_wh))


def _corners(kind: str, r: int) -> list[Pixel]:
    """Return the corners of a sign, from its centre."""
    if kind == "square":
        return [(-r, -r), (r, -r), (r, r), (-r, r)]
    if kind == "diamond":
        return [(0, -r), (r, 0), (0, r), (-r, 0)]
    if kind == "triangle":
        return [(0, -r), (-r, r), (r, r)]
    corners = []
    for i in range(10):
        length, angle = r * (INNER if i % 2 else 1), math.pi * i / 5
        corners.append((round(length * math.sin(angle)), round(-length * math.cos(angle))))
    return corners


MARKER = ShapeSpec(_marker, settings=MarkerSettings, bare="kind")
