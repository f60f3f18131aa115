"""Images as they are sent: shrunk where the user says so, then PNG or JPEG."""

import io

import numpy as np
from PIL import Image

from vipbench.endpoints import messages
from vipbench.endpoints.messages import Detail


def scale(shape: tuple[int, ...], max_side: int | None) -> float:
    """Return the factor, at most 1, that brings the sides (height, width) in px to `max_side`."""
    return 1.0 if max_side is None else min(1.0, max_side / max(shape[:2]))


def shrink(pixels: np.ndarray, max_side: int | None) -> np.ndarray:
    """Return uint8 (height, width, 3) of which no side is longer than `max_side` px.

    An image that is small enough comes back itself; a larger one is resampled by Lanczos, and no
    side becomes shorter than 1 px.
    """
    factor = scale(pixels.shape, max_side)
    if factor == 1:
        return pixels
    width, height = (max(1, round(side * factor)) for side in pixels.shape[1::-1])
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.LANCZOS))


def encode(pixels: np.ndarray, image_format: str, detail: Detail) -> messages.Image:
    """Return an image as it is sent; the same pixels give the same bytes.

    Args:
        pixels: uint8 (height, width, 3), RGB.
        image_format: `png`, or `jpeg:` and the quality.
        detail: how closely the server is to look.
    """
    kind, _, quality = image_format.partition(":")
    file, image = io.BytesIO(), Image.fromarray(pixels)
    if kind == "png":
        image.save(file, "PNG")
    else:
        image.save(file, "JPEG", quality=int(quality))
    return messages.Image(
        file.getvalue(), f"image/{kind}", detail, n_pixels=pixels.shape[0] * pixels.shape[1]
    )
