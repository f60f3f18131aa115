"""Boxes, polygons and points as plain numbers, in absolute pixels of the original image.

Origin top left, x to the right, y down. Pixel (i, j) covers x from i to i + 1 and y from j to
j + 1, so an image of width w and height h covers x from 0 to w and y from 0 to h.
"""

from collections.abc import Sequence

from vipbench.schema import Box, Polygon


def contains(polygon: Polygon, x: float, y: float) -> bool:
    """Tell whether the point lies inside the polygon, by the even-odd rule.

    Where a polygon crosses itself, parts covered twice are outside. A polygon without area
    contains nothing.
    """
    inside = False
    x0, y0 = polygon[-1]
    for x1, y1 in polygon:
        if (y0 > y) != (y1 > y) and x < (x1 - x0) * (y - y0) / (y1 - y0) + x0:
            inside = not inside
        x0, y0 = x1, y1
    return inside


def bounds(polygons: Sequence[Polygon]) -> Box:
    """Return the smallest box around all vertices of at least one polygon."""
    xs = [x for polygon in polygons for x, _ in polygon]
    ys = [y for polygon in polygons for _, y in polygon]
    return min(xs), min(ys), max(xs), max(ys)


def box_center(box: Box) -> tuple[float, float]:
    """Return the middle (x, y) of the box."""
    x0, y0, x1, y1 = box
    return (x1 + x0) / 2, (y1 + y0) / 2


def box_corners(box: Box) -> Polygon:
    """Return the box as a polygon: top left, bottom left, bottom right, top right."""
    x0, y0, x1, y1 = box
    return (x0, y0), (x0, y1), (x1, y1), (x1, y0)


def is_inverted(box: Box) -> bool:
    """Tell whether a right edge lies left of the left one, or a bottom edge above the top one."""
    x0, y0, x1, y1 = box
    return x1 < x0 or y1 < y0


def intersects_image(box: Box, size_wh: tuple[int, int]) -> bool:
    """Tell whether the box, its edges included, covers any point of a pixel of the image."""
    x0, y0, x1, y1 = box
    width, height = size_wh
    return x0 < width and x1 >= 0 and y0 < height and y1 >= 0


def inside_image(box: Box, size_wh: tuple[int, int]) -> bool:
    """Tell whether no part of the box lies outside the image."""
    x0, y0, x1, y1 = box
    width, height = size_wh
    return x0 >= 0 and y0 >= 0 and x1 <= width and y1 <= height
