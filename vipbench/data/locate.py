"""Where benchmark data come from, and how their images are opened.

Knows nothing about tasks or models.
"""

import contextlib
import errno
import hashlib
import json
import math
import os
import re
import stat
import struct
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import ExifTags, Image, TiffImagePlugin, UnidentifiedImageError

from vipbench.errors import DataError, nearest
from vipbench.schema import DataSource, read_yaml, shown

if TYPE_CHECKING:
    import datasets

KEYS = ("visual7w", "pointqa", "vcr", "vip_bench")
MAX_PIXELS = 100_000_000
REMEMBERED = 20_000
"""Images whose header and digest are remembered: more than a published test set has."""
FETCHED = "vipbench-fetched.json"
"""File beside fetched data: what came from where, with its size and digest."""
SYNTHETIC_MARKER = "vipbench-synthetic.json"
"""File that the demo generator leaves beside question files; every table then says `synthetic`."""
HUB_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*(:\w+)?(?<!\.json)(?<!\.jsonl)")
"""`owner/name` or `owner/name:split`."""
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


def cache_folder() -> Path:
    """Return the folder of files that can be made again: `$VIPBENCH_CACHE`, `~/.cache/vipbench`.

    Raises DataError where neither is known.
    """
    given = os.environ.get("VIPBENCH_CACHE")
    if given:
        return Path(given)
    try:
        return Path.home() / ".cache" / "vipbench"
    except RuntimeError as error:
        raise DataError(
            "cache: there is no home folder to keep it in; name a folder by VIPBENCH_CACHE"
        ) from error


def fetched_folder(key: str) -> Path:
    """Return the folder in the cache that `vipbench data fetch` puts the data of a key into.

    Raises DataError as `cache_folder`.
    """
    return cache_folder() / "data" / key


def _fetched(key: str) -> Path | None:
    """Return the folder of a key in the cache, if anything is there but a broken-off download."""
    if not re.fullmatch(r"\w[\w-]*", key):
        return None
    with contextlib.suppress(DataError, OSError):
        folder = fetched_folder(key)
        if any(path.name != FETCHED and not path.name.startswith(".") for path in folder.iterdir()):
            return folder
    return None


def parse_data_options(options: Sequence[str]) -> dict[str, DataSource]:
    """Read `--data` values: `KEY=DIR`, `KEY=FILE`, or a YAML file `{KEY: {questions, images}}`.

    Paths in a YAML file are relative to it. Raises DataError for unknown forms, missing paths and a
    key that is given twice.
    """
    sources: dict[str, DataSource] = {}
    for option in options:
        found = _data_option(option)
        for key in found:
            if key in sources:
                raise DataError(f"--data {option}: {key} is given twice; give each key once")
        sources.update(found)
    return sources


def _data_option(option: str) -> dict[str, DataSource]:
    key, equals, value = option.partition("=")
    if option.endswith((".yaml", ".yml")) and (not equals or Path(option).is_file()):
        return _data_file(Path(option).expanduser())
    if not (key and value):
        raise DataError(
            f"--data {option}: expected KEY=DIR (keys: {', '.join(KEYS)}), KEY=FILE or a YAML file"
        )
    path = Path(value).expanduser()
    if not path.exists():
        raise DataError(f"--data {option}: {value} does not exist; give an existing folder or file")
    return {key: DataSource(path, path if path.is_dir() else path.parent)}


def _data_file(path: Path) -> dict[str, DataSource]:
    mistakes = []
    sources: dict[str, DataSource] = {}
    for key, entry in read_yaml(path, DataError).items():
        wrong = _place_mistakes(entry, path.parent)
        mistakes += [f"{key}: {mistake}" for mistake in wrong]
        if not wrong:
            places = (Path(entry[field]).expanduser() for field in DataSource._fields)
            sources[key] = DataSource(*(path.parent / place for place in places))
    if mistakes:
        raise DataError(f"--data {path}: {'; and '.join(mistakes)}")
    return sources


def _place_mistakes(entry: object, folder: Path) -> list[str]:
    fields = DataSource._fields
    if not isinstance(entry, dict):
        return [f"expected the keys 'questions' and 'images', not {shown(entry)}"]
    mistakes = [
        f"unknown key {key!r}{nearest(str(key), fields)}" for key in entry if key not in fields
    ]
    for field in fields:
        place = entry.get(field)
        if not isinstance(place, str):
            mistakes.append(f"{field} is {shown(place)}; expected a path")
        elif not (folder / Path(place).expanduser()).exists():
            mistakes.append(f"{field}: {place} does not exist (relative to the file)")
    return mistakes


