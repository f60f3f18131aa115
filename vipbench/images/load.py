"""From a request to the pixels that a model sees."""

import hashlib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from vipbench.errors import DataError
from vipbench.images.decode import open_image, safe_path
from vipbench.images.draw import draw_mark
from vipbench.images.fit import PAD_COLOR, fit
from vipbench.images.visibility import measure, view
from vipbench.schema import Request, Visibility


class Loaded(NamedTuple):
    """A marked and fitted image, and what is left of its marks."""

    pixels: np.ndarray
    """uint8 (size, size, 3), or (height, width, 3) where nothing is fitted; RGB, rows first."""
    visibility: tuple[Visibility, ...]
    """One a visual prompt; empty where none is drawn."""
    digest: str
    """Of the pixels: `Response.pixels`."""


class Ready(NamedTuple):
    """A request with what the model gets to see, or with the reason why that is nothing."""

    request: Request
    loaded: Loaded | None
    error: str | None


def prepare(
    request: Request, images: Mapping[str, Path], size: int | None, patch_size: int | None
) -> Ready:
    """Load a request's image as `load` does; `images` is the root of each task's."""
    try:
        return Ready(request, load(request, images[request.task], size, patch_size), None)
    except DataError as error:
        return Ready(request, None, f"image: {error}")


def load(request: Request, images: Path, size: int | None, patch_size: int | None = None) -> Loaded:
    """Open, mark and fit a request's image; pure, equal in every process.

    Marks are drawn at the original resolution, before fitting. `images` is the root that
    `request.image` lies below; `size` is the side of the model's square in px, None for the marked
    image as it is; `patch_size` is that of the model's patches, where it is known. A blind request
    gives a uniform `PAD_COLOR` image of the original's size.

    Raises:
        DataError: the image is missing or broken, or its path leaves the root.
    """
    pixels, visibility = _see(request, images, size, patch_size)
    return Loaded(pixels, visibility, digest_pixels(pixels))


def load_image(request: Request, images: Path, size: int | None) -> np.ndarray:
    """Return the pixels that `load` gives."""
    return _see(request, images, size, None)[0]


def _see(
    request: Request, images: Path, size: int | None, patch_size: int | None
) -> tuple[np.ndarray, tuple[Visibility, ...]]:
    """Return pixels as `Loaded` has them, and what is left of the marks."""
    path = safe_path(images, request.image)
    image = _decoded(path, _stamp(path)).copy()
    seen = view(image.size, request.fit, size, patch_size)
    visibility: tuple[Visibility, ...] = ()
    if request.blind:
        image = Image.new("RGB", image.size, PAD_COLOR)
    else:
        visibility = tuple(
            measure(draw_mark(image, prompt), seen) for prompt in request.visual_prompts
        )
    pixels = np.array(image) if size is None else fit(image, request.fit, size)
    return np.ascontiguousarray(pixels), visibility


@lru_cache(maxsize=1)
def _decoded(path: Path, stamp: tuple[int, int]) -> Image.Image:
    """Keep the last image: the batch plan asks a sample's styles one after another."""
    return open_image(path)[0]


def _stamp(path: Path) -> tuple[int, int]:
    """Return what changes with a file's content; zeros where there is no file."""
    try:
        found = path.stat()
    except OSError:
        return 0, 0
    return found.st_size, found.st_mtime_ns


def digest_pixels(pixels: np.ndarray) -> str:
    """Return the sha256 of an image's shape and bytes, in hex: `Response.pixels`."""
    shape = "x".join(map(str, pixels.shape))
    found = hashlib.sha256(f"{pixels.dtype} {shape} ".encode())
    found.update(np.ascontiguousarray(pixels).data)
    return found.hexdigest()
