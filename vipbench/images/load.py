"""From a request to the pixels that a model sees: open, mark, fit."""

import hashlib
from collections.abc import Mapping
from functools import lru_cache
from itertools import repeat
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from vipbench.errors import DataError
from vipbench.images.decode import open_image, safe_path
from vipbench.images.draw import Footprint, draw_marks
from vipbench.images.fit import PAD_COLOR, fit
from vipbench.images.surround import crop_box, cut, n_px, subdue
from vipbench.images.visibility import measure, view
from vipbench.schema import ExifRule, ImageRoots, Request, Visibility

Pixels = np.ndarray | tuple[np.ndarray, ...]
"""What a request shows: one image, or a tuple of several in order; each as in `LoadedImage`."""


class LoadedImage(NamedTuple):
    """A marked and fitted image, or several, and how much of each mark can be seen."""

    pixels: np.ndarray
    """uint8 (size, size, 3), or (height, width, 3) where nothing is fitted; RGB, rows first."""
    visibility: tuple[Visibility, ...]
    """One for each visual prompt; empty where none is drawn."""
    digest: str
    """Of the pixels, see `digest_shown`."""
    others: tuple[np.ndarray, ...] = ()
    """Of a request with several images, those after the first."""

    @property
    def each(self) -> tuple[np.ndarray, ...]:
        """The images in order, one or several."""
        return self.pixels, *self.others

    @property
    def shown(self) -> Pixels:
        """All that the model sees."""
        return self.each if self.others else self.pixels


class PreparedRequest(NamedTuple):
    """A request with the image that the model gets, or with the reason why there is none."""

    request: Request
    loaded: LoadedImage | None
    """None where there is an error, and where the runner reads no images."""
    error: str | None


SHOWN = frozenset(
    {"image", "images", "draw_sizes", "visual_prompts", "blind", "exif", "surround", "fit"}
)
"""Fields of a request that its pixels are made of, beside where its task's images lie."""


def pixels_of(request: Request) -> str:
    """Tell what a request shows: equal texts of one task are equal pixels, since drawing is pure.

    Only the fields that drawing reads are in it, so that it needs no pixel.
    """
    return request.model_dump_json(include=set(SHOWN))


def load_or_error(
    request: Request, images: Mapping[str, ImageRoots], size: int | None, patch_size: int | None
) -> PreparedRequest:
    """Do as `load_measured` does; a broken image is an error of this request alone.

    `images` is the folder below which each task's images lie, or several, by the task's name.
    """
    try:
        loaded = load_measured(request, images[request.task], size, patch_size)
    except DataError as error:
        return PreparedRequest(request, None, f"image: {error}")
    return PreparedRequest(request, loaded, None)


def load_measured(
    request: Request, images: ImageRoots, size: int | None, patch_size: int | None = None
) -> LoadedImage:
    """Open, mark and fit a request's image, and measure its marks; pure, equal in every process.

    Marks are drawn at the original resolution, before fitting. A blind request gives a uniform
    `PAD_COLOR` image of the original's size.

    Args:
        request: names the image and the marks.
        images: the folder below which `request.image` lies, or several.
        size: side of the model's square in px; None: the marked image is not fitted.
        patch_size: side of the model's patches in px, where it is known.

    Raises:
        DataError: The image is missing or broken, or its path leaves the folder.
    """
    if not request.images:
        pixels, visibility = _draw_and_fit(request, images, size, patch_size)
        return LoadedImage(pixels, visibility, digest_pixels(pixels))
    drawn = [
        _draw_and_fit(request.of_image(index), images, size, patch_size)
        for index in range(len(request.images))
    ]
    shown = tuple(pixels for pixels, _ in drawn)
    by_image = [iter(visibility) for _, visibility in drawn]
    marks = () if request.blind else request.visual_prompts
    return LoadedImage(
        shown[0],
        tuple(next(by_image[mark.region.image]) for mark in marks),
        digest_shown(shown),
        shown[1:],
    )


