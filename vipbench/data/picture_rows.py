"""Tables whose rows hold pictures, written once as JSON lines and image files for a reader.

A table is parquet, or a folder that the library `datasets` has saved. Libraries that read them are
imported only where there is one.
"""

import base64
import hashlib
import json
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from vipbench.data.cache import cache_folder
from vipbench.errors import DataError
from vipbench.files import check_regular, reason
from vipbench.schema import DataSource
from vipbench.validation import shown

QUESTIONS, ORIGIN = "questions.jsonl", "origin.json"
"""What is written: the rows, and which files they came from."""
VERSION = 1
"""Raised by every change to what is written."""
BATCH = 16
"""Rows in memory at a time; each may hold pictures."""
ENDINGS = {b"\x89PNG": ".png", b"\xff\xd8\xff": ".jpg", b"RIFF": ".webp", b"GIF8": ".gif"}
"""How files of an image format begin, and what they are called."""


def is_saved(folder: Path) -> bool:
    """Say whether the library `datasets` has saved this folder."""
    return any((folder / name).is_file() for name in ("state.json", "dataset_dict.json"))


def write_pictures(
    source: DataSource, tables: Sequence[Path], pictures: Sequence[str]
) -> DataSource:
    """Write tables as JSON lines, with the paths of images in place of the pictures.

    Args:
        source: whose statements on boxes and EXIF stay.
        tables: parquet files, or one saved folder.
        pictures: the columns of pictures: bytes, `{bytes, path}` or base64; a row without one has
            null there.

    Raises:
        DataError: A table is broken, or the disk refuses.
    """
    facts = [VERSION, list(pictures), [_state(path) for path in tables]]
    name = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]
    folder = cache_folder() / f"pictures-{name}"
    if not folder.is_dir():
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
                unfinished = Path(scratch) / "data"
                _write(tables, pictures, unfinished)
                if not folder.is_dir():  # another process may have been first
                    unfinished.rename(folder)
        except OSError as error:
            raise DataError(
                f"{tables[0]}: cannot be written to {folder} ({error.strerror}) · make room, or"
                " name another folder by VIPBENCH_CACHE"
            ) from error
    return source._replace(questions=folder / QUESTIONS, images=folder, more_images=())


def origins(questions: Path) -> list[dict[str, Any]]:
    """Return name, md5 and number of bytes of each file that rows came from; empty: not known."""
    path = questions.parent / ORIGIN
    return json.loads(path.read_bytes()) if path.is_file() else []


def _state(path: Path) -> list[object]:
    """Return what stands for the content of a file or folder."""
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    states = ((file, file.stat()) for file in files if file.is_file())
    return [[str(file.resolve()), state.st_size, state.st_mtime_ns] for file, state in states]


def _write(tables: Sequence[Path], pictures: Sequence[str], folder: Path) -> None:
    (folder / "images").mkdir(parents=True)
    with (folder / QUESTIONS).open("w", encoding="utf-8") as file:
        for table in tables:
            for row in _rows(table):
                for name in pictures:
                    row[name] = _write_image(row.get(name), folder)
                line = json.dumps(row, ensure_ascii=False, allow_nan=False, default=str)
                file.write(line + "\n")
    known = [_origin(path) for path in tables if path.is_file()]
    (folder / ORIGIN).write_text(json.dumps(known), encoding="utf-8")


def _origin(path: Path) -> dict[str, object]:
    with path.open("rb") as file:
        # What the publishers tell their files apart by; it protects nothing.
        digest = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False))
    return {"name": path.name, "md5": digest.hexdigest(), "bytes": path.stat().st_size}


def _rows(table: Path) -> Iterable[dict[str, Any]]:
    return _saved_rows(table) if table.is_dir() else _parquet_rows(table)


def _parquet_rows(path: Path) -> Iterator[dict[str, Any]]:
    import pyarrow
    import pyarrow.parquet

    try:
        check_regular(path)
        for batch in pyarrow.parquet.ParquetFile(path).iter_batches(batch_size=BATCH):
            yield from batch.to_pylist()
    except (OSError, ValueError, pyarrow.ArrowException) as error:
        raise DataError(
            f"{path}: no parquet that can be read ({shown(reason(error))}) · download it again"
        ) from error


def _saved_rows(folder: Path) -> Iterator[dict[str, Any]]:
    import datasets

    try:
        loaded = datasets.load_from_disk(str(folder))
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise DataError(
            f"{folder}: a folder of datasets that cannot be loaded ({shown(reason(error))}) ·"
            " save it again"
        ) from error
    if isinstance(loaded, dict):
        raise DataError(
            f"{folder}: has the splits {', '.join(loaded)} · expected the folder of one split"
        )
    for name, kind in loaded.features.items():
        if isinstance(kind, datasets.Image):
            loaded = loaded.cast_column(name, datasets.Image(decode=False))
    for row in loaded:
        yield dict(row)


def _decoded(text: str) -> bytes:
    """Return the bytes of base64, also in a `data:` URL; those of the text where it is none."""
    try:
        return base64.b64decode(text.rpartition(",")[2] if text.startswith("data:") else text)
    except ValueError:
        return text.encode(errors="replace")


def _write_image(value: object, folder: Path) -> str | None:
    """Write a picture under its digest, so that rows which share one share its path.

    What is no picture is written, too: it is reported as a broken image of its question.
    """
    if isinstance(value, dict):
        value = value.get("bytes")
    if isinstance(value, str):
        value = _decoded(value)
    if not isinstance(value, bytes) or not value:
        return None
    ending = next((end for start, end in ENDINGS.items() if value.startswith(start)), "")
    name = f"images/{hashlib.sha256(value).hexdigest()[:32]}{ending}"
    (folder / name).write_bytes(value)
    return name
