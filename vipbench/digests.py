"""digests: part of what was vipbench/data/locate.py."""

import hashlib
import json
from functools import lru_cache
from pathlib import Path

from vipbench.errors import DataError
from vipbench.files import reason

REMEMBERED = 20_000
"""Images whose header and digest are remembered: more than a published test set has."""


def file_digest(path: Path) -> str:
    """Return the sha256 of a file's bytes, in hex; remembered while the file does not change.

    Raises DataError where the file cannot be read.
    """
    try:
        status = path.stat()
        return _digest(str(path), status.st_size, status.st_mtime_ns)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({reason(error)})") from error


@lru_cache(maxsize=REMEMBERED)
def _digest(path: str, size: int, mtime_ns: int) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest(value: object) -> str:
    """Return the sha256, in hex, of plain data as canonical JSON."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
