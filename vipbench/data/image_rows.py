"""Rows with images in them, of parquet, of `datasets` and of JSON, as files that readers take.

They are written into the cache once, as JSON lines and image files. Libraries are imported only
where there is such a folder, file or id: that takes a second.
"""

import hashlib
import json
import math
import mmap
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vipbench.data.cache import cache_folder
from vipbench.data.parquet import class_name, find_parquet, read_columns, read_rows
from vipbench.data.row_images import (
    BASE64_IMAGE,
    IMAGE_KEYS,
    image_column,
    names_paths,
    with_files,
)
from vipbench.digests import digest, file_digest
from vipbench.errors import DataError
from vipbench.files import check_regular, reason
from vipbench.reading import read_questions
from vipbench.schema import DataSource
from vipbench.validation import shown

if TYPE_CHECKING:
    import datasets

HUB_ID = re.compile(
    r"(?P<name>[\w-][\w.-]*/[\w-][\w.-]*)(?<!\.json)(?<!\.jsonl)(?<!\.parquet)"
    r"(?::(?P<split>\w+))?(?:@(?P<revision>\w[\w./-]*))?"
)
"""`owner/name`, with `:split`, `@revision` or both behind it."""
QUESTIONS, ORIGIN = "questions.jsonl", "origin.json"
"""What is written: the rows, and which files they came from."""
PATHS = "paths"
"""Empty file beside the written ones: rows also name images that lie beside the original."""
VERSION = 1
"""Of what `write_pictures` writes; raised by every change to it."""


def is_saved(folder: Path) -> bool:
    """Say whether the library `datasets` has saved this folder."""
    is_dataset = (folder / "state.json").is_file() and (folder / "dataset_info.json").is_file()
    return is_dataset or (folder / "dataset_dict.json").is_file()


def as_files(source: DataSource) -> DataSource:
    """Return a source as it is, or what is written from it where it is a folder of `datasets`.

    Raises DataError where such a folder cannot be loaded, and as `write_rows`.
    """
    folder = source.questions
    if not is_saved(folder):
        return source
    written = write_rows(_one_split(_load(folder), str(folder)), str(folder))
    return _beside(source, written.images, QUESTIONS)


def _load(folder: Path) -> "datasets.Dataset | datasets.DatasetDict":
    import datasets

    try:
        return datasets.load_from_disk(str(folder))
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise DataError(
            f"{folder}: a folder of datasets that cannot be loaded ({shown(reason(error))}) ·"
            " save it again"
        ) from error


def write_pictures(
    source: DataSource, tables: Sequence[Path], pictures: Sequence[str]
) -> DataSource:
    """Write tables, for a reader of its own, as JSON lines with paths in place of pictures.

    All else in a row stays as it is. Which files a table is, is told by their sizes and times.

    Args:
        source: whose statements on boxes and EXIF stay.
        tables: parquet files, or one folder that `datasets` has saved.
        pictures: the columns of pictures; a row without one has null there.

    Raises:
        DataError: A table is broken, or the disk refuses.
    """

    def write(folder: Path) -> None:
        rows = (_with_pictures(row, pictures) for table in tables for row in _table_rows(table))
        _write_lines(rows, folder, QUESTIONS, pictures, local=tables[0].is_dir())
        known = [_origin(path) for path in tables if path.is_file()]
        (folder / ORIGIN).write_text(json.dumps(known), encoding="utf-8")

    facts = [VERSION, list(pictures), [_state(path) for path in tables]]
    name = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]
    return _beside(source, _folder(f"pictures-{name}", str(tables[0]), write), QUESTIONS)


def origins(questions: Path) -> list[dict[str, Any]]:
    """Return name, md5 and number of bytes of each file that rows came from; empty: not known."""
    path = questions.parent / ORIGIN
    return json.loads(path.read_bytes()) if path.is_file() else []


def _state(path: Path) -> list[object]:
    """Return what stands for the content of a file or folder."""
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    states = ((file, file.stat()) for file in files if file.is_file())
    return [[str(file.resolve()), state.st_size, state.st_mtime_ns] for file, state in states]


def _origin(path: Path) -> dict[str, object]:
    with path.open("rb") as file:
        # What the publishers tell their files apart by; it protects nothing.
        digest = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False))
    return {"name": path.name, "md5": digest.hexdigest(), "bytes": path.stat().st_size}


