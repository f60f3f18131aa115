"""Where benchmark data lie, and how their images are opened. Knows nothing about tasks or models."""

import hashlib
import struct
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path, PurePosixPath

import numpy as np
import yaml
from PIL import Image

from vipbench.errors import DataError, nearest
from vipbench.schema import DataSource

KEYS = ("visual7w", "pointqa", "vcr", "vip_bench")
MAX_PIXELS = 100_000_000
SYNTHETIC_MARKER = "vipbench-synthetic.json"
"""File that the demo generator leaves beside question files; every table then says `synthetic`."""

_DECODE_ERRORS = (
    OSError,
    SyntaxError,  # Pillow's PNG reader raises it for a broken header
    ValueError,
    EOFError,
    struct.error,
    Image.DecompressionBombError,
)


def parse_data_options(options: Sequence[str]) -> dict[str, DataSource]:
    """Read `--data` values: `KEY=DIR`, `KEY=FILE`, or a YAML file `{KEY: {questions, images}}`.

    Paths in a YAML file are relative to it. Raises DataError for unknown forms and missing paths.
    """
    sources: dict[str, DataSource] = {}
    for option in options:
        key, equals, value = option.partition("=")
        if equals:
            path = Path(value).expanduser()
            if not path.exists():
                raise DataError(f"--data {option}: {value} does not exist; give an existing folder")
            sources[key] = DataSource(path, path if path.is_dir() else path.parent)
        elif option.endswith((".yaml", ".yml")):
            sources.update(_data_file(Path(option).expanduser()))
        else:
            raise DataError(f"--data {option}: expected KEY=DIR (keys: {', '.join(KEYS)}) or a YAML")
    return sources


def _data_file(path: Path) -> dict[str, DataSource]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"--data {path}: cannot be read ({error.strerror})") from error
    except yaml.YAMLError as error:
        raise DataError(f"--data {path}: not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise DataError(f"{path}: expected a mapping KEY: {{questions, images}}")
    sources: dict[str, DataSource] = {}
    for key, entry in content.items():
        if not isinstance(entry, dict) or set(entry) != {"questions", "images"}:
            raise DataError(f"{path}: {key}: expected exactly the keys 'questions' and 'images'")
        source = DataSource(*(path.parent / str(entry[k]) for k in ("questions", "images")))
        for place in source:
            if not place.exists():
                raise DataError(f"{path}: {key}: {place} does not exist")
        sources[str(key)] = source
    return sources


def locate(key: str, overrides: Mapping[str, DataSource], base: Path | None = None) -> DataSource:
    """Find the data of a key: given by the user, else a path relative to `base` (a task's folder).

    Raises DataError, saying which option to give, where nothing is found.
    """
    if key in overrides:
        return overrides[key]
    if base is not None and (base / key).exists():
        path = base / key
        return DataSource(path, path if path.is_dir() else path.parent)
    known = nearest(key, overrides) if overrides else ""
    raise DataError(
        f"data {key!r}: no location is known; give --data {key}=DIR, the folder of the release{known}"
    )


def is_synthetic(source: DataSource) -> bool:
    """Say whether the data were made by the demo generator."""
    folder = source.questions if source.questions.is_dir() else source.questions.parent
    return (folder / SYNTHETIC_MARKER).exists()


def safe_path(root: Path, relative: str) -> Path:
    """Join a path from a data file to its root; DataError where it would leave the root."""
    pure = PurePosixPath(relative)
    if not relative or pure.is_absolute() or ".." in pure.parts or "\\" in relative:
        raise DataError(
            f"image path {relative!r}: expected a relative path that stays below the image root"
        )
    path = root / pure
    if path.is_symlink() and not path.resolve().is_relative_to(root.resolve()):
        raise DataError(f"image path {relative!r}: a link that leaves the image root {root}")
    return path


def image_size(path: Path) -> tuple[int, int]:
    """Read width and height in px from an image's header.

    Raises DataError where the file is missing, is no image, or holds over 100 megapixels.
    """
    with _open(path) as image:
        return image.size


def open_image(path: Path) -> tuple[Image.Image, str]:
    """Decode an image to RGB; also return the mode it was stored in (`RGB`, `L`, `P`, `I;16`, ...).

    16-bit grey is scaled (65535 -> 255), not clipped; of an animation the first frame is taken; EXIF
    orientation is not applied, since boxes refer to stored pixels. Raises DataError.
    """
    with _open(path) as image:
        mode = image.mode
        try:
            if mode.startswith("I"):
                levels = np.asarray(image).astype(np.int64).clip(0, 65535)
                image = Image.fromarray(((levels + 128) // 257).astype(np.uint8))
            return image.convert("RGB"), mode
        except _DECODE_ERRORS as error:
            raise DataError(f"{path}: cannot be decoded ({_reason(error)}); expected an image") from error


def _open(path: Path) -> Image.Image:
    try:
        image = Image.open(path)
    except FileNotFoundError as error:
        raise DataError(f"{path}: does not exist") from error
    except _DECODE_ERRORS as error:
        raise DataError(f"{path}: cannot be opened ({_reason(error)}); expected an image") from error
    width, height = image.size
    if width * height > MAX_PIXELS:
        image.close()
        raise DataError(f"{path}: {width} x {height} px; expected at most 100 megapixels")
    return image


def _reason(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def file_digest(path: Path) -> str:
    """Return the sha256 of a file's bytes, in hex; remembered while the file does not change."""
    status = path.stat()
    return _digest(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=200_000)
def _digest(path: Path, size: int, mtime_ns: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
