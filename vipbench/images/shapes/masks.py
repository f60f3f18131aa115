"""The region itself: mask and mask contour."""

from collections.abc import Iterator
from random import Random

from vipbench.images import geometry
from vipbench.images.shapes.draws import drawn_width
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
    for index, polygon in enumerate(_polygons(region)):
        for piece in _pieces(polygon, [edge for where, edge in region.bridges if where == index]):
            yield Contour(piece, width)


def _pieces(polygon: Polygon, bridges: list[int]) -> Iterator[Polygon]:
    """Cut an outline at the edges that lead to its holes; each piece goes there and back."""
    if not bridges:
        yield polygon
    last = 0
    for edge in sorted(bridges):
        yield _there_and_back(polygon[last : edge + 1])
        last = edge + 1
    if bridges:
        yield _there_and_back((*polygon[last:], polygon[0]))


def _there_and_back(line: Polygon) -> Polygon:
    return (*line, *line[::-1])


def _polygons(region: Region) -> tuple[Polygon, ...]:
    """Return the polygons of the region, or its box as one."""
    return region.polygons or (geometry.box_corners(region.box),)


MASK = ShapeSpec(_mask)
MASK_CONTOUR = ShapeSpec(_mask_contour)
