"""Images that lie inside of rows, written to files, so that all other code sees paths.

A file is named by the digest of its bytes: rows that share an image share its path. What is no
image is written, too, and reported as a broken image of its question when it is opened.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from vipbench.errors import DataError, nearest

MASK_KEYS = ("mask", "masks", "label_map")
IMAGE_KEYS = ("image", "images", *MASK_KEYS)
"""Keys of a row of reader `jsonl` under which images, or paths of images, stand."""
ENDINGS = {
    b"\x89PNG": ".png",
    b"\xff\xd8\xff": ".jpg",
    b"GIF8": ".gif",
    b"RIFF": ".webp",
    b"BM": ".bmp",
    b"II*\0": ".tif",
    b"MM\0*": ".tif",
}
"""How files of an image format begin, and what they are called."""
SHORTEST = 64
"""Characters of base64 at least: no image is smaller."""
LONGEST_NAME, LONGEST_PATH = 255, 4096
"""Bytes of a file's name and of a path on Linux, at most."""
BASE64_IMAGE = re.compile(
    rb'"(?:%s)"\s*:\s*\[?\s*(?:\{\s*"(?:bytes|path)"|"(?:data:image/|iVBORw0KGgo|\\?/9j|R0lGOD|UklGR'
    rb"|Qk[0-9A-Za-z+/]{8}|SUkqA|TU0AK|[\w+/=\\-]{200}))" % "|".join(IMAGE_KEYS).encode(),
    re.IGNORECASE,
)
"""A key of JSON with an image in its value: of a known format, or so long that it is not a path."""

_DATA_URL = re.compile(r"\s*data:[\w/.+-]*;base64,", re.IGNORECASE)
_BASE64 = re.compile(r"[\w+/=\s-]+", re.ASCII)


def image_column(columns: Mapping[str, bool], where: str) -> str:
    """Choose the column of images; `columns` tells of each whether its values are images.

    Column `image` may also hold base64 or paths. Raises DataError, which begins with `where`,
    where it is open which column is meant.
    """
    found = [name for name, is_image in columns.items() if is_image and name not in MASK_KEYS]
    for name in ("image", "images"):
        if name in columns and (columns[name] or not found):
            return name
    if "image" in columns:
        raise DataError(f"{where}: column 'image' holds no images, but {found[0]!r} does · rename")
    if len(found) != 1:
        hint = " · rename the one that is meant to image" if found else nearest("image", columns)
        raise DataError(
            f"{where}: expected exactly one column of images, found"
            f" {', '.join(found) or 'none'}{hint}"
        )
    return found[0]


def with_files(
    row: dict[str, Any], folder: Path, keys: Sequence[str] = IMAGE_KEYS, *, local: bool = False
) -> dict[str, Any]:
    """Return a row with the paths of its images, which are written below `folder`.

    An image is bytes, `{bytes, path}`, base64 or a `data:` URL; other text is a path, and stays
    one. `local`: an image without bytes is read from its path, which the library `datasets` knows.
    """
    found = {key: row[key] for key in keys if row.get(key) is not None}
    return row | {key: _as_path(value, folder, local=local) for key, value in found.items()}


def names_paths(
    row: dict[str, Any], written: dict[str, Any], keys: Sequence[str] = IMAGE_KEYS
) -> bool:
    """Say whether a row names an image beside the data, which `with_files` has left as it is."""
    return any(
        isinstance(text, str) and text in (value, *_paths(value))
        for key in keys
        if key in row
        for value, text in zip(_listed(row[key]), _listed(written[key]), strict=True)
    )


def _listed(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]


def _paths(value: object) -> tuple[object, ...]:
    return (value.get("path"),) if isinstance(value, dict) else ()


def _as_path(value: object, folder: Path, *, local: bool) -> object:
    if isinstance(value, list):
        return [_as_path(item, folder, local=local) for item in value]
    if isinstance(value, bytes):
        return _write(value, "", folder)
    if value is None and local:
        return "images/none"  # reported as missing when it is opened
    if isinstance(value, dict) and value.keys() <= {"bytes", "path"}:
        return _written(value, folder, local=local)
    return _of_text(value, folder) if isinstance(value, str) else value


def _written(image: dict[str, object], folder: Path, *, local: bool) -> str:
    """Write `{bytes, path}`; where there are no bytes, it is a path, or missing when opened."""
    stored, path = image.get("bytes"), str(image.get("path") or "")
    if isinstance(stored, str):
        return _of_text(stored, folder, is_path=False)
    if isinstance(stored, bytes):
        return _write(stored, path, folder)
    if not local:
        return path or "images/none"
    missing = f"images/{PurePosixPath(path).name or 'none'}"
    if not Path(path).is_file():
        return missing
    try:
        return _write(Path(path).read_bytes(), path, folder)
    except OSError:  # of one row; it is reported as missing, too
        return missing


def _of_text(text: str, folder: Path, *, is_path: bool = True) -> str:
    """Write base64 as an image; text that may be a path stays as it is."""
    url = _DATA_URL.match(text)
    if url is None and is_path and _may_be_path(text):
        return text
    stored = _decoded(text[url.end() :] if url else text)
    if stored is None:
        return _write(text.encode("utf-8", "replace"), "x.no_base64", folder)
    return _write(stored, "", folder)


def _may_be_path(text: str) -> bool:
    """Tell paths from base64, which is longer, and has no full stop."""
    if len(text) > LONGEST_PATH or max(map(len, text.split("/"))) > LONGEST_NAME:
        return False
    return len(text) < SHORTEST or not _BASE64.fullmatch(text)


def _decoded(text: str) -> bytes | None:
    """Decode base64 in either alphabet, line breaks and a missing end allowed; None for others."""
    plain = "".join(text.split()).rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):  # ValueError: not ASCII
        return None


def _write(stored: bytes, path: str, folder: Path) -> str:
    """Write bytes under their digest, named as `path` ends, else by how they begin."""
    ending = re.search(r"(\.\w{1,10})?$", path, re.ASCII)
    named = ending[0] if ending else ""
    suffix = named or next((e for start, e in ENDINGS.items() if stored.startswith(start)), "")
    name = f"images/{hashlib.sha256(stored).hexdigest()[:32]}{suffix}"
    if not (folder / name).exists():
        (folder / name).write_bytes(stored)
    return name
