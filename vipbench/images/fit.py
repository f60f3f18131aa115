"""Fit an image to the square that a vision tower sees: pad, squash or crop."""

from typing import NamedTuple

import numpy as np
from PIL import Image

from vipbench.schema import Box, Fit

PAD_COLOR = (122, 116, 104)
"""RGB of the border under `pad`: CLIP's mean colour x 255, cut to whole numbers (official
`process_images` in `llava/mm_utils.py`)."""
MAX_PIXELS = 100_000_000
"""Pixels that a padded or resized image may have on the way to the square. Beyond it, from a side
of 10,000 px, a way that needs little memory gives the same square within a level or two of 255."""
MAX_SIDE = 1 << 16
"""px; of sides at least twice as long, neighbouring pixels are averaged first: Pillow needs 32
bytes of weights for each. The square has a hundredth of that."""


class Axis(NamedTuple):
    """Where one axis of an image comes to lie in the fitted square, exactly.

    A point at x px of the image lands at (x * `times` + `plus`) / `over` px of the square.
    """

    times: int
    plus: int
    over: int


class FittedFrame(NamedTuple):
    """Where an image comes to lie in the fitted square; under `crop` partly beyond it."""

    x: Axis
    y: Axis


def fit(image: Image.Image, mode: Fit, size: int) -> np.ndarray:
    """Return an RGB image as uint8 pixels (size, size, 3), rows first.

    `pad` centres it on a square of `PAD_COLOR` and resizes; `squash` resizes and loses the aspect
    ratio; `crop` brings the short side to `size` and cuts the middle out, which loses what lies
    beyond. All resize bicubically, as CLIP's image processor does; an image that already has the
    wanted size is not resampled. However long and thin the image is, no step makes one of more than
    `MAX_PIXELS`.

    Args:
        image: of any size, mode RGB.
        mode: what happens to the aspect ratio.
        size: side of the square in px.
    """
    if mode == "pad":
        image = _resize_padded(image, size)
    elif mode == "squash":
        image = _resize(_shorten(image), (size, size))
    else:
        image = _resize_cropped(image, size)
    return np.array(image)


def fitted_frame(size_wh: tuple[int, int], mode: Fit, size: int) -> FittedFrame:
    """Return where an image of this size comes to lie in the square, sizes rounded as by `fit`."""
    width, height = size_wh
    if mode == "squash":
        return FittedFrame(Axis(size, 0, width), Axis(size, 0, height))
    if mode == "pad":
        side = max(size_wh)
        left, top = _margins((side, side), size_wh)
        return FittedFrame(Axis(size, left * size, side), Axis(size, top * size, side))
    resized = _short_side_to(size_wh, size)
    left, top = _margins(resized, (size, size))
    return FittedFrame(
        Axis(resized[0], -left * width, width), Axis(resized[1], -top * height, height)
    )


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


def _margins(outer_wh: tuple[int, int], inner_wh: tuple[int, int]) -> tuple[int, int]:
    """Return what is left of and above a centred inner part; an odd pixel goes to the far side."""
    return (outer_wh[0] - inner_wh[0]) // 2, (outer_wh[1] - inner_wh[1]) // 2


def _resize(image: Image.Image, size_wh: tuple[int, int]) -> Image.Image:
    """Resize bicubically, unless the image has that size."""
    return image if image.size == size_wh else image.resize(size_wh, Image.Resampling.BICUBIC)


