"""Draw visual prompts on an image: `render`, and one function for each shape.

Marks look as in the official ViP-LLaVA code (`llava/visual_prompt_generator.py`, function
`image_blending`; Cai et al., CVPR 2024, section 3.1): drawn at the original resolution on a
transparent layer of their own, one layer after another blended over the image. What is random
there is drawn here from `VisualPrompt.seed` alone, from the same distributions; what is not is
equal to the pixel. All sizes grow with the image: one unit is a pixel at a 336-px long side.
"""

import math
import random
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import groupby, product
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from vipbench.images import geometry
from vipbench.schema import RGB, Box, Polygon, Region, Shape, VisualPrompt

Point = tuple[float, float]

ANCHOR = 336
"""Long side in px at which widths are stated (official `image_size_anchor`)."""
TRAINING_WIDTHS: dict[Shape, tuple[int, int]] = {
    "rectangle": (2, 8),
    "ellipse": (2, 8),
    "triangle": (2, 8),
    "point": (5, 20),
    "scribble": (2, 12),
    "mask contour": (1, 2),
    "arrow": (1, 6),
}
"""Line width (radius for a point) in px at `ANCHOR`, lowest and highest, that the official code
draws where no width is given; a mask has no line, so that its width changes nothing."""
TRIANGLE_TRIES = 1000
"""Triangles drawn before one with a wide angle is taken; the official code tries for ever."""


class Footprint(NamedTuple):
    """The pixels of an image that one mark is drawn on, whatever its opacity."""

    box: tuple[int, int, int, int]
    """The smallest box around them: x0, y0, x1, y1 in px of the image, x1 and y1 excluded."""
    mask: Image.Image
    """Mode L, of the box's size: 255 where the mark is, else 0."""


def render(image: Image.Image, prompts: Sequence[VisualPrompt]) -> Image.Image:
    """Return a new RGB image with the marks on it, drawn in order.

    `image` has any mode and is left as it is; boxes and polygons of `prompts` are in its pixels
    and may reach beyond it. The same image and prompts give the same pixels in every process.

    Raises:
        ValueError: The box that a rectangle or an ellipse is drawn from is inverted.
    """
    result = image.convert("RGB")
    for prompt in prompts:
        draw_mark(result, prompt)
    return result


def footprint(size_wh: tuple[int, int], prompt: VisualPrompt) -> Footprint | None:
    """Return where a mark is drawn on an image of this size; None where it lies wholly outside.

    Raises:
        ValueError: As `render`.
    """
    mask = Image.new("L", size_wh)
    _SHAPES[prompt.shape](mask, prompt, random.Random(prompt.seed))
    box = mask.getbbox()
    return None if box is None else Footprint(box, mask.crop(box))


def draw_mark(image: Image.Image, prompt: VisualPrompt) -> Footprint | None:
    """Draw one mark on an RGB image, in place, and return its footprint.

    Raises:
        ValueError: As `render`.
    """
    mark = footprint(image.size, prompt)
    if mark is not None:
        blended = image.crop(mark.box).point(_blend_table(prompt.color, prompt.alpha))
        image.paste(blended, mark.box, mark.mask)
    return mark


# In every shape the geometry is drawn before the width: a seed stands for one geometry, whatever
# the width. A mask is 255 where the mark is, else 0.


def _draw_rectangle(mask: Image.Image, prompt: VisualPrompt, rng: random.Random) -> None:
    """Outline the box, the stroke growing inwards, corners included."""
    width = _drawn_width(prompt, mask.size, rng)
    ImageDraw.Draw(mask).rectangle(prompt.region.box, outline=255, width=width)


def _draw_ellipse(mask: Image.Image, prompt: VisualPrompt, rng: random.Random) -> None:
    """Outline an ellipse around the bounds of the region, up to half as large again."""
    x0, y0, x1, y1 = _region_bounds(prompt.region)
    ratio = rng.uniform(1, 1.5)
    half_x, half_y = (x1 - x0) * ratio / 2, (y1 - y0) * ratio / 2
    x, y = geometry.box_center((x0, y0, x1, y1))
    box = (x - half_x, y - half_y, x + half_x, y + half_y)
    width = _drawn_width(prompt, mask.size, rng)
    ImageDraw.Draw(mask).ellipse(box, outline=255, width=width)


