"""What is around the regions of a question, taken away: grey, blurred, or cut off.

Such a control removes context rather than marking anything. The pixels of a region are those of its
filled outline, else those whose left and upper edge lies in its box: x0 <= x < x1.
"""

import math
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFilter

from vipbench.errors import DataError
from vipbench.images import geometry
from vipbench.images.draw import Footprint
from vipbench.schema import Region, Surround


def has_extent(region: Region) -> bool:
    """Say whether a region covers any area."""
    x0, y0, x1, y1 = region.box
    return bool(region.polygons) or (x1 > x0 and y1 > y0)


def subdue(image: Image.Image, surround: Surround) -> Image.Image:
    """Return an RGB image with all that is outside of the regions grey or blurred.

    Grey has the luminance of ITU-R BT.601; the blur is Gaussian, of standard deviation
    `amount` times the long side. `crop` leaves the image as it is.
    """
    if surround.kind == "crop":
        return image
    if surround.kind == "spotlight":
        outside = image.convert("L").convert("RGB")
    else:
        sigma = surround.amount * max(image.size)
        outside = image.filter(ImageFilter.GaussianBlur(sigma))
    return Image.composite(image, outside, _inside(image.size, surround.regions))


def crop_box(size_wh: tuple[int, int], surround: Surround) -> tuple[int, int, int, int]:
    """Return what `crop` leaves of an image: x0, y0, x1, y1 in whole px, x1 and y1 excluded.

    The box around all regions, each side at least `least` px, then `amount`
    times as wide and as high around its middle; what lies beyond the image is left out.

    Raises:
        DataError: Nothing of it lies in the image.
    """
    x0, y0, x1, y1 = geometry.bounds([geometry.box_corners(r.box) for r in surround.regions])
    x, y = geometry.box_center((x0, y0, x1, y1))
    half_x = max(x1 - x0, surround.least) * surround.amount / 2
    half_y = max(y1 - y0, surround.least) * surround.amount / 2
    left, top = max(math.floor(x - half_x), 0), max(math.floor(y - half_y), 0)
    right, bottom = min(math.ceil(x + half_x), size_wh[0]), min(math.ceil(y + half_y), size_wh[1])
    if left >= right or top >= bottom:
        raise DataError(
            f"crop around {[x0, y0, x1, y1]}: no part of it lies in the image of {size_wh[0]} x"
            f" {size_wh[1]} px · correct the boxes in the data"
        )
    return left, top, right, bottom


def cut(mark: Footprint, box: tuple[int, int, int, int]) -> Footprint | None:
    """Return what a crop leaves of a mark, in px of the crop; None: nothing."""
    left, top = max(mark.box[0], box[0]), max(mark.box[1], box[1])
    right, bottom = min(mark.box[2], box[2]), min(mark.box[3], box[3])
    if left >= right or top >= bottom:
        return None
    x, y = mark.box[:2]
    part = mark.mask.crop((left - x, top - y, right - x, bottom - y))
    inner = part.getbbox()
    if inner is None:
        return None
    dx, dy = left - box[0], top - box[1]
    place = (inner[0] + dx, inner[1] + dy, inner[2] + dx, inner[3] + dy)
    return Footprint(place, part.crop(inner))


def n_px(marks: Sequence[Footprint | None]) -> list[int | None]:
    """Count the pixels of each mark."""
    return [mark.mask.histogram()[255] if mark else None for mark in marks]


def _inside(size_wh: tuple[int, int], regions: Sequence[Region]) -> Image.Image:
    """Return mode L of the image's size: 255 inside any region, else 0."""
    mask = Image.new("L", size_wh)
    draw = ImageDraw.Draw(mask)
    for region in regions:
        for polygon in region.polygons:
            draw.polygon(polygon, fill=255)
        if not region.polygons:
            x0, y0, x1, y1 = (math.ceil(value) for value in region.box)
            if x1 > x0 and y1 > y0:
                draw.rectangle((x0, y0, x1 - 1, y1 - 1), fill=255)
    return mask