def load_pixels(request: Request, images: ImageRoots, size: int | None) -> np.ndarray:
    """Return only the pixels that `load_measured` gives, of a request with one image.

    Raises:
        DataError: As there; or the request shows several images.
    """
    if request.images:
        raise DataError(
            f"{request.id}: shows {len(request.images)} images · expected one, which is all that "
            "is drawn here"
        )
    return _draw_and_fit(request, images, size, None)[0]


def _draw_and_fit(
    request: Request, images: ImageRoots, size: int | None, patch_size: int | None
) -> tuple[np.ndarray, tuple[Visibility, ...]]:
    """Return pixels as `LoadedImage` has them, and how much of each mark can be seen."""
    path = safe_path(images, request.image)
    image = _decoded(path, _stamp(path), request.exif)
    if request.blind:
        # Fitting a blank image gives a blank image.
        width, height = request.draw_sizes[0] if request.draw_sizes else image.size
        shape = (height, width, 3) if size is None else (size, size, 3)
        return np.full(shape, PAD_COLOR, np.uint8), ()
    image, marks, n_whole = draw_request(image.copy(), request)
    window = view(image.size, request.fit, size, patch_size)
    visibility = tuple(map(measure, marks, repeat(window), n_whole))
    pixels = np.array(image) if size is None else fit(image, request.fit, size)
    return np.ascontiguousarray(pixels), visibility


def draw_request(
    image: Image.Image, request: Request
) -> tuple[Image.Image, list[Footprint | None], list[int | None]]:
    """Resize an RGB image, take away what is around the regions, and draw the marks.

    The image is its own where it is not resized: the marks are drawn on it.

    Returns:
        The image, which a crop makes smaller; what is to be seen of each mark in it; and px of the
        whole mark, where that is not all of it.

    Raises:
        DataError: Nothing is left of the image.
        ValueError: As `render` in images/draw.py.
    """
    surround = request.surround
    image = _resized(image, request)
    if surround is None:
        marks = list(draw_marks(image, request.visual_prompts))
        return image, marks, [None] * len(marks)
    image = subdue(image, surround)
    marks = list(draw_marks(image, request.visual_prompts))
    if surround.kind != "crop":
        return image, marks, [None] * len(marks)
    box = crop_box(image.size, surround)
    return image.crop(box), [mark and cut(mark, box) for mark in marks], n_px(marks)


def _resized(image: Image.Image, request: Request) -> Image.Image:
    """Return an image at the size that it is drawn on at, itself where that is its own."""
    if not request.draw_sizes:
        return image
    [size] = request.draw_sizes
    return image.resize(size, Image.Resampling.LANCZOS)


@lru_cache(maxsize=1)
def _decoded(path: Path, stamp: tuple[int, int], exif: ExifRule | None) -> Image.Image:
    """Open an image; the last one is kept, since a plan asks a sample's styles in a row."""
    return open_image(path, exif)[0]


def _stamp(path: Path) -> tuple[int, int]:
    """Return size in bytes and time of change in ns of a file; zeros where there is none."""
    try:
        status = path.stat()
    except OSError:
        return 0, 0
    return status.st_size, status.st_mtime_ns


def digest_pixels(pixels: np.ndarray) -> str:
    """Return the sha256 of an image's dtype, shape and bytes, in hex: `Response.pixels`."""
    shape = "x".join(map(str, pixels.shape))
    state = hashlib.sha256(f"{pixels.dtype} {shape} ".encode())
    state.update(np.ascontiguousarray(pixels).data)
    return state.hexdigest()


def digest_shown(pixels: Pixels) -> str:
    """Return `digest_pixels` of one image; of several, the sha256 of their digests joined."""
    if isinstance(pixels, np.ndarray):
        return digest_pixels(pixels)
    return hashlib.sha256("".join(map(digest_pixels, pixels)).encode()).hexdigest()
