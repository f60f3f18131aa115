"""The pixel that a marker or a tag belongs to."""

from functools import lru_cache

from vipbench.errors import DataError
from vipbench.images import geometry
from vipbench.images.shapes.settings import Anchor
from vipbench.schema import Polygon, Region, VisualPrompt

Pixel = tuple[int, int]


def anchor_pixel(region: Region, anchor: Anchor, size_wh: tuple[int, int]) -> Pixel:
    """Return a region's anchor in px of the image; fractions are cut off towards zero.

    Raises:
        DataError: `point`, but the region has an extent.
    """
    if anchor == "mask" and region.polygons:
        deepest = deepest_pixel(region.polygons, size_wh)
        if deepest is not None:
            return deepest
    if anchor == "point" and has_extent(region):
        raise DataError(
            f"region {list(region.box)}: its extent is {_extent(region)} px · the style's anchor is"
            " 'point', which needs points · use the anchor 'center' or 'mask'"
        )
    x, y = geometry.box_center(region.box)
    return int(x), int(y)


def has_extent(region: Region) -> bool:
    """Tell whether a region is more than a point."""
    x0, y0, x1, y1 = region.box
    return bool(region.polygons) or x1 > x0 or y1 > y0


def follows_outline(mark: VisualPrompt) -> bool:
    """Tell whether a mark looks at its region's outline, where there is one.

    A rectangle looks at the box alone; so does what stands at a point, but for anchor `mask`.
    """
    at_a_point = mark.shape in ("marker", "tag") and mark.settings.get("anchor") != "mask"
    return mark.shape != "rectangle" and not at_a_point


@lru_cache(maxsize=16)
def deepest_pixel(polygons: tuple[Polygon, ...], size_wh: tuple[int, int]) -> Pixel | None:
    """Return the pixel of a mask that is farthest from its edge; None where it has none.

    The distance is Euclidean, to the nearest pixel outside, and all around the image is outside. Of
    several such pixels the middle one in the order of rows is taken. As Set-of-Mark does it
    (microsoft/SoM, task_adapter/utils/visualizer.py).
    """
    import numpy as np
    from PIL import Image, ImageDraw
    from scipy.ndimage import distance_transform_edt

    x0, y0, x1, y1 = geometry.bounds(polygons)
    left, top = max(int(x0) - 1, 0), max(int(y0) - 1, 0)
    right, bottom = min(int(x1) + 2, size_wh[0]), min(int(y1) + 2, size_wh[1])
    if left >= right or top >= bottom:
        return None
    mask = Image.new("L", (right, bottom))
    for polygon in polygons:
        ImageDraw.Draw(mask).polygon(polygon, fill=255)
    inside = np.pad(np.asarray(mask, bool)[top:, left:], 1)
    if not inside.any():
        return None
    distances = distance_transform_edt(inside)
    rows, columns = np.nonzero(distances == distances.max())
    middle = len(rows) // 2
    return int(columns[middle]) - 1 + left, int(rows[middle]) - 1 + top


def _extent(region: Region) -> str:
    x0, y0, x1, y1 = geometry.bounds(region.polygons) if region.polygons else region.box
    return f"{x1 - x0:g} x {y1 - y0:g}"