def _draw_triangle(mask: Image.Image, prompt: VisualPrompt, rng: random.Random) -> None:
    """Join three random points of the region, no angle wider than 150 degrees if possible."""
    region = prompt.region
    x0, y0, x1, y1 = _region_bounds(region)
    # In a region without extent every triangle is flat.
    tries = TRIANGLE_TRIES if x1 > x0 and y1 > y0 else 1
    for _ in range(tries):
        a, b, c = (_random_point(region.box, region.polygons, rng) for _ in range(3))
        if _widest_angle(a, b, c) <= 150:
            break
    width = _drawn_width(prompt, mask.size, rng)
    ImageDraw.Draw(mask).line([a, b, c, a], fill=255, width=width, joint="curve")


def _draw_point(mask: Image.Image, prompt: VisualPrompt, rng: random.Random) -> None:
    """Fill a disc near the middle of one polygon; in training half of the discs are ovals."""
    x, y = _point_center(prompt.region, rng)
    radius = _drawn_width(prompt, mask.size, rng)
    aspect = 1.0
    if prompt.width is None and rng.random() >= 0.5:
        aspect = rng.uniform(0.5, 2.0)
    radius_x, radius_y = radius * aspect, radius / aspect
    ImageDraw.Draw(mask).ellipse((x - radius_x, y - radius_y, x + radius_x, y + radius_y), fill=255)


def _draw_scribble(mask: Image.Image, prompt: VisualPrompt, rng: random.Random) -> None:
    """Draw a cubic Bezier curve with four random control points in one polygon."""
    region = prompt.region
    polygons = (rng.choice(region.polygons),) if region.polygons else ()
    controls = [_random_point(region.box, polygons, rng) for _ in range(4)]
    width = _drawn_width(prompt, mask.size, rng)
    weights = _bezier_weights(int(1000 * max(mask.size) / ANCHOR))
    # Summed one after another: a matrix product would round differently from machine to machine.
    terms = [w[:, None] * np.array(control) for w, control in zip(weights, controls, strict=True)]
    curve = terms[0] + terms[1] + terms[2] + terms[3]
    ImageDraw.Draw(mask).line(curve.ravel().tolist(), fill=255, width=width)


def _draw_contour(mask: Image.Image, prompt: VisualPrompt, rng: random.Random) -> None:
    """Outline every polygon in one-pixel lines, shifted by -width to +width px both ways."""
    width = _drawn_width(prompt, mask.size, rng)
    for polygon in _outlines(prompt.region):
        columns = _shifted_pixels([x for x, _ in polygon], width)
        rows = _shifted_pixels([y for _, y in polygon], width)
        for (xs, shifts_x), (ys, shifts_y) in product(columns, rows):
            _stamp_outline(mask, xs, ys, shifts_x, shifts_y)


def _draw_mask(mask: Image.Image, prompt: VisualPrompt, rng: random.Random) -> None:
    """Fill every polygon."""
    draw = ImageDraw.Draw(mask)
    for polygon in _outlines(prompt.region):
        draw.polygon(polygon, fill=255)


def _draw_arrow(mask: Image.Image, prompt: VisualPrompt, rng: random.Random) -> None:
    """Draw an arrow at a random angle whose tip lies within a quarter of the box of its centre."""
    x0, y0, x1, y1 = prompt.region.box
    long_side = max(mask.size)
    x, y = geometry.box_center(prompt.region.box)
    length = rng.uniform(0.8 * min(x1 - x0, y1 - y0), max(int(50 * long_side / ANCHOR), 1))
    angle = rng.uniform(0, 2 * math.pi)
    x += rng.uniform(-0.25, 0.25) * (x1 - x0)
    y += rng.uniform(-0.25, 0.25) * (y1 - y0)
    head = max(rng.uniform(0.2, 0.5) * length, int(6 * long_side / ANCHOR))
    shaft = [(x, y), _polar((x, y), length - head, angle)]
    if rng.random() < 0.5:  # bent a little, as by hand; not at all in images under 336 px
        bend = int(long_side / ANCHOR)
        middle_x, middle_y = (x + shaft[1][0]) / 2, (y + shaft[1][1]) / 2
        middle = middle_x + rng.uniform(-5, 5) * bend, middle_y + rng.uniform(-5, 5) * bend
        shaft.insert(1, middle)
    filled = rng.random() < 0.5
    barbs = [_polar((x, y), head, angle + turn) for turn in (math.pi / 3, -math.pi / 3)]
    corners = [barbs[0], (x, y), barbs[1]]
    width = _drawn_width(prompt, mask.size, rng)
    draw = ImageDraw.Draw(mask)
    draw.line(shaft, fill=255, width=width)
    if filled:
        draw.polygon(corners, fill=255)
    else:
        draw.line(corners, fill=255, width=width)


