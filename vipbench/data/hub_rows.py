"""Rows of `datasets`, of parquet and of JSON with images in it, as the files of reader `jsonl`.

They are written into the cache once. Libraries are imported only where there is such a folder or
id: that takes a second.
"""

import json
import math
import mmap
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vipbench.data.cache import cache_folder
from vipbench.data.parquet import find_parquet, read_columns, read_rows
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
QUESTIONS = "questions.jsonl"
PATHS = "paths"
"""Empty file beside the written ones: rows also name images that lie beside the original."""


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
    return _beside(source, written.images, QUESTIONS)


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
    folder = _folder(
        f"datasets-{dataset._fingerprint}",
        where,
        lambda folder: _write_files(dataset, column, folder),
    )
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
            raise DataError(f"{where}: cannot be written to {folder} ({error.strerror})") from error
    return folder


def _write_files(dataset: "datasets.Dataset", column: str, folder: Path) -> None:
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

    def plain() -> Iterator[tuple[object, str]]:
        for row in rows:
            yield row | {key: _class_name(row[key], kind) for key, kind in names.items()}, column

    _write_rows(plain(), folder, QUESTIONS, local=True)


def _write_rows(
    rows: Iterator[tuple[object, str]], folder: Path, name: str, *, local: bool = False
) -> None:
    """Write rows, each with its column of images, as JSON lines and image files.

    None leaves its line empty; what is no object is written as it is, for the reader to report.
    """
    (folder / "images").mkdir(parents=True)
    has_paths = False
    with (folder / name).open("w", encoding="utf-8") as file:
        for row, column in rows:
            if isinstance(row, dict):
                named = _renamed(row, column)
                row = with_files(named, folder, local=local)
                has_paths |= names_paths(named, row)
            line = json.dumps(_plain(row), ensure_ascii=False, allow_nan=False, default=str)
            file.write("\n" if row is None else line + "\n")
    if has_paths:
        (folder / PATHS).touch()


def _renamed(row: dict[str, Any], column: str) -> dict[str, Any]:
    """Call the column of images as the reader does."""
    if column in IMAGE_KEYS:
        return row
    return {("image" if key == column else key): value for key, value in row.items()}


def _class_name(value: int | None, kind: "datasets.ClassLabel") -> str | None:
    """Return a class by its name; None for -1, which stands for none, and for other numbers.

    The reader says which row lacks what it needs.
    """
    return kind.names[value] if value is not None and 0 <= value < len(kind.names) else None


def _plain(value: object) -> object:
    """Make a value JSON: drop keys without a value, which `datasets` adds to make rows alike."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")  # run lengths of a mask
    if isinstance(value, float) and not math.isfinite(value):
        return None  # not in JSON; the reader says which row lacks the number
    return value
