"""Draw visual prompts on an image: the strokes of a shape become pixels.

Marks are drawn at the original resolution, one after another. Strokes of one colour and opacity
are a layer, blended over the image as a whole, so that those which cross are not darker there; as
in the official ViP-LLaVA code (`llava/visual_prompt_generator.py`, function `image_blending`). What
a mark consists of is said by its shape, in `images/shapes/`.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import groupby, product
from typing import Any, NamedTuple

from PIL import Image, ImageChops, ImageDraw

from vipbench.images.shapes.registry import find_shape
from vipbench.images.shapes.strokes import (
    Area,
    Bitmap,
    Contour,
    Ellipse,
    Line,
    Point,
    Rectangle,
    Stroke,
)
from vipbench.schema import RGB, VisualPrompt

_OPAQUE = 255


class Footprint(NamedTuple):
    """The pixels of an image that one mark is drawn on, whatever its opacity."""

    box: tuple[int, int, int, int]
    """The smallest box around them: x0, y0, x1, y1 in px of the image, x1 and y1 excluded."""
    mask: Image.Image
    """Mode L, of the box's size: 255 where the mark is, else 0."""


class _Layer(NamedTuple):
    """Strokes of one colour."""

    color: RGB
    alpha: int
    footprint: Footprint
    """Its mask may have values between, where an edge is smooth."""


def render(image: Image.Image, prompts: Sequence[VisualPrompt]) -> Image.Image:
    """Return a new RGB image with the marks on it, drawn in order.

    `image` has any mode and is left as it is; boxes and polygons of `prompts` are in its pixels
    and may reach beyond it. The same image and prompts give the same pixels in every process.

    Raises:
        ValueError: The box that a rectangle or an ellipse is drawn from is inverted.
        DataError: A region does not suit its mark, or the image is too small for it.
        TaskError: A shape is unknown here, or cannot be drawn with such settings.
    """
    result = image.convert("RGB")
    for _ in draw_marks(result, prompts):
        pass
    return result


def footprint(size_wh: tuple[int, int], prompt: VisualPrompt) -> Footprint | None:
    """Return where a mark is drawn on an image of this size; None where it lies wholly outside.

    Raises:
        ValueError: As `render`.
        DataError: As `render`.
        TaskError: As `render`.
    """
    return next(footprints(size_wh, [prompt]))


def footprints(
    size_wh: tuple[int, int], prompts: Iterable[VisualPrompt]
) -> Iterator[Footprint | None]:
    """Yield where each of several marks is drawn on an image of this size; see `footprint`."""
    mask: Image.Image | None = None
    for prompt in prompts:
        mask = mask or Image.new("L", size_wh)
        yield _union(list(_layers(mask, prompt)))


def draw_mark(image: Image.Image, prompt: VisualPrompt) -> Footprint | None:
    """Draw one mark on an RGB image, in place, and return its footprint; see `draw_marks`."""
    return next(draw_marks(image, [prompt]))


def draw_marks(image: Image.Image, prompts: Iterable[VisualPrompt]) -> Iterator[Footprint | None]:
    """Draw marks on an RGB image, in place and in order, and yield the footprint of each.

    Raises:
        ValueError: As `render`.
        DataError: As `render`.
        TaskError: As `render`.
    """
    mask: Image.Image | None = None
    for prompt in prompts:
        mask = mask or Image.new("L", image.size)
        layers = list(_layers(mask, prompt))
        for color, alpha, (box, drawn) in layers:
            # Opaque ink needs no table: pasted as it is, it gives the same pixels.
            shown = color if alpha == _OPAQUE else image.crop(box).point(_blend_table(color, alpha))
            image.paste(shown, box, drawn)
        yield _union(layers)


def _layers(mask: Image.Image, prompt: VisualPrompt) -> Iterator[_Layer]:
    """Draw the strokes of a mark, those in a row that share colour and opacity on one mask.

    `mask` is of the image's size and empty, and left so: all marks of an image are drawn on it, and
    only what the strokes reach is looked at and emptied again.
    """
    strokes = find_shape(prompt.shape).strokes(prompt.region, prompt, mask.size)
    for (color, alpha), group in groupby(strokes, lambda stroke: _ink(stroke, prompt)):
        layer = list(group)
        for stroke in layer:
            _PAINT[type(stroke)](mask, stroke)
        reached = _reach(layer, mask.size)
        if reached is None:
            continue
        drawn = mask.crop(reached)
        mask.paste(0, reached)
        box = drawn.getbbox()
        if box is not None:
            left, top = reached[:2]
            place = (box[0] + left, box[1] + top, box[2] + left, box[3] + top)
            yield _Layer(color, alpha, Footprint(place, drawn.crop(box)))


def _reach(strokes: Iterable[Stroke], size_wh: tuple[int, int]) -> tuple[int, int, int, int] | None:
    """Return a box around all pixels of the image that strokes may have; None: there are none."""
    boxes = [stroke.reach() for stroke in strokes]
    left, top = (max(math.floor(min(box[axis] for box in boxes)), 0) for axis in (0, 1))
    right, bottom = (
        min(math.ceil(max(box[2 + axis] for box in boxes)), size_wh[axis]) for axis in (0, 1)
    )
    return (left, top, right, bottom) if left < right and top < bottom else None


def _ink(stroke: Stroke, prompt: VisualPrompt) -> tuple[RGB, int]:
    alpha = prompt.alpha if stroke.alpha is None else stroke.alpha
    return stroke.color or prompt.color, alpha


