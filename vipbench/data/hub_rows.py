"""Rows of the library `datasets`, written as the files that reader `jsonl` takes.

The library is imported only where there is such a folder or id: that takes a second.
"""

import hashlib
import json
import math
import re
import tempfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from vipbench.data.cache import cache_folder
from vipbench.errors import DataError
from vipbench.files import reason
from vipbench.schema import DataSource
from vipbench.validation import shown

if TYPE_CHECKING:
    import datasets

HUB_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*(:\w+)?(?<!\.json)(?<!\.jsonl)")
"""`owner/name` or `owner/name:split`."""


def as_files(source: DataSource) -> DataSource:
    """Return a source as it is, or what is written from it where it is a folder of `datasets`.

    Raises DataError where such a folder cannot be loaded, and as `write_rows`.
    """
    folder = source.questions
    is_dataset = (folder / "state.json").is_file() and (folder / "dataset_info.json").is_file()
    if not is_dataset and not (folder / "dataset_dict.json").is_file():
        return source
    import datasets

    try:
        loaded = datasets.load_from_disk(str(folder))
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise DataError(
            f"{folder}: a folder of datasets that cannot be loaded ({shown(reason(error))}) ·"
            " save it again"
        ) from error
    written = write_rows(_one_split(loaded, str(folder)), str(folder))
    return source._replace(questions=written.questions, images=written.images)


def load_from_hub(key: str) -> "datasets.Dataset":
    """Load `owner/name` or `owner/name:split`; DataError where it cannot be, or a split is open."""
    import datasets

    name, _, split = key.partition(":")
    try:
        loaded = datasets.load_dataset(name, split=split or None)
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise DataError(
            f"data {key!r}: no such file beside the task, and not loaded from the hub"
            f" ({shown(reason(error))}) · give --data {key}=DIR"
        ) from error
    return _one_split(loaded, key)


def _one_split(loaded: "datasets.Dataset | datasets.DatasetDict", where: str) -> "datasets.Dataset":
    """Choose the only split, else the one called `test`."""
    if not isinstance(loaded, dict):
        return loaded
    name = next(iter(loaded)) if len(loaded) == 1 else "test"
    if name not in loaded:
        raise DataError(
            f"{where}: has the splits {', '.join(loaded)} · name one, as FOLDER/SPLIT or"
            " owner/name:SPLIT"
        )
    return loaded[name]


def write_rows(dataset: "datasets.Dataset", where: str) -> DataSource:
    """Write rows into the cache as reader `jsonl` reads them, once for every fingerprint.

    Raises DataError, which begins with `where`, without exactly one column of images, and where the
    disk refuses.
    """
    import datasets

    columns = [name for name, kind in dataset.features.items() if isinstance(kind, datasets.Image)]
    if len(columns) != 1:
        names = ", ".join(columns) or "none"
        raise DataError(f"{where}: expected exactly one column of images, found {names}")
    if "image" in dataset.features and columns != ["image"]:
        raise DataError(
            f"{where}: column 'image' holds no images, but {columns[0]!r} does · rename"
        )
    folder = cache_folder() / f"datasets-{dataset._fingerprint}"
    if not folder.is_dir():
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
                unfinished = Path(scratch) / "data"
                _write_files(dataset, columns[0], unfinished)
                if not folder.is_dir():  # another process may have been first
                    unfinished.rename(folder)
        except OSError as error:
            raise DataError(f"{where}: cannot be written to {folder} ({error.strerror})") from error
    return DataSource(folder / "questions.jsonl", folder)


def _write_files(dataset: "datasets.Dataset", column: str, folder: Path) -> None:
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
                row[key] = _class_name(row[key], kind)
            line = json.dumps(_plain(row), ensure_ascii=False, allow_nan=False, default=str)
            file.write(line + "\n")


def _class_name(value: int | None, kind: "datasets.ClassLabel") -> str | None:
    """Return a class by its name; None for -1, which stands for none, and for other numbers.

    The reader says which row lacks what it needs.
    """
    return kind.names[value] if value is not None and 0 <= value < len(kind.names) else None


def _write_image(image: dict[str, object] | None, folder: Path) -> str:
    """Write an image's bytes under their digest, so that rows which share one share its path."""
    stored, path = (image or {}).get("bytes"), str((image or {}).get("path") or "")
    if not isinstance(stored, bytes):
        if not Path(path).is_file():
            # Reported as missing when it is opened.
            return f"images/{PurePosixPath(path).name or 'none'}"
        try:
            stored = Path(path).read_bytes()
        except OSError:  # of one row; it is reported as missing, too
            return f"images/{PurePosixPath(path).name}"
    suffix = re.search(r"(\.[A-Za-z0-9]{1,5})?$", path)
    name = f"images/{hashlib.sha256(stored).hexdigest()[:32]}{suffix[0] if suffix else ''}"
    (folder / name).write_bytes(stored)
    return name


def _plain(value: object) -> object:
    """Make a value JSON: drop keys without a value, which `datasets` adds to make rows alike."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None  # not in JSON; the reader says which row lacks the number
    return value