def locate(key: str, overrides: Mapping[str, DataSource], base: Path | None = None) -> DataSource:
    """Find the data of a key: given by the user, beside the task, or fetched into the cache.

    A path relative to `base`, the task's folder, goes before the cache.

    A folder that `datasets` has saved, or an id on its hub (`owner/name`, `owner/name:split`), is
    written once as JSON lines and image files into the cache.

    Raises DataError, saying which option to give, where nothing is found.
    """
    if key in overrides:
        for place in overrides[key]:
            if not place.exists():
                raise DataError(f"data {key!r}: {place} does not exist; give an existing folder")
        return _unpacked(overrides[key])
    if base is not None and (base / key).exists():
        path = base / key
        return _unpacked(DataSource(path, path if path.is_dir() else path.parent))
    folder = _fetched(key)
    if folder is not None:
        return DataSource(folder, folder)
    if re.fullmatch(HUB_ID, key) and not (base and (base / key).parent.exists()):
        return _unpack(_from_hub(key), key)
    known = nearest(key, overrides) if overrides else ""
    fetch = f", or `vipbench data fetch {key}`" if key in KEYS else ""
    raise DataError(
        f"data {key!r}: no location is known{known}; give --data {key}=DIR, the release's folder"
        f"{fetch}"
    )


# --- rows of the library `datasets`


def _unpacked(source: DataSource) -> DataSource:
    """Return a source as it is, or what is written from it where it is a folder of `datasets`."""
    folder = source.questions
    is_dataset = (folder / "state.json").is_file() and (folder / "dataset_info.json").is_file()
    if not is_dataset and not (folder / "dataset_dict.json").is_file():
        return source
    import datasets  # takes a second

    try:
        loaded = datasets.load_from_disk(str(folder))
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise DataError(
            f"{folder}: a folder of datasets that cannot be loaded ({shown(_reason(error))});"
            " save it again"
        ) from error
    return _unpack(_one_split(loaded, str(folder)), str(folder))


def _from_hub(key: str) -> "datasets.Dataset":
    import datasets  # takes a second

    name, _, split = key.partition(":")
    try:
        loaded = datasets.load_dataset(name, split=split or None)
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise DataError(
            f"data {key!r}: no such file beside the task, and not loaded from the hub"
            f" ({shown(_reason(error))}); give --data {key}=DIR"
        ) from error
    return _one_split(loaded, key)


def _one_split(loaded: "datasets.Dataset | datasets.DatasetDict", where: str) -> "datasets.Dataset":
    """Choose the only split, else the one called `test`."""
    if not isinstance(loaded, dict):
        return loaded
    name = next(iter(loaded)) if len(loaded) == 1 else "test"
    if name not in loaded:
        raise DataError(
            f"{where}: has the splits {', '.join(loaded)}; name one, as FOLDER/SPLIT or"
            " owner/name:SPLIT"
        )
    return loaded[name]


def _unpack(dataset: "datasets.Dataset", where: str) -> DataSource:
    """Write rows as the reader `jsonl` reads them, once for each fingerprint of the data."""
    import datasets

    columns = [name for name, kind in dataset.features.items() if isinstance(kind, datasets.Image)]
    if len(columns) != 1:
        found = ", ".join(columns) or "none"
        raise DataError(f"{where}: expected exactly one column of images, found {found}")
    if "image" in dataset.features and columns != ["image"]:
        raise DataError(f"{where}: column 'image' holds no images, but {columns[0]!r} does; rename")
    folder = cache_folder() / f"datasets-{dataset._fingerprint}"
    if not folder.is_dir():
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
                unfinished = Path(scratch) / "data"
                _write_rows(dataset, columns[0], unfinished)
                if not folder.is_dir():  # another process may have been first
                    unfinished.rename(folder)
        except OSError as error:
            raise DataError(f"{where}: cannot be written to {folder} ({error.strerror})") from error
    return DataSource(folder / "questions.jsonl", folder)


def _write_rows(dataset: "datasets.Dataset", column: str, folder: Path) -> None:
    import datasets

    (folder / "images").mkdir(parents=True)
    names = {
        key: kind for key, kind in dataset.features.items() if isinstance(kind, datasets.ClassLabel)
    }
    rows = dataset.with_format(None).cast_column(column, datasets.Image(decode=False))
    with (folder / "questions.jsonl").open("w", encoding="utf-8") as file:
        for row in rows:
            row["image"] = _write_image(row.pop(column), folder)
            for key, kind in names.items():
                row[key] = None if row[key] is None else kind.int2str(row[key])
            line = json.dumps(_plain(row), ensure_ascii=False, allow_nan=False, default=str)
            file.write(line + "\n")


def _write_image(image: dict[str, object] | None, folder: Path) -> str:
    """Write an image's bytes under their digest, so that rows which share one share its path."""
    stored, path = (image or {}).get("bytes"), str((image or {}).get("path") or "")
    if not isinstance(stored, bytes):
        if not Path(path).is_file():
            return f"images/{PurePosixPath(path).name or 'none'}"  # found missing later on
        stored = Path(path).read_bytes()
    suffix = re.search(r"(\.[A-Za-z0-9]{1,5})?$", path)
    name = f"images/{hashlib.sha256(stored).hexdigest()[:32]}{suffix[0] if suffix else ''}"
    (folder / name).write_bytes(stored)
    return name


