"""Bring an image to the square that a vision tower sees: pad, squash or crop."""

import numpy as np
from PIL import Image

from vipbench.schema import Box, Fit

PAD_COLOR = (122, 116, 104)
"""RGB of the border under `pad`: CLIP's mean colour x 255, cut to whole numbers (official
`process_images` in `llava/mm_utils.py`)."""


def fit(image: Image.Image, mode: Fit, size: int) -> np.ndarray:
    """Return an RGB image as uint8 pixels (size, size, 3), rows first.

    `pad` centres it on a square of `PAD_COLOR` and resizes; `squash` resizes and loses the aspect
    ratio; `crop` brings the short side to `size` and cuts the middle out, which loses what lies
    beyond. All resize bicubically, as CLIP's image processor does; an image that already has the
    wanted size is not resampled.
    """
    if mode == "pad":
        image = _resize(_pad_to_square(image), (size, size))
    elif mode == "squash":
        image = _resize(image, (size, size))
    else:
        image = _crop_center(_resize(image, _short_side_to(image.size, size)), size)
    return np.array(image)


def fit_box(box: Box, size_wh: tuple[int, int], mode: Fit) -> Box:
    """Return where a box of the original image, in px, comes to lie in the fitted square.

    Fractions of the square's side; under `crop` they may lie outside 0-1. Rounding to whole
    pixels of the resized image is left out, so that the result holds for every size.
    """
    width, height = size_wh
    x0, y0, x1, y1 = box
    if mode == "squash":
        return x0 / width, y0 / height, x1 / width, y1 / height
    if mode == "pad":
        side = max(width, height)
        left, top = (side - width) // 2, (side - height) // 2
        return (x0 + left) / side, (y0 + top) / side, (x1 + left) / side, (y1 + top) / side
    side = min(width, height)
    cut_x, cut_y = (width - side) / 2, (height - side) / 2
    return (x0 - cut_x) / side, (y0 - cut_y) / side, (x1 - cut_x) / side, (y1 - cut_y) / side


def _pad_to_square(image: Image.Image) -> Image.Image:
    """Centre the image on a square; an odd pixel of border goes to the right or the bottom."""
    side = max(image.size)
    if image.size == (side, side):
        return image
    square = Image.new("RGB", (side, side), PAD_COLOR)
    square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    return square


def _resize(image: Image.Image, size_wh: tuple[int, int]) -> Image.Image:
    """Resize bicubically, unless the image has that size."""
    return image if image.size == size_wh else image.resize(size_wh, Image.Resampling.BICUBIC)


def _short_side_to(size_wh: tuple[int, int], size: int) -> tuple[int, int]:
    """Return the size with a short side of `size`, the long one cut to whole pixels."""
    width, height = size_wh
    if width <= height:
        return size, int(size * height / width)
    return int(size * width / height), size


def _crop_center(image: Image.Image, size: int) -> Image.Image:
    """Cut the middle square out; an odd pixel stays on the left or the top."""
    left, top = (image.width - size) // 2, (image.height - size) // 2
    return image.crop((left, top, left + size, top + size))
