"""Where files are kept that can be made or fetched again."""

import contextlib
import os
import re
from pathlib import Path

from vipbench.errors import DataError

FETCHED = "vipbench-fetched.json"
"""File beside fetched data: what came from where, with its size and digest."""


def cache_folder() -> Path:
    """Return the folder of the cache: `$VIPBENCH_CACHE`, else `~/.cache/vipbench`.

    Raises DataError where neither is known.
    """
    named = os.environ.get("VIPBENCH_CACHE")
    if named:
        return Path(named)
    try:
        return Path.home() / ".cache" / "vipbench"
    except RuntimeError as error:
        raise DataError(
            "cache: there is no home folder to keep it in · name a folder by VIPBENCH_CACHE"
        ) from error


def fetched_folder(key: str) -> Path:
    """Return the folder in the cache that `vipbench data fetch` puts the data of a key into.

    Raises DataError as `cache_folder`.
    """
    return cache_folder() / "data" / key


def find_fetched(key: str) -> Path | None:
    """Return the folder of a key in the cache, if it holds more than an unfinished download."""
    if not re.fullmatch(r"\w[\w-]*", key):
        return None
    with contextlib.suppress(DataError, OSError):
        folder = fetched_folder(key)
        if any(path.name != FETCHED and not path.name.startswith(".") for path in folder.iterdir()):
            return folder
    return None
