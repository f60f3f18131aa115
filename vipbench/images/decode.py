"""Open images: paths that stay below a root, sizes from headers, pixels as RGB.

Whatever is wrong with a file is a DataError that names it; no broken file starts a program, fills
the memory or blocks.
"""

import os
import stat
import struct
import warnings
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
from PIL import ExifTags, Image, TiffImagePlugin, UnidentifiedImageError

from vipbench.digests import REMEMBERED
from vipbench.errors import DataError
from vipbench.files import reason
from vipbench.validation import shown

MAX_PIXELS = 100_000_000
"""Pixels of an image that is opened at most. Ours: 300 MB as RGB."""
FORMATS = ("BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
"""Image formats that are opened. Others that Pillow knows are not decoded: EPS starts a program."""

_DECODE_ERRORS = (
    OSError,
    SyntaxError,  # Pillow's PNG reader raises it for a broken header
    ValueError,
    EOFError,
    struct.error,
    Image.DecompressionBombError,
)


def safe_path(root: Path, relative: str) -> Path:
    """Join a path from a data file to its root.

    Raises:
        DataError: The path is empty or absolute, has `..`, a backslash or a NUL in it, or follows
            a link out of the root. It need not exist.
    """
    pure = PurePosixPath(relative)
    if not relative or pure.is_absolute() or ".." in pure.parts or {"\\", "\0"} & set(relative):
        raise DataError(
            f"image path {shown(relative)}: expected a relative path that stays below the image"
            " root"
        )
    path = root / pure
    steps = [path, *path.parents][: len(pure.parts)]
    # `islink` first: it is False for a name that cannot exist, and resolving every path is slow
    linked = any(os.path.islink(step) for step in steps)  # noqa: PTH114
    if linked and not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root)):
        raise DataError(
            f"image path {shown(relative)}: a link that leaves the image root {root} · give the"
            " folder that it leads to as images, or copy the files"
        )
    return path


class ImageHeader(NamedTuple):
    """What is known of an image before it is decoded."""

    size: tuple[int, int]
    """Width and height in px, as stored."""
    mode: str
    """Pillow's name of the mode that it is stored in: `RGB`, `L`, `P`, `I;16`, …"""


def image_header(path: Path) -> ImageHeader:
    """Read size and mode from an image's header; remembered while the file does not change.

    Raises:
        DataError: The file is missing, is not an image, or has over 100 megapixels.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise _unopened(path, error) from error
    if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for ever
        raise DataError(f"{path}: cannot be opened (not a file) · expected an image")
    return _header(str(path), status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=REMEMBERED)
def _header(path: str, size: int, mtime_ns: int) -> ImageHeader:
    with _open(Path(path)) as image:
        width, height = image.size
        turned = _orientation(image) in (5, 6, 7, 8)
        return ImageHeader((height, width) if turned else (width, height), image.mode)


def image_size(path: Path) -> tuple[int, int]:
    """Read width and height in px from an image's header; raises DataError as `image_header`."""
    return image_header(path).size


def open_image(path: Path) -> tuple[Image.Image, str]:
    """Decode an image to RGB; also return the mode it was stored in (`RGB`, `L`, `P`, `I;16`, …).

    16-bit grey is scaled (65535 -> 255), not clipped; of an animation the first frame is taken;
    EXIF orientation is not applied, since boxes refer to stored pixels; transparency is dropped,
    which shows the colours beneath, as the official code does.

    Raises:
        DataError: The image cannot be decoded, or its range of values is unknown.
    """
    with _open(path) as image:
        mode, orientation = image.mode, _orientation(image)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Pillow's advice on transparency in palettes
                rgb = _scaled(image).convert("RGB")
        except _DECODE_ERRORS as error:
            raise DataError(
                f"{path}: cannot be decoded ({reason(error)}) · expected an intact image"
            ) from error
    undo = _UNDO.get(orientation)
    return (rgb if undo is None else rgb.transpose(undo)), mode


def _scaled(image: Image.Image) -> Image.Image:
    """Scale 16-bit grey levels to 0-255; ValueError where 32-bit ones are outside 0-65535."""
    if image.mode == "F":
        raise ValueError("floating-point pixels of unknown range")
    if not image.mode.startswith("I"):
        return image
    levels = np.asarray(image).astype(np.int64)
    if levels.min() < 0 or levels.max() > 65535:
        raise ValueError(f"its levels go from {levels.min()} to {levels.max()}, not 0 to 65535")
    return Image.fromarray(((levels + 128) // 257).astype(np.uint8))


_UNDO = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
"""Orientation tag -> what undoes it."""


def _orientation(image: Image.Image) -> int:
    """Return the orientation that Pillow applies by itself, which it does for TIFF; else 1."""
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return 1
    value = image.tag_v2.get(ExifTags.Base.Orientation, 1)
    return value if isinstance(value, int) else 1


def _open(path: Path) -> Image.Image:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on sizes below our limit, on broken EXIF data
            image = Image.open(path, formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise DataError(f"{path}: {reason(error)} · expected at most 100 megapixels") from error
    except _DECODE_ERRORS as error:
        raise _unopened(path, error) from error
    width, height = image.size
    if width * height > MAX_PIXELS:
        image.close()
        raise DataError(f"{path}: {width} x {height} px · expected at most 100 megapixels")
    return image


def _unopened(path: Path, error: BaseException) -> DataError:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return DataError(f"{path}: does not exist")
    expected = f"expected an image ({', '.join(FORMATS)})"
    if isinstance(error, UnidentifiedImageError):
        return DataError(f"{path}: not an image, or a broken one · {expected}")
    return DataError(f"{path}: cannot be opened ({reason(error)}) · {expected}")
