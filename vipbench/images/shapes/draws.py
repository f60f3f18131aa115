"""What the official shapes draw at random, and the sizes that grow with the image.

Equal to the official ViP-LLaVA code where nothing is random; else from the same distributions
(`llava/visual_prompt_generator.py`; Cai et al., CVPR 2024, section 3.1).
"""

import math
from collections.abc import Sequence
from random import Random

from vipbench.images import geometry
from vipbench.images.shapes.strokes import Point
from vipbench.schema import Box, Polygon, Region, VisualPrompt

ANCHOR = 336
"""Long side in px at which widths are stated (official `image_size_anchor`)."""


def drawn_width(
    mark: VisualPrompt, size_wh: tuple[int, int], rng: Random, training: tuple[int, int]
) -> int:
    """Return the line width (radius for a point) in px of an image of this size, at least 1.

    `training`: lowest and highest, in px at `ANCHOR`, that the official code draws from where no
    width is given. In every shape the geometry is drawn before the width: a seed stands for one
    geometry, whatever the width.
    """
    long_side = max(size_wh)
    if mark.width is not None:
        return max(int(mark.width * long_side / ANCHOR), 1)
    low, high = training
    return max(rng.randint(int(low * long_side / ANCHOR), int(high * long_side / ANCHOR)), 1)


def region_bounds(region: Region) -> Box:
    """Return the bounds of all polygons of the region, or its box."""
    return geometry.bounds(region.polygons) if region.polygons else region.box


def random_point(box: Box, polygons: Sequence[Polygon], rng: Random) -> Point:
    """Return a point inside any of the polygons, or of the box where there is none.

    Uniform over the bounds of the polygons; after 50 points outside, any is taken.
    """
    x0, y0, x1, y1 = geometry.bounds(polygons) if polygons else box
    for _ in range(50):
        x, y = rng.uniform(x0, x1), rng.uniform(y0, y1)
        if not polygons or any(geometry.contains(polygon, x, y) for polygon in polygons):
            return x, y
    return rng.uniform(x0, x1), rng.uniform(y0, y1)


def polar(origin: Point, length: float, angle: float) -> Point:
    """Return the point at a distance (which may be negative) and an angle in radians."""
    return origin[0] + length * math.cos(angle), origin[1] + length * math.sin(angle)
