"""all-or-none writes, locks, JSON lines; knows no run."""

import contextlib
import errno
import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, NoReturn, TypeVar

from pydantic import ValidationError

from vipbench.errors import DataError, RunError
from vipbench.schema import Record


def reason(error: BaseException) -> str:
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
        f"{error.filename or path}: cannot be written or read ({reason(error)}); {kept}; expected"
        " a folder that takes new files: name another with -o"
    )


LineT = TypeVar("LineT", bound=Record)

START_OVER = "use --fresh to start over"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def append_lines(path: Path, records: Sequence[Record]) -> None:
    """Append records as JSON lines, all or none; they are on the disk when this returns."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        size = path.stat().st_size if path.exists() else 0
        try:
            with path.open("a", encoding="utf-8", newline="\n") as file:
                file.write("".join(record.model_dump_json() + "\n" for record in records))
                sync(file)
        except OSError:
            os.truncate(path, size)  # or the next line would begin within this one
            raise
    except OSError as error:
        raise refused(path, error) from error


def cut_torn_line(path: Path) -> None:
    """Remove what a crash left of a last line; a missing file is left missing."""
    if not path.exists():
        return
    whole = 0
    for _, offset, raw in _lines(path):
        whole = offset + len(raw)
    try:
        if whole < path.stat().st_size:
            os.truncate(path, whole)
    except OSError as error:
        raise refused(path, error) from error


def read_lines(path: Path, kind: type[LineT], advice: str = START_OVER) -> Iterator[LineT]:
    """Yield the records of a JSON-lines file but a torn last one; RunError names a broken line."""
    return (parse(kind, raw, path, number, advice) for number, _, raw in _lines(path))


def read_json(path: Path) -> object:
    """Read a JSON file; RunError where it is missing or broken."""

    def refuse(constant: str) -> NoReturn:
        raise ValueError(f"{constant} is no number in JSON")

    try:
        value: object = json.loads(path.read_bytes(), parse_constant=refuse)
    except OSError as error:
        raise _unreadable(path, error) from error
    except (ValueError, RecursionError) as error:  # the latter for thousands of brackets
        raise RunError(f"{path}: not JSON ({error}); use --fresh to start over") from error
    return value


def write_lines(path: Path, records: Iterable[Record]) -> None:
    """Write records as JSON lines, all or none: a crash leaves the former file."""
    write_text(path, (record.model_dump_json() + "\n" for record in records))


def write_json(path: Path, value: object) -> None:
    """Write plain data as indented JSON, all or none."""
    write_text(path, (json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False), "\n"))


def write_text(path: Path, parts: Iterable[str]) -> None:
    """Write text in UTF-8, all or none; RunError where the disk refuses."""
    write_bytes(path, (part.encode() for part in parts))


def write_bytes(path: Path, parts: Iterable[bytes]) -> None:
    """Write a file, all or none; RunError where the disk refuses."""
    draft = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with draft.open("wb") as file:
            file.writelines(parts)
            sync(file)
        draft.replace(path)
    except OSError as error:
        raise refused(path, error) from error
    finally:
        with contextlib.suppress(OSError):
            draft.unlink()  # unless it has its name


@contextlib.contextmanager
def made(folder: Path) -> Iterator[None]:
    """Make a folder and its parents; those that are still empty at the end are removed again."""
    missing: list[Path] = []
    try:
        try:
            missing = [each for each in (folder, *folder.parents) if not each.exists()]
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise refused(folder, error) from error
        yield
    finally:
        for each in missing:
            with contextlib.suppress(OSError):  # it holds something
                each.rmdir()


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep a second process out of a run folder, until this one ends; RunError if there is one.

    A folder that does not exist is made, as by `made`.
    """
    with made(folder), _lock(folder):
        yield


@contextlib.contextmanager
def locked_file(path: Path) -> Iterator[None]:
    """Keep a second process from appending to a file, which is made where it is missing.

    RunError if there is one, or where the disk refuses.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.open("a").close()
    except OSError as error:
        raise refused(path, error) from error
    with _lock(path):
        yield


@contextlib.contextmanager
def _lock(place: Path) -> Iterator[None]:
    """Lock a folder or a file."""
    if sys.platform == "win32":
        yield
        return
    import fcntl  # not on Windows

    try:
        handle = os.open(place, os.O_RDONLY)
    except OSError as error:
        raise refused(place, error) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(handle)
        raise RunError(f"{place}: another process runs in it; wait for its end") from error
    except OSError:
        pass  # a network disk without locks
    try:
        yield
    finally:
        os.close(handle)


def _lines(path: Path) -> Iterator[tuple[int, int, bytes]]:
    """Yield number, offset and bytes of each line that was written to its end."""
    offset = 0
    try:
        with path.open("rb") as file:
            for number, raw in enumerate(file, 1):
                if not raw.endswith(b"\n"):
                    return
                yield number, offset, raw
                offset += len(raw)
    except OSError as error:
        raise _unreadable(path, error) from error


def parse(
    kind: type[LineT], line: bytes, path: Path, number: int, advice: str = START_OVER
) -> LineT:
    try:
        return kind.model_validate_json(line)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(map(str, first["loc"]))
        raise RunError(
            f"{path}:{number}: {key + ': ' if key else ''}{first['msg']}; expected a "
            f"{kind.__name__}; {advice}"
        ) from error


def sync(file: IO[str] | IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())


def _unreadable(path: Path, error: OSError) -> RunError:
    if isinstance(error, FileNotFoundError):
        return RunError(f"{path}: does not exist; expected the folder of a started run")
    return RunError(f"{path}: cannot be read ({error.strerror})")


def refused(path: Path, error: OSError) -> RunError:
    if error.errno in _FULL:
        return RunError(
            f"{path}: cannot be written ({error.strerror}); nothing that was answered is lost: "
            "make room, then give the same command again to go on"
        )
    if isinstance(error, FileExistsError | NotADirectoryError):
        file = next((each for each in (path, *path.parents) if each.is_file()), path)
        return RunError(f"{file}: is no folder; expected one, or a new name")
    return RunError(
        f"{path}: cannot be written ({error.strerror}); expected a folder that takes new files; "
        "name another"
    )
