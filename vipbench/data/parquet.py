"""Parquet files: which of a folder are one split, and their rows.

The library pyarrow, which comes with `datasets`, is imported only where there is such a file.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vipbench.data.fetching.archives import MAX_RATIO, NO_BOMB
from vipbench.errors import DataError, nearest
from vipbench.files import check_regular, reason
from vipbench.validation import shown

if TYPE_CHECKING:
    import pyarrow

MAGIC = b"PAR1"
FOLDERS = ("", "data")
"""Where a repository on the hub has its files."""
BATCH = 16
"""Rows in memory at a time: each may hold a picture."""
REQUIRED = ("question", "answer")

_PART = re.compile(r"(?:(?P<split>.*?)[-_.])?(?P<part>\d+)(?:-of-(?P<parts>\d+))?")
"""`test-00000-of-00002`, `part_3`, `0000`; not `test_v2`."""


def find_parquet(path: Path) -> tuple[Path, ...]:
    """Return the files of one split, in order: `path` itself, or those of a folder.

    Of several splits `test` is taken. Empty where there is none.

    Raises:
        DataError: It is open which split is meant, or one of its files is missing.
    """
    if path.is_file():
        return (path,) if _is_parquet(path) else ()
    for folder in FOLDERS:
        files = sorted((path / folder).glob("*.parquet"))
        if files:
            return _one_split(files, path)
    return ()


def _is_parquet(path: Path) -> bool:
    try:
        check_regular(path)
        with path.open("rb") as file:
            return path.suffix == ".parquet" or file.read(4) == MAGIC
    except OSError:
        return False


def _one_split(files: Sequence[Path], folder: Path) -> tuple[Path, ...]:
    splits: dict[str, list[Path]] = {}
    for file in files:
        match = _PART.fullmatch(file.stem)
        splits.setdefault((match["split"] or "") if match else file.stem, []).append(file)
    name = next(iter(splits)) if len(splits) == 1 else "test"
    if name not in splits:
        named = ", ".join(split or splits[split][0].stem for split in splits)
        raise DataError(
            f"{folder}: has the splits {named} · name the file of one, or give it a folder of its"
            " own"
        )
    parts = {file: match for file in splits[name] if (match := _PART.fullmatch(file.stem))}
    if not parts:
        return tuple(splits[name])
    numbers = sorted(int(match["part"]) for match in parts.values())
    stated = {int(match["parts"]) for match in parts.values() if match["parts"]}
    wanted = max(stated) if stated else numbers[-1] - numbers[0] + 1
    if len(stated) > 1 or wanted != len(numbers):
        shown_files = ", ".join(file.name for file in list(parts)[:3])
        raise DataError(
            f"{folder}: has {len(numbers)} parts ({shown_files}{', …' if len(parts) > 3 else ''}) ·"
            f" expected {wanted}, as their names say · download the others"
        )
    return tuple(sorted(parts, key=lambda file: int(parts[file]["part"])))


def read_columns(paths: Sequence[Path]) -> dict[str, bool]:
    """Return the columns of files that belong together: whether the values of each are images.

    Raises:
        DataError: A file is broken, or would fill the memory; their columns differ; one that every
            question needs is missing; or there are no rows.
    """
    columns: dict[str, bool] = {}
    n_rows = 0
    for path in paths:
        file = _opened(path)
        n_rows += file.metadata.num_rows
        found = {field.name: _holds_images(field.type) for field in file.schema_arrow}
        if columns and found != columns:
            names = " and ".join(", ".join(each) for each in (columns, found))
            raise DataError(
                f"{path}: has other columns than {paths[0].name} ({names}) · expected files of one"
                " table"
            )
        columns = found
    for name in REQUIRED:
        if name not in columns:
            raise DataError(
                f"{paths[0]}: has no column {name!r}{nearest(name, columns)} · expected the keys of"
                " reader jsonl as columns · rename"
            )
    if not n_rows:
        raise DataError(f"{paths[0]}: holds no rows · expected one for each question")
    return columns


def read_rows(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of a file, classes by their names; DataError where it is broken."""
    import pyarrow

    file = _opened(path)
    names = _class_names(file.schema_arrow.metadata or {})
    try:
        for batch in file.iter_batches(batch_size=BATCH):
            for row in batch.to_pylist():
                yield row | {
                    key: class_name(row[key], known) for key, known in names.items() if key in row
                }
    except (OSError, ValueError, pyarrow.ArrowException) as error:
        raise _broken(path, error) from error


def _opened(path: Path) -> "pyarrow.parquet.ParquetFile":
    import pyarrow
    import pyarrow.parquet

    try:
        check_regular(path)
        file = pyarrow.parquet.ParquetFile(path)
        metadata = file.metadata
        groups = [metadata.row_group(n) for n in range(metadata.num_row_groups)]
        n_bytes = sum(group.total_byte_size for group in groups)
        limit = max(NO_BOMB, MAX_RATIO * path.stat().st_size)
    except (OSError, ValueError, pyarrow.ArrowException) as error:
        raise _broken(path, error) from error
    if n_bytes > limit:
        raise DataError(
            f"{path}: unpacks to {n_bytes:,} bytes · expected at most {limit:,} of a file of this"
            " size"
        )
    return file


def _broken(path: Path, error: BaseException) -> DataError:
    return DataError(
        f"{path}: cannot be read as parquet ({shown(reason(error))}) · download or write the file"
        " again"
    )


def _holds_images(kind: "pyarrow.DataType") -> bool:
    """Say whether values of a type are bytes, or `{bytes, path}`."""
    import pyarrow

    if pyarrow.types.is_struct(kind):
        return {field.name for field in kind} == {"bytes", "path"}
    return bool(
        pyarrow.types.is_binary(kind)
        or pyarrow.types.is_large_binary(kind)
        or pyarrow.types.is_fixed_size_binary(kind)
    )


def _class_names(metadata: Mapping[bytes, bytes]) -> dict[str, list[str]]:
    """Return what numbers stand for, by column, where the library `datasets` has written it."""
    try:
        info = json.loads(metadata.get(b"huggingface", b"{}"))
    except ValueError:
        return {}
    for key in ("info", "features"):
        info = info.get(key) if isinstance(info, dict) else None
    features = info if isinstance(info, dict) else {}
    return {
        name: [str(each) for each in kind["names"]]
        for name, kind in features.items()
        if isinstance(kind, dict)
        and kind.get("_type") == "ClassLabel"
        and isinstance(kind.get("names"), list)
    }


def class_name(value: object, known: Sequence[str]) -> object:
    """Return a class by its name; None for -1, which stands for none, and for other numbers."""
    if not isinstance(value, int):
        return value
    return known[value] if 0 <= value < len(known) else None
