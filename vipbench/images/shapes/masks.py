"""The region itself: mask and mask contour."""

from collections.abc import Iterator
from random import Random

from vipbench.images import geometry
from vipbench.images.shapes.draws import drawn_width
from vipbench.images.shapes.lines import dashes
from vipbench.images.shapes.settings import LineSettings, settings_of
from vipbench.images.shapes.spec import ShapeSpec
from vipbench.images.shapes.strokes import Area, Contour, Stroke
from vipbench.schema import Polygon, Region, VisualPrompt

TRAINING_WIDTHS = (1, 2)
"""As for outlines; a mask has no line, so that its width changes nothing."""


def _mask(region: Region, mark: VisualPrompt, size_wh: tuple[int, int]) -> Iterator[Stroke]:
    """Fill every polygon."""
    for polygon in _polygons(region):
        yield Area(polygon)


def _mask_contour(region: Region, mark: VisualPrompt, size_wh: tuple[int, int]) -> Iterator[Stroke]:
    """Outline every polygon in one-pixel lines, shifted by -width to +width px both ways."""
    width = drawn_width(mark, size_wh, Random(mark.seed), TRAINING_WIDTHS)
    settings = settings_of(mark, LineSettings)
    for index, polygon in enumerate(_polygons(region)):
        bridges = [edge for where, edge in region.bridges if where == index]
        for piece in _pieces(polygon, bridges):
            for line in _nested(piece, width, settings.nested):
                yield from _outline(line, width, settings.line, closed=not bridges)


def _outline(line: Polygon, width: int, kind: str, *, closed: bool) -> Iterator[Stroke]:
    """Draw a line that is closed, or one whose ends are not to be joined."""
    if kind == "dashed":
        yield from dashes(line, 2 * width + 1, closed=closed)
        return
    hollow = (2 * width + 1) // 6 if kind == "double" else None
    yield Contour(line if closed else (*line, *line[::-1]), width, hollow)


def _pieces(polygon: Polygon, bridges: list[int]) -> Iterator[Polygon]:
    """Cut an outline at the edges that lead to its holes."""
    last = 0
    for edge in sorted(bridges):
        yield polygon[last : edge + 1]
        last = edge + 1
    yield (*polygon[last:], polygon[0]) if bridges else polygon


def _nested(line: Polygon, width: int, n: int) -> Iterator[Polygon]:
    """Yield a line and smaller ones of its form within its bounds, while any fits."""
    yield line
    x0, y0, x1, y1 = geometry.bounds([line])
    x, y = geometry.box_center((x0, y0, x1, y1))
    half = min(x1 - x0, y1 - y0) / 2
    for i in range(1, n):
        by = 2 * i * (2 * width + 1)
        if half <= by:
            return
        part = 1 - by / half
        yield tuple((x + (px - x) * part, y + (py - y) * part) for px, py in line)


def _polygons(region: Region) -> tuple[Polygon, ...]:
    """Return the polygons of the region, or its box as one."""
    return region.polygons or (geometry.box_corners(region.box),)


MASK = ShapeSpec(_mask)
MASK_CONTOUR = ShapeSpec(_mask_contour, settings=LineSettings, bare="line")