def _table_rows(table: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of a parquet file, or of a saved folder of one split."""
    if not table.is_dir():
        return read_rows(table)
    loaded = _load(table)
    if isinstance(loaded, dict):
        raise DataError(
            f"{table}: has the splits {', '.join(loaded)} · expected the folder of one split"
        )
    return _plain_rows(loaded)


def _with_pictures(row: dict[str, Any], pictures: Sequence[str]) -> dict[str, Any]:
    """Return a row with all columns of pictures, null where there is none in one."""
    return row | {name: _picture(row.get(name)) for name in pictures}


def _picture(value: object) -> object:
    if isinstance(value, dict):
        return value.get("bytes") or ({"path": value["path"]} if value.get("path") else None)
    return value or None


def with_rows(source: DataSource) -> DataSource:
    """Return a source as reader `jsonl` takes it, whatever form its rows have.

    That is what is written from it, where it is parquet, or JSON with images in it; else as
    `as_files`. Raises DataError where it cannot be read or written.
    """
    if paths := find_parquet(source.questions):
        return _with_parquet(source, paths)
    path = _only_json(source.questions)
    if path is not None and _has_images(path):
        return _with_json(source, path)
    return as_files(source)


def _with_parquet(source: DataSource, paths: tuple[Path, ...]) -> DataSource:
    where = str(source.questions)
    column = image_column(read_columns(paths), where)

    def write(folder: Path) -> None:
        rows = (row for path in paths for row in read_rows(path))
        _write_rows(((row, column) for row in rows), folder, QUESTIONS)

    folder = _folder(f"parquet-{digest([file_digest(path) for path in paths])[:32]}", where, write)
    return _beside(source, folder, QUESTIONS)


def _only_json(questions: Path) -> Path | None:
    """Return the file that reader `jsonl` would read; None where it says itself what is wrong."""
    if questions.is_dir():
        files = list(questions.glob("*.jsonl"))
        return files[0] if len(files) == 1 else None
    return questions if questions.is_file() else None


def _has_images(path: Path) -> bool:
    try:
        check_regular(path)
        with path.open("rb") as file:
            if not path.stat().st_size:
                return False
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                return BASE64_IMAGE.search(content) is not None
    except OSError:
        return False  # what is wrong is said where the file is read


def _with_json(source: DataSource, path: Path) -> DataSource:
    """Write each record into the line that it has, so that ids and messages stay."""
    name = f"{path.stem}.jsonl"

    def write(folder: Path) -> None:
        file = read_questions(path, written_by_hand=True)
        values = [value for _, value in file.records()]
        by_line = dict(zip(file.lines or range(1, len(values) + 1), values, strict=True))
        lines = (by_line.get(n) for n in range(1, max(by_line, default=0) + 1))
        _write_rows(((value, "image") for value in lines), folder, name)

    key = digest([name, file_digest(path)])[:32]
    return _beside(source, _folder(f"json-{key}", str(path), write), name)


def _beside(source: DataSource, folder: Path, name: str) -> DataSource:
    """Return what was written; images that rows name by paths lie where they lay before."""
    roots = (source.images, *source.more_images) if (folder / PATHS).exists() else ()
    return source._replace(questions=folder / name, images=folder, more_images=roots)


def load_from_hub(key: str) -> "datasets.Dataset":
    """Load an id as `HUB_ID` has it; DataError where it cannot be, or a split is open."""
    import datasets

    match = HUB_ID.fullmatch(key)
    assert match is not None
    revision = match["revision"]
    try:
        loaded = datasets.load_dataset(match["name"], split=match["split"], revision=revision)
    except (OSError, ValueError, LookupError, TypeError) as error:
        at = f" at revision {revision!r}, a branch, tag or commit" if revision else ""
        raise DataError(
            f"data {key!r}: no such file beside the task, and not loaded from the hub{at}"
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
    column = image_column({name: _is_image(kind) for name, kind in dataset.features.items()}, where)

    def write(folder: Path) -> None:
        rows = ((row, column) for row in _plain_rows(dataset))
        _write_rows(rows, folder, QUESTIONS, local=True)

    folder = _folder(f"datasets-{dataset._fingerprint}", where, write)
    return DataSource(folder / QUESTIONS, folder)


def _is_image(kind: object) -> bool:
    """Say whether values of a feature of `datasets` are images, or lists or the bytes of them."""
    import datasets

    if isinstance(kind, datasets.List):
        return _is_image(kind.feature)
    if isinstance(kind, dict):
        return kind.keys() == {"bytes", "path"}
    is_bytes = isinstance(kind, datasets.Value) and kind.dtype in ("binary", "large_binary")
    return is_bytes or isinstance(kind, datasets.Image)


def _folder(name: str, where: str, write: Callable[[Path], None]) -> Path:
    """Return a folder of the cache, which `write` fills aside where it is not there yet."""
    folder = cache_folder() / name
    if not folder.is_dir():
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
                unfinished = Path(scratch) / "data"
                write(unfinished)
                if not folder.is_dir():  # another process may have been first
                    unfinished.rename(folder)
        except OSError as error:
            raise DataError(
                f"{where}: cannot be written to {folder} ({error.strerror}) · make room, or name"
                " another folder by VIPBENCH_CACHE"
            ) from error
    return folder


def _plain_rows(dataset: "datasets.Dataset") -> Iterator[dict[str, Any]]:
    """Yield rows with images as they are stored, and classes by their names."""
    import datasets

    names = {
        key: kind for key, kind in dataset.features.items() if isinstance(kind, datasets.ClassLabel)
    }
    rows = dataset.with_format(None)
    for name, kind in dataset.features.items():
        if isinstance(kind, datasets.Image):
            rows = rows.cast_column(name, datasets.Image(decode=False))
        elif isinstance(kind, datasets.List) and isinstance(kind.feature, datasets.Image):
            rows = rows.cast_column(name, datasets.List(datasets.Image(decode=False)))
    for row in rows:
        yield row | {key: class_name(row[key], kind.names) for key, kind in names.items()}


def _write_rows(
    rows: Iterable[tuple[object, str]], folder: Path, name: str, *, local: bool = False
) -> None:
    """Write rows, each with its column of images, as reader `jsonl` takes them.

    Keys without a value, which `datasets` adds to make rows alike, are left out.
    """
    renamed = (
        _renamed(row, key, local=local) if isinstance(row, dict) else row for row, key in rows
    )
    _write_lines(renamed, folder, name, IMAGE_KEYS, local=local, sparse=True)


def _write_lines(
    rows: Iterable[object],
    folder: Path,
    name: str,
    keys: Sequence[str],
    *,
    local: bool,
    sparse: bool = False,
) -> None:
    """Write rows, with images under some keys, as JSON lines and image files.

    None leaves its line empty; what is no object is written as it is, for the reader to report.
    """
    (folder / "images").mkdir(parents=True)
    has_paths = False
    with (folder / name).open("w", encoding="utf-8") as file:
        for row in rows:
            written = row
            if isinstance(row, dict):
                written = with_files(row, folder, keys, local=local)
                has_paths |= names_paths(row, written, keys)
            plain = _plain(written, sparse=sparse)
            line = json.dumps(plain, ensure_ascii=False, allow_nan=False, default=str)
            file.write("\n" if row is None else line + "\n")
    if has_paths:
        (folder / PATHS).touch()


def _renamed(row: dict[str, Any], column: str, *, local: bool) -> dict[str, Any]:
    """Call the column of images as the reader does; `local`: one without an image is missing."""
    named = row
    if column not in IMAGE_KEYS:
        named = {("image" if key == column else key): value for key, value in row.items()}
    is_missing = local and "image" in named and named["image"] is None
    return named | {"image": {"path": None}} if is_missing else named


def _plain(value: object, *, sparse: bool) -> object:
    """Make a value JSON; `sparse` drops keys without a value."""
    if isinstance(value, dict):
        return {
            key: _plain(item, sparse=sparse)
            for key, item in value.items()
            if item is not None or not sparse
        }
    if isinstance(value, list):
        return [_plain(item, sparse=sparse) for item in value]
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")  # run lengths of a mask
    if isinstance(value, float) and not math.isfinite(value):
        return None  # not in JSON; the reader says which row lacks the number
    return value