_SHAPES: dict[Shape, Callable[[Image.Image, VisualPrompt, random.Random], None]] = {
    "rectangle": _draw_rectangle,
    "ellipse": _draw_ellipse,
    "triangle": _draw_triangle,
    "point": _draw_point,
    "scribble": _draw_scribble,
    "mask contour": _draw_contour,
    "mask": _draw_mask,
    "arrow": _draw_arrow,
}


def _drawn_width(prompt: VisualPrompt, size_wh: tuple[int, int], rng: random.Random) -> int:
    """Return the line width (radius for a point) in px of an image of this size, at least 1."""
    long_side = max(size_wh)
    if prompt.width is not None:
        return max(int(prompt.width * long_side / ANCHOR), 1)
    low, high = TRAINING_WIDTHS[prompt.shape]
    return max(rng.randint(int(low * long_side / ANCHOR), int(high * long_side / ANCHOR)), 1)


@lru_cache(maxsize=256)
def _blend_table(color: RGB, alpha: int) -> list[int]:
    """Return for R, G and B in turn what values 0-255 become under the colour at this opacity.

    Taken from Pillow itself, so that rounding is that of `alpha_composite` over a whole layer.
    """
    ramp = Image.frombytes("RGB", (256, 1), bytes(v for v in range(256) for _ in range(3)))
    layer = Image.new("RGBA", (256, 1), (*color, alpha))
    blended = Image.alpha_composite(ramp.convert("RGBA"), layer).convert("RGB")
    return [value for channel in blended.split() for value in channel.tobytes()]


def _outlines(region: Region) -> tuple[Polygon, ...]:
    """Return the polygons of the region, or its box as one."""
    return region.polygons or (geometry.box_corners(region.box),)


def _region_bounds(region: Region) -> Box:
    """Return the bounds of all polygons of the region, or its box."""
    return geometry.bounds(region.polygons) if region.polygons else region.box


def _random_point(box: Box, polygons: Sequence[Polygon], rng: random.Random) -> Point:
    """Return a point inside any of the polygons, or of the box where there is none.

    Uniform over the bounds of the polygons; after 50 points outside, any is taken.
    """
    x0, y0, x1, y1 = geometry.bounds(polygons) if polygons else box
    for _ in range(50):
        x, y = rng.uniform(x0, x1), rng.uniform(y0, y1)
        if not polygons or any(geometry.contains(polygon, x, y) for polygon in polygons):
            return x, y
    return rng.uniform(x0, x1), rng.uniform(y0, y1)


def _point_center(region: Region, rng: random.Random) -> Point:
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


def _widest_angle(a: Point, b: Point, c: Point) -> float:
    """Return the widest angle of a triangle in degrees; 180 where two corners coincide."""
    sides = sorted((math.dist(a, b), math.dist(b, c), math.dist(c, a)))
    if sides[0] == 0:
        return 180.0
    cosine = (sides[0] ** 2 + sides[1] ** 2 - sides[2] ** 2) / (2 * sides[0] * sides[1])
    return math.degrees(math.acos(min(max(cosine, -1.0), 1.0)))


def _polar(origin: Point, length: float, angle: float) -> Point:
    """Return the point at a distance (which may be negative) and an angle in radians."""
    return origin[0] + length * math.cos(angle), origin[1] + length * math.sin(angle)


@lru_cache(maxsize=64)
def _bezier_weights(n_points: int) -> tuple[np.ndarray, ...]:
    """Return for each control point of a cubic Bezier curve its weights (n_points,)."""
    t = np.linspace(0, 1, n_points)
    s = 1 - t
    # Products, as powers are not rounded alike on all machines.
    return s * s * s, 3 * (s * s) * t, 3 * s * (t * t), t * t * t


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
    mask: Image.Image, xs: tuple[int, ...], ys: tuple[int, ...], shifts_x: range, shifts_y: range
) -> None:
    """Draw a polygon's outline at every shift; in time linear in the number of shifts per axis."""
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
    thick = Image.new("L", (outline.width + len(shifts_x) - 1, outline.height))
    for i in range(len(shifts_x)):
        thick.paste(255, (i, 0), outline)
    for shift in shifts_y:
        mask.paste(255, (left + shifts_x[0], top + shift), thick)
