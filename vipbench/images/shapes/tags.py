"""A tag: a text beside a region or in it, in a box."""

from collections.abc import Iterator
from typing import NamedTuple

from vipbench.errors import DataError, TaskError
from vipbench.images import geometry
from vipbench.images.shapes import hershey, raster
from vipbench.images.shapes.anchors import anchor_pixel, has_extent
from vipbench.images.shapes.draws import ANCHOR, region_bounds
from vipbench.images.shapes.lettering import Lettering, sans
from vipbench.images.shapes.settings import TagSettings, pixels, settings_of
from vipbench.images.shapes.spec import ShapeSpec
from vipbench.images.shapes.strokes import Area, Bitmap, Stroke
from vipbench.schema import RGB, Region, VisualPrompt

Size = tuple[int, int]
Padding = tuple[int, int, int, int]
"""Left, top, right, bottom in px of the image."""

SANS_HEIGHT, HERSHEY_SCALE = 16.0, 0.5
"""Where the settings say no size."""
BLACK, WHITE = (0, 0, 0), (255, 255, 255)
CLEARANCE = 5
"""px under a marker at which `clamp: top` lays the text: VPBench, benchmark_executor.py."""
ROUNDNESS = 0.25
"""Radius of a round box's corners, as a part of its shorter side."""


class _Reference(NamedTuple):
    """What a tag is placed by, in whole px: all four are equal for one pixel."""

    left: int
    top: int
    right: int
    bottom: int


def _tag(region: Region, mark: VisualPrompt, size_wh: tuple[int, int]) -> Iterator[Stroke]:
    """Draw the box, then the text on it."""
    settings = settings_of(mark, TagSettings)
    if not mark.text:
        raise TaskError(
            f"tag of region {list(region.box)}: it says nothing · expected a text · the style says"
            " where it comes from"
        )
    lettering = _lettering(mark.text, settings, size_wh)
    padding = _padding(settings, size_wh)
    settings = settings.model_copy(update={"offset": settings.offset_of(mark.text)})
    left, top = _placed(region, lettering.size_wh, settings, padding, size_wh)
    box = _box(left, top, lettering.size_wh, padding)
    width, height = box[2] + 1 - box[0], box[3] + 1 - box[1]
    if width > size_wh[0] or height > size_wh[1]:
        raise DataError(
            f"tag {mark.text!r} of {width} x {height} px is larger than the image of"
            f" {size_wh[0]} x {size_wh[1]} px · use a smaller size, or leave the image out"
        )
    if settings.clamp == "image" and geometry.intersects_image(region.box, size_wh):
        left += _into(box[0], box[2], size_wh[0])
        top += _into(box[1], box[3], size_wh[1])
        box = _box(left, top, lettering.size_wh, padding)
    box_color = _color(settings.box_color, mark, mark.color)
    if settings.box != "none":
        yield _box_stroke(box, settings, box_color)
    plain = mark.color if settings.box == "none" else _standing_out(box_color)
    yield from lettering.strokes((left, top), size_wh, _color(settings.ink, mark, plain))


class _Smooth(NamedTuple):
    """A text in DejaVu Sans."""

    letters: Lettering

    @property
    def size_wh(self) -> Size:
        return self.letters.size_wh

    def strokes(self, corner: Size, image_wh: Size, ink: RGB) -> Iterator[Stroke]:
        right, down = self.letters.corner
        place = corner[0] + right, corner[1] + down
        yield Bitmap(place, self.letters.bitmap_wh, self.letters.pixels, color=ink)


class _Hershey(NamedTuple):
    """A text as OpenCV writes it: near a border its pixels depend on where that is."""

    text: str
    scale: float

    @property
    def size_wh(self) -> Size:
        return hershey.text_size(self.text, self.scale)

    def strokes(self, corner: Size, image_wh: Size, ink: RGB) -> Iterator[Stroke]:
        base_line = corner[0], corner[1] + self.size_wh[1]
        runs = hershey.text_runs(self.text, self.scale, base_line, image_wh)
        return raster.bitmap(runs, image_wh, ink)


def _lettering(text: str, settings: TagSettings, size_wh: Size) -> _Smooth | _Hershey:
    times = 1.0 if settings.unit == "px" else max(size_wh) / ANCHOR
    if settings.font == "hershey":
        return _Hershey(text, (settings.size or HERSHEY_SCALE) * times)
    return _Smooth(sans(text, max(int((settings.size or SANS_HEIGHT) * times), 1)))


