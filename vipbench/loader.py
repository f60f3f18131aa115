"""From a request to the pixels that a model sees."""

import hashlib
from pathlib import Path

import numpy as np
from PIL import Image

from vipbench.data import open_image, safe_path
from vipbench.draw import render
from vipbench.fit import PAD_COLOR, fit
from vipbench.schema import Request


def load_image(request: Request, images: Path, size: int | None) -> np.ndarray:
    """Open, mark and fit a request's image; pure, equal in every process.

    Marks are drawn at the original resolution, before fitting. `images` is the root that
    `request.image` lies below; `size` is the side of the model's square in px, None for the marked
    image as it is. A blind request gives a uniform `PAD_COLOR` image of the original's size.

    Returns:
        uint8 (size, size, 3), or (height, width, 3) where size is None; RGB, rows first.

    Raises:
        DataError: the image is missing or broken, or its path leaves the root.
    """
    image, _ = open_image(safe_path(images, request.image))
    if request.blind:
        image = Image.new("RGB", image.size, PAD_COLOR)
    else:
        image = render(image, request.visual_prompts)
    pixels = np.array(image) if size is None else fit(image, request.fit, size)
    return np.ascontiguousarray(pixels)


def digest_pixels(pixels: np.ndarray) -> str:
    """Return the sha256 of an image's shape and bytes, in hex: `Response.pixels`."""
    shape = "x".join(map(str, pixels.shape))
    return hashlib.sha256(f"{pixels.dtype} {shape} ".encode() + pixels.tobytes()).hexdigest()
