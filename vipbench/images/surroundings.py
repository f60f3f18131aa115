"""The colour around a region, from which a mark is to stand out."""

import math
from typing import cast

from PIL import Image

from vipbench.images.decode import open_image, safe_path
from vipbench.schema import RGB, Box, ImageRoots, Sample

RIM = 0.1
"""Part of its width and height by which a region is widened on each side: most marks lie on its
edge. Ours."""
LEAST_RIM = 3
"""Px by which it is widened at least."""
LEVELS = 32
"""Levels of a channel that are told apart, so that noise splits no surface. Ours; VP-Bench
(arXiv 2511.11438) takes the most frequent of all 2^24 values."""


def surroundings(sample: Sample, images: ImageRoots) -> tuple[RGB, ...]:
    """Return the most frequent colour of each region of a sample, with a rim around it.

    Raises:
        DataError: An image is missing or broken.
    """
    opened: list[Image.Image] = []
    for index, path in enumerate(sample.all_images):
        image = open_image(safe_path(images, path), sample.exif)[0]
        if sample.draw_sizes:
            image = image.resize(sample.draw_sizes[index], Image.Resampling.LANCZOS)
        opened.append(image)
    return tuple(most_frequent(opened[each.image], each.box) for each in sample.regions)


def most_frequent(image: Image.Image, box: Box) -> RGB:
    """Return the most frequent colour of an RGB image within a box and its rim.

    Colours are told apart in steps of 8 levels, and the middle of the step is returned; of several
    equally frequent ones the darkest in red, then green, then blue.
    """
    part = image.crop(_rim(box, image.size))
    step = 256 // LEVELS
    coarse = part.point([value // step * step + step // 2 for value in range(256)] * 3)
    counted = coarse.getcolors(part.width * part.height) or []
    return min(cast("list[tuple[int, RGB]]", counted), key=lambda each: (-each[0], each[1]))[1]


def _rim(box: Box, size_wh: tuple[int, int]) -> tuple[int, int, int, int]:
    """Widen a box, in whole px within the image; one that lies outside keeps the nearest pixel."""
    x0, y0, x1, y1 = box
    dx, dy = max(RIM * (x1 - x0), LEAST_RIM), max(RIM * (y1 - y0), LEAST_RIM)
    width, height = size_wh
    left, top = (
        min(max(math.floor(low), 0), side - 1)
        for low, side in ((x0 - dx, width), (y0 - dy, height))
    )
    right = min(max(math.ceil(x1 + dx), left + 1), width)
    bottom = min(max(math.ceil(y1 + dy), top + 1), height)
    return left, top, right, bottom