def _union(layers: Sequence[_Layer]) -> Footprint | None:
    """Return all pixels of a mark's layers."""
    if len(layers) <= 1:
        return layers[0].footprint if layers else None
    boxes = [layer.footprint.box for layer in layers]
    left, top = min(box[0] for box in boxes), min(box[1] for box in boxes)
    right, bottom = max(box[2] for box in boxes), max(box[3] for box in boxes)
    union = Image.new("L", (right - left, bottom - top))
    for _, _, (box, mask) in layers:
        place = (box[0] - left, box[1] - top, box[2] - left, box[3] - top)
        union.paste(ImageChops.lighter(union.crop(place), mask), place)
    return Footprint((left, top, right, bottom), union)


def _paint_line(mask: Image.Image, line: Line) -> None:
    joint = "curve" if line.round_joints else None
    ImageDraw.Draw(mask).line(line.points, fill=255, width=line.width, joint=joint)


def _paint_rectangle(mask: Image.Image, rectangle: Rectangle) -> None:
    ImageDraw.Draw(mask).rectangle(rectangle.box, outline=255, width=rectangle.width)


def _paint_ellipse(mask: Image.Image, ellipse: Ellipse) -> None:
    if ellipse.width:
        ImageDraw.Draw(mask).ellipse(ellipse.box, outline=255, width=ellipse.width)
    else:
        ImageDraw.Draw(mask).ellipse(ellipse.box, fill=255)


def _paint_area(mask: Image.Image, area: Area) -> None:
    ImageDraw.Draw(mask).polygon(area.points, fill=255)


def _paint_contour(mask: Image.Image, contour: Contour) -> None:
    _paint_shifted(mask, contour.points, contour.width, 255)
    if contour.hollow is not None:
        _paint_shifted(mask, contour.points, contour.hollow, 0)


def _paint_shifted(mask: Image.Image, points: Sequence[Point], width: int, value: int) -> None:
    columns = _shifted_pixels([x for x, _ in points], width)
    rows = _shifted_pixels([y for _, y in points], width)
    for (xs, shifts_x), (ys, shifts_y) in product(columns, rows):
        _stamp_outline(mask, (xs, ys), (shifts_x, shifts_y), value)


def _paint_bitmap(mask: Image.Image, bitmap: Bitmap) -> None:
    pixels = Image.frombytes("L", bitmap.size_wh, bitmap.pixels)
    mask.paste(255, bitmap.corner, pixels)


_PAINT: dict[type[Stroke], Callable[[Image.Image, Any], None]] = {
    Line: _paint_line,
    Rectangle: _paint_rectangle,
    Ellipse: _paint_ellipse,
    Area: _paint_area,
    Contour: _paint_contour,
    Bitmap: _paint_bitmap,
}


@lru_cache(maxsize=256)
def _blend_table(color: RGB, alpha: int) -> list[int]:
    """Return for R, G and B in turn what values 0-255 become under the colour at this opacity.

    Taken from Pillow itself, so that rounding is that of `alpha_composite` over a whole layer.
    """
    ramp = Image.frombytes("RGB", (256, 1), bytes(v for v in range(256) for _ in range(3)))
    layer = Image.new("RGBA", (256, 1), (*color, alpha))
    blended = Image.alpha_composite(ramp.convert("RGBA"), layer).convert("RGB")
    return [value for channel in blended.split() for value in channel.tobytes()]


def _shifted_pixels(values: list[float], width: int) -> list[tuple[tuple[int, ...], range]]:
    """Return how coordinates fall on pixels when shifted by -width to +width px.

    Each item holds pixels before the shift, and the range of shifts that they are right for.
    Pillow cuts fractions off towards zero, so that a fraction moves where a shift changes sign:
    one item where all coordinates keep clear of zero, a few otherwise.
    """
    shifts = range(-width, width + 1)
    items = []
    for pixels, group in groupby(shifts, lambda s: tuple(int(v + s) - s for v in values)):
        members = list(group)
        items.append((pixels, range(members[0], members[-1] + 1)))
    return items


def _stamp_outline(
    mask: Image.Image,
    vertices_xy: tuple[tuple[int, ...], tuple[int, ...]],
    shifts_xy: tuple[range, range],
    value: int,
) -> None:
    """Draw a polygon's outline at every shift."""
    (xs, ys), (shifts_x, shifts_y) = vertices_xy, shifts_xy
    # Only what some shift brings into the image is drawn.
    left = max(min(xs), -shifts_x[-1])
    top = max(min(ys), -shifts_y[-1])
    right = min(max(xs), mask.width - 1 - shifts_x[0])
    bottom = min(max(ys), mask.height - 1 - shifts_y[0])
    if left > right or top > bottom:
        return
    outline = Image.new("L", (right - left + 1, bottom - top + 1))
    vertices = [(x - left, y - top) for x, y in zip(xs, ys, strict=True)]
    ImageDraw.Draw(outline).polygon(vertices, outline=255)
    thick = _smear(_smear(outline, len(shifts_x), (1, 0)), len(shifts_y), (0, 1))
    mask.paste(value, (left + shifts_x[0], top + shifts_y[0]), thick)


def _smear(image: Image.Image, n: int, step_xy: tuple[int, int]) -> Image.Image:
    """Return what `n` copies of a mask cover, each a step further right or down than the last."""
    x, y = step_xy
    smeared = Image.new("L", (image.width + (n - 1) * x, image.height + (n - 1) * y))
    smeared.paste(image)
    n_there = 1
    while n_there < n:  # twice as many each time
        reached = image.width + (n_there - 1) * x, image.height + (n_there - 1) * y
        n_more = min(n_there, n - n_there)
        smeared.paste(255, (n_more * x, n_more * y), smeared.crop((0, 0, *reached)))
        n_there += n_more
    return smeared
