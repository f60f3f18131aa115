"""Open images: paths that stay below a root, sizes from headers, pixels as RGB.

A path in a data file is not trusted and cannot name a file outside of its root. Links are another
matter: no data file can make one, and an archive that vipbench unpacks cannot bring one, so they
are the user's own, as those of a hub cache are, and are followed.

Whatever is wrong with a file is a DataError that names it; no broken file starts a program, fills
the memory or blocks.
"""

import re
import stat
import struct
import unicodedata
import warnings
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
from PIL import ExifTags, Image, TiffImagePlugin, UnidentifiedImageError

from vipbench.digests import REMEMBERED
from vipbench.errors import DataError
from vipbench.files import (
    LFS_POINTER,
    SURROGATE,
    check_regular,
    find_below,
    is_lfs_pointer,
    reason,
)
from vipbench.schema import ExifRule, ImageRoots
from vipbench.validation import shown

MAX_PIXELS = 100_000_000
"""Pixels of an image that is opened at most. Ours: 300 MB as RGB."""
FORMATS = ("BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
"""Image formats that are opened. Others that Pillow knows are not decoded: EPS starts a program."""

SIDEWAYS = (5, 6, 7, 8)
"""EXIF orientations that swap width and height."""

_DRIVE = re.compile("[A-Za-z]:[/\\\\]")
_DECODE_ERRORS = (
    OSError,
    SyntaxError,  # Pillow's PNG reader raises it for a broken header
    ValueError,
    EOFError,
    struct.error,
    Image.DecompressionBombError,
)


def safe_path(roots: ImageRoots, relative: str) -> Path:
    """Join a path from a data file to its root; of several roots, to the first that has the file.

    Links below a root are followed, wherever they lead.

    Raises:
        DataError: The path is empty or absolute, or has `..`, a backslash or a NUL in it. Below one
            root it need not exist; below several, it is an error (caused by a FileNotFoundError)
            where none has it, and (AmbiguousFile) where two have different files of this name.
    """
    fault = _path_fault(relative)
    if fault is not None:
        raise DataError(f"image path {shown(relative)}: {fault}")
    if isinstance(roots, Path):
        return roots / PurePosixPath(relative)
    path = find_below(roots, PurePosixPath(relative))
    if path is None:
        folders = ", ".join(map(str, roots))
        raise DataError(f"{relative}: in none of the folders {folders}") from FileNotFoundError()
    return path


def _path_fault(relative: str) -> str | None:
    """Say why a path from a data file is not joined to a root; None where it is."""
    below = "expected a relative path that stays below the image root"
    pure = PurePosixPath(relative)
    if not relative:
        return f"empty · {below}"
    if pure.is_absolute() or _DRIVE.match(relative):
        return f"an absolute path · {below}"
    if "\\" in relative:
        return "backslashes · expected forward slashes"
    if ".." in pure.parts:
        return f"'..' · {below}"
    if SURROGATE.search(relative):
        return f"half a character (a lone surrogate) · {below}"
    return f"a NUL · {below}" if "\0" in relative else None


class ImageHeader(NamedTuple):
    """What is known of an image before it is decoded."""

    size: tuple[int, int]
    """Width and height in px, as stored."""
    mode: str
    """Pillow's name of the mode that it is stored in: `RGB`, `L`, `P`, `I;16`, …"""
    orientation: int = 1
    """EXIF orientation, 1 to 8; 1, as it is stored, also where there is none or a broken one."""

    @property
    def turned_size(self) -> tuple[int, int]:
        """Width and height in px once the image is turned as its orientation says."""
        width, height = self.size
        return (height, width) if self.orientation in SIDEWAYS else (width, height)


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
        swapped = _is_turned_by_pillow(image) and _orientation(image) in SIDEWAYS
        stored = (height, width) if swapped else (width, height)
        return ImageHeader(stored, image.mode, _orientation(image))


def image_size(path: Path) -> tuple[int, int]:
    """Read width and height in px, as stored, from an image's header; raises as `image_header`."""
    return image_header(path).size


def open_image(path: Path, exif: ExifRule | None = None) -> tuple[Image.Image, str]:
    """Decode an image to RGB; also return the mode it was stored in (`RGB`, `L`, `P`, `I;16`, …).

    16-bit grey is scaled (65535 -> 255), not clipped; of an animation the first frame is taken;
    EXIF orientation is not applied unless `exif` says `apply`, since boxes of the benchmarks refer
    to stored pixels; transparency is dropped, which shows the colours beneath, as the official code
    does.

    Raises:
        DataError: The image cannot be decoded, or its range of values is unknown.
    """
    with _open(path) as image:
        mode, orientation = image.mode, _orientation(image)
        turned = _is_turned_by_pillow(image)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Pillow's advice on transparency in palettes
                rgb = _scaled(image).convert("RGB")
        except _DECODE_ERRORS as error:
            raise DataError(
                f"{path}: cannot be decoded ({reason(error)}) · expected an intact image"
            ) from error
    if turned == (exif == "apply") or orientation == 1:
        return rgb, mode
    return rgb.transpose(_UNDO[orientation] if turned else _TURN[orientation]), mode


def stored_levels(path: Path) -> np.ndarray:
    """Return the levels of an image of one channel as they are stored: int (height, width).

    Those of a palette image are its indices; nothing is scaled or turned.

    Raises:
        DataError: The image has other channels, or cannot be decoded.
    """
    with _open(path) as image:
        if image.mode not in ("1", "L", "P") and not image.mode.startswith("I"):
            raise DataError(
                f"{path}: has the mode {image.mode} · expected one channel of whole numbers (a grey"
                " or palette image)"
            )
        try:
            return np.asarray(image)
        except _DECODE_ERRORS as error:
            raise DataError(
                f"{path}: cannot be decoded ({reason(error)}) · expected an intact image"
            ) from error


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
_TURN = {
    **_UNDO,
    6: Image.Transpose.ROTATE_270,
    8: Image.Transpose.ROTATE_90,
}
"""Orientation tag -> what shows the image upright."""


def _is_turned_by_pillow(image: Image.Image) -> bool:
    """Say whether Pillow applies the orientation by itself, as it does for TIFF."""
    return isinstance(image, TiffImagePlugin.TiffImageFile)


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation; 1 where there is none, or one that nothing could apply."""
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        value = image.tag_v2.get(ExifTags.Base.Orientation, 1)
    else:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # on broken EXIF data
                # Not `image.getexif()`: for a PNG without EXIF data, that decodes all pixels.
                value = Image.Image.getexif(image).get(ExifTags.Base.Orientation, 1)
        except (*_DECODE_ERRORS, LookupError, TypeError):  # broken data, which viewers ignore
            return 1
    return value if isinstance(value, int) and value in _UNDO else 1


def _open(path: Path) -> Image.Image:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on sizes below our limit, on broken EXIF data
            check_regular(path)
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
        other = _other_form(path)
        return DataError(f"{path}: does not exist{f' · {other}' if other else ''}")
    expected = f"expected an image ({', '.join(FORMATS)})"
    if isinstance(error, UnidentifiedImageError):
        if _is_lfs_pointer(path):
            return DataError(f"{path}: {LFS_POINTER}")
        return DataError(f"{path}: not an image, or a broken one · {expected}")
    return DataError(f"{path}: cannot be opened ({reason(error)}) · {expected}")


def _is_lfs_pointer(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return is_lfs_pointer(file.read(100))
    except OSError:
        return False


def _other_form(path: Path) -> str:
    """Say that a missing file is there under a name of the same letters, composed otherwise."""
    if path.as_posix().isascii():
        return ""
    here = next((parent for parent in path.parents if parent.is_dir()), None)
    if here is None:
        return ""
    name = path.relative_to(here).parts[0]
    try:
        stored = _composed_names(here, here.stat().st_mtime_ns).get(_composed(name))
    except OSError:
        return ""
    if stored is None or stored == name:
        return ""
    form = next((form for form in ("NFD", "NFC") if unicodedata.is_normalized(form, stored)), "")
    about = f" ({form})" if form else ""
    what = "file" if here == path.parent else "folder"
    return (
        f"there is a {what} of that name in another Unicode form{about} · rename it, or write its"
        " name so in the data file"
    )


@lru_cache(maxsize=8)
def _composed_names(folder: Path, mtime_ns: int) -> dict[str, str]:
    """Return the names in a folder that are not ASCII, by their composed form."""
    names = (path.name for path in folder.iterdir())
    return {_composed(name): name for name in names if not name.isascii()}


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)