def _plain(value: object) -> object:
    """Make a value JSON: drop keys without a value, which `datasets` adds to make rows alike."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items() if each is not None}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None  # no JSON; the reader says which row lacks the number
    return value


# --- files


def is_synthetic(source: DataSource) -> bool:
    """Say whether the data were made by the demo generator."""
    folder = source.questions if source.questions.is_dir() else source.questions.parent
    return (folder / SYNTHETIC_MARKER).exists()


def safe_path(root: Path, relative: str) -> Path:
    """Join a path from a data file to its root; DataError where it would leave the root."""
    pure = PurePosixPath(relative)
    if not relative or pure.is_absolute() or ".." in pure.parts or {"\\", "\0"} & set(relative):
        raise DataError(
            f"image path {shown(relative)}: expected a relative path that stays below the image"
            " root"
        )
    path = root / pure
    steps = [path, *path.parents][: len(pure.parts)]
    # islink, which says no of a name that cannot exist, and not resolve() at once, which is slow
    linked = any(os.path.islink(step) for step in steps)  # noqa: PTH114
    if linked and not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root)):
        raise DataError(
            f"image path {shown(relative)}: a link that leaves the image root {root}; give the"
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

    Raises DataError where the file is missing, is no image, or holds over 100 megapixels.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise _unopened(path, error) from error
    if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for ever
        raise DataError(f"{path}: cannot be opened (no file); expected an image")
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
    """Decode an image to RGB; also return the mode it was stored in (`RGB`, `L`, `P`, `I;16`, ...).

    16-bit grey is scaled (65535 -> 255), not clipped; of an animation the first frame is taken;
    EXIF orientation is not applied, since boxes refer to stored pixels; transparency is dropped,
    which shows the colours beneath, as the official code does.

    Raises DataError where the image cannot be decoded, or where its range of values is not known.
    """
    with _open(path) as image:
        mode, orientation = image.mode, _orientation(image)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Pillow's advice on transparency in palettes
                rgb = _scaled(image).convert("RGB")
        except _DECODE_ERRORS as error:
            raise DataError(
                f"{path}: cannot be decoded ({_reason(error)}); expected an intact image"
            ) from error
    undo = _UNDO.get(orientation)
    return (rgb if undo is None else rgb.transpose(undo)), mode


def _scaled(image: Image.Image) -> Image.Image:
    """Bring 16-bit grey levels to 0-255; ValueError where deeper ones are outside 0-65535."""
    if image.mode == "F":
        raise ValueError("it holds floating point numbers, whose range is not known")
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
        raise DataError(f"{path}: {_reason(error)}; expected at most 100 megapixels") from error
    except _DECODE_ERRORS as error:
        raise _unopened(path, error) from error
    width, height = image.size
    if width * height > MAX_PIXELS:
        image.close()
        raise DataError(f"{path}: {width} x {height} px; expected at most 100 megapixels")
    return image


def _unopened(path: Path, error: BaseException) -> DataError:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return DataError(f"{path}: does not exist")
    expected = f"expected an image ({', '.join(FORMATS)})"
    if isinstance(error, UnidentifiedImageError):
        return DataError(f"{path}: no image, or a broken one; {expected}")
    return DataError(f"{path}: cannot be opened ({_reason(error)}); {expected}")


def _reason(error: BaseException) -> str:
    known = error.strerror if isinstance(error, OSError) else None
    return known or " ".join(str(error).split()) or type(error).__name__


def size_in_words(n_bytes: int) -> str:
    """Write a number of bytes with three digits, in powers of a thousand: `1.86 GB`."""
    size, units = float(n_bytes), ["bytes", "kB", "MB", "GB", "TB"]
    while size >= 999.5 and len(units) > 1:
        size, units = size / 1000, units[1:]
    return f"{size:.3g} {units[0]}"


def unwritten(path: Path, error: OSError, kept: str) -> DataError:
    """Make the error for a file that cannot be written; `kept` says what is not lost."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return DataError(
            f"{path}: cannot be written ({error.strerror}); {kept}: make room, then give the same"
            " command again to go on"
        )
    return DataError(
        f"{error.filename or path}: cannot be written or read ({_reason(error)}); {kept}; expected"
        " a folder that takes new files: name another with -o"
    )


def file_digest(path: Path) -> str:
    """Return the sha256 of a file's bytes, in hex; remembered while the file does not change.

    Raises DataError where the file cannot be read.
    """
    try:
        status = path.stat()
        return _digest(str(path), status.st_size, status.st_mtime_ns)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({_reason(error)})") from error


@lru_cache(maxsize=REMEMBERED)
def _digest(path: str, size: int, mtime_ns: int) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