def _shorten(image: Image.Image) -> Image.Image:
    """Average neighbouring pixels along a side of more than twice `MAX_SIDE`."""
    factors = max(image.width // MAX_SIDE, 1), max(image.height // MAX_SIDE, 1)
    return image if factors == (1, 1) else image.reduce(factors)


# --- pad


def _resize_padded(image: Image.Image, size: int) -> Image.Image:
    """Centre the image on a square and resize that."""
    side = max(image.size)
    if image.size == (side, side):
        return _resize(image, (size, size))
    if side * side > MAX_PIXELS:
        return _resize_strip(image, size)
    square = Image.new("RGB", (side, side), PAD_COLOR)
    square.paste(image, _margins(square.size, image.size))
    return _resize(square, (size, size))


def _resize_strip(image: Image.Image, size: int) -> Image.Image:
    """Centre the image on a square and resize that, without making the square.

    The long side is resized by Pillow, the one that has borders here; rows before columns, as
    Pillow does, since each step is rounded and clipped.
    """
    side, short = max(image.size), min(image.size)
    start = (side - short) // 2
    image = _shorten(image)
    square = Image.new("RGB", (size, size), PAD_COLOR)
    if image.width > image.height:
        rows = np.asarray(_resize(image, (size, short)))
        first, columns = _resize_bordered(rows.swapaxes(0, 1), start, side, size)
        square.paste(Image.fromarray(columns.swapaxes(0, 1)), (0, first))
    else:
        first, columns = _resize_bordered(np.asarray(image), start, side, size)
        square.paste(_resize(Image.fromarray(columns), (columns.shape[1], size)), (first, 0))
    return square


def _resize_bordered(
    pixels: np.ndarray, start: int, side: int, size: int
) -> tuple[int, np.ndarray]:
    """Resize the second axis of an image bicubically, as if it had a border of `PAD_COLOR`.

    Args:
        pixels: uint8 (n, short, 3).
        start: px of border before the image.
        side: px of the image with both borders.
        size: px that this becomes.

    Returns:
        The first column of the result that sees more than border, and the columns from there on
        that do: uint8 (n, columns, 3).
    """
    color = np.array(PAD_COLOR, np.float32)
    first, weights = _weights(start, pixels.shape[1], side, size)
    result = np.empty((len(pixels), len(weights), 3), np.uint8)
    # In tiles, to be quick and small: a column sees a few neighbouring pixels of the image only.
    for column in range(0, len(weights), 8):
        columns = slice(column, column + 8)
        seen = np.flatnonzero(weights[columns].any(axis=0))
        inside = slice(seen[0], seen[-1] + 1)
        for row in range(0, len(pixels), 256):
            rows = slice(row, row + 256)
            values = np.tensordot(pixels[rows, inside] - color, weights[columns, inside], (1, 1))
            result[rows, columns] = np.rint((values.swapaxes(1, 2) + color).clip(0, 255))
    return first, result


def _weights(start: int, short: int, side: int, size: int) -> tuple[int, np.ndarray]:
    """Return what each column takes of each px of the image: float32 (columns, short).

    The rest up to 1 is border. The columns are those that take anything, from the first on, which
    is returned beside them; the arguments are as above.
    """
    scale = side / size
    reach = 2 * max(scale, 1)  # of the kernel to either side
    weights = np.zeros((size, short), np.float32)
    for column in range(size):
        center = (column + 0.5) * scale
        low, high = max(int(center - reach + 0.5), 0), min(int(center + reach + 0.5), side)
        first, end = max(low, start), min(high, start + short)
        if first < end:
            values = _bicubic((np.arange(low, high) + 0.5 - center) * (2 / reach))
            weights[column, first - start : end - start] = (values / values.sum())[
                first - low : end - low
            ]
    taking = np.flatnonzero(weights.any(axis=1))
    return int(taking[0]), weights[taking[0] : taking[-1] + 1]


def _bicubic(x: np.ndarray) -> np.ndarray:
    """Return Keys's cubic convolution kernel with a = -0.5, which Pillow uses."""
    x = np.abs(x)
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))


# --- crop


def _resize_cropped(image: Image.Image, size: int) -> Image.Image:
    """Bring the short side to `size`, and cut the middle out."""
    resized = _short_side_to(image.size, size)
    left, top = _margins(resized, (size, size))
    if resized[0] * resized[1] <= MAX_PIXELS:
        return _resize(image, resized).crop((left, top, left + size, top + size))
    # The same of what the kernel reaches from there; rows before columns, as Pillow does.
    width, height = image.size
    scale_x, scale_y = width / resized[0], height / resized[1]
    x0, y0 = left * scale_x, top * scale_y
    x1, y1 = min(x0 + size * scale_x, width), min(y0 + size * scale_y, height)
    reach = int(2 * max(scale_x, scale_y, 1)) + 2
    cut_x, cut_y = max(int(x0) - reach, 0), max(int(y0) - reach, 0)
    image = image.crop((cut_x, cut_y, min(int(x1) + reach, width), min(int(y1) + reach, height)))
    bicubic = Image.Resampling.BICUBIC
    rows = image.resize((size, image.height), bicubic, (x0 - cut_x, 0, x1 - cut_x, image.height))
    return rows.resize((size, size), bicubic, (0, y0 - cut_y, size, y1 - cut_y))


def _short_side_to(size_wh: tuple[int, int], size: int) -> tuple[int, int]:
    """Return the size with a short side of `size`, the long one cut to whole pixels."""
    width, height = size_wh
    if width <= height:
        return size, int(size * height / width)
    return int(size * width / height), size