def _padding(settings: TagSettings, size_wh: Size) -> Padding:
    if settings.box == "none":
        return 0, 0, 0, 0
    left, top, right, bottom = (
        pixels(length, settings.unit, size_wh) for length in settings.padding
    )
    return left, top, right, bottom


def _box(left: int, top: int, text_wh: Size, padding: Padding) -> tuple[int, int, int, int]:
    """Return the box around a text: first and last column and row, as OpenCV counts them."""
    right, bottom = left + text_wh[0] + padding[2], top + text_wh[1] + padding[3]
    return left - padding[0], top - padding[1], right, bottom


def _placed(
    region: Region, text_wh: Size, settings: TagSettings, padding: Padding, size_wh: Size
) -> Size:
    """Return the text's left and top, before it is moved into the image."""
    width, height = text_wh
    near = _reference(region, settings, padding, size_wh)
    left = (near.left + near.right) // 2 - width // 2
    top = (near.top + near.bottom) // 2 - height // 2
    if settings.place == "inside":
        left, top = _inside(region, padding)
    elif settings.place == "above":
        top = near.top - height
    elif settings.place == "below":
        top = near.bottom
    elif settings.place == "left":
        left = near.left - width
    elif settings.place == "right":
        left = near.right
    dx, dy = (pixels(shift, settings.unit, size_wh) for shift in settings.offset)
    if settings.clamp == "top" and top + dy < 0:
        radius = 0 if settings.anchor == "box" else _radius(settings, size_wh)
        return left + dx, near.bottom + radius + CLEARANCE
    return left + dx, top + dy


def _reference(
    region: Region, settings: TagSettings, padding: Padding, size_wh: Size
) -> _Reference:
    """Return the anchor's pixel, or the box around the region that its text keeps clear of."""
    if settings.anchor != "box":
        x, y = anchor_pixel(region, settings.anchor, size_wh)
        return _Reference(x, y, x, y)
    x0, y0, x1, y1 = (int(value) for value in region_bounds(region))
    reach = _radius(settings, size_wh) + 2
    return _Reference(
        left=x0 - reach - padding[2],
        top=y0 - reach - padding[3],
        right=x1 + reach + padding[0],
        bottom=y1 + reach + padding[1],
    )


def _radius(settings: TagSettings, size_wh: Size) -> int:
    """Return the radius of the marker beside the tag, as it is drawn; 0 where there is none."""
    return max(pixels(settings.radius, settings.unit, size_wh), 1) if settings.radius else 0


def _inside(region: Region, padding: Padding) -> Size:
    if not has_extent(region):
        raise DataError(
            f"region {list(region.box)}: a tag that is placed 'inside' needs an extent, but this is"
            " a point · use another place, such as 'above'"
        )
    x0, y0, _, _ = region_bounds(region)
    return int(x0) + padding[0], int(y0) + padding[1]


def _into(first: int, last: int, size: int) -> int:
    """Return by how much to move what is at most `size` px long to lie within 0 to `size` - 1."""
    return -first if first < 0 else min(size - 1 - last, 0)


def _color(paint: str, mark: VisualPrompt, auto: RGB) -> RGB:
    if paint == "auto":
        return auto
    if paint == "mark":
        return mark.color
    return int(paint[1:3], 16), int(paint[3:5], 16), int(paint[5:7], 16)


def _standing_out(color: RGB) -> RGB:
    """Return black or white, by the colour's lightness (ITU-R BT.601)."""
    red, green, blue = color
    return BLACK if 299 * red + 587 * green + 114 * blue > 127_500 else WHITE


def _box_stroke(box: tuple[int, int, int, int], settings: TagSettings, color: RGB) -> Stroke:
    left, top, right, bottom = box
    if settings.box == "rectangle":
        corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
        return Area(corners, color=color, alpha=settings.box_alpha)
    from PIL import Image, ImageDraw

    size_wh = (right + 1 - left, bottom + 1 - top)
    image = Image.new("L", size_wh)
    radius = int(ROUNDNESS * min(size_wh))
    ImageDraw.Draw(image).rounded_rectangle((0, 0, right - left, bottom - top), radius, fill=255)
    return Bitmap((left, top), size_wh, image.tobytes(), color=color, alpha=settings.box_alpha)


TAG = ShapeSpec(_tag, settings=TagSettings, bare="place")
