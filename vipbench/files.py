"""Files written as a whole or not at all, locks, JSON lines and CSV; knows nothing of runs."""

import contextlib
import csv
import errno
import filecmp
import json
import os
import re
import stat
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path, PurePath
from types import SimpleNamespace
from typing import IO, NamedTuple, NoReturn, TypeVar

from pydantic import ValidationError

from vipbench.errors import DataError, RunError, first_mistake
from vipbench.schema import ImageRoots, Record

LineT = TypeVar("LineT", bound=Record)

NOT_REGULAR = "not a regular file"
LFS_POINTER = "is a Git LFS pointer · fetch the file with git lfs pull"
"""What a message says of such a file, after its name."""

ABSOLUTE = re.compile(r"(?<![\w./:<>-])(?:~(?=/)|[A-Za-z]:(?=[\\/]))?[\\/](?!/)[^\s:;,'\"()<>·|]+")
"""A path from the root, the home folder or a drive, which no name of ours looks like."""

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Advice(NamedTuple):
    """The ends of messages about a file, said by whoever knows what the file is for."""

    full: str = "make room, then give the same command again"
    """Where the disk is full."""
    broken: str = ""
    """Where the content cannot be read."""
    missing: str = ""
    """Where there is no such file."""


PLAIN = Advice()


class AmbiguousFile(DataError):
    """Several folders have a file of one name, with different content."""


class RawLine(NamedTuple):
    """One line of a file that was written to its end."""

    number: int
    """From 1."""
    offset: int
    """Byte at which it begins."""
    content: bytes
    """With the line feed."""


# --- words


def without_folders(text: str, roots: ImageRoots = ()) -> str:
    """Shorten the paths from the root in a text that others will read.

    What is left is what lies below one of `roots`, else the last name: `cat.png: does not exist`.
    """
    folders = [str(root) for root in ([roots] if isinstance(roots, Path) else roots) if root.name]
    for folder in sorted(folders, key=len, reverse=True):
        text = text.replace(f"{folder}{os.sep}", "")
    return ABSOLUTE.sub(lambda match: PurePath(match[0].replace("\\", "/")).name, text)


def reason(error: BaseException) -> str:
    """Say in a few words why something failed."""
    known = error.strerror if isinstance(error, OSError) else None
    return known or " ".join(str(error).split()) or type(error).__name__


SURROGATE = re.compile("[\ud800-\udfff]")
"""Half a character, which JSON and YAML may hold and no file name or UTF-8 file can."""


def writable(text: str) -> str:
    r"""Escape lone surrogates as `\ud800`: JSON may hold them, and a UTF-8 file cannot."""
    return text.encode("utf-8", "backslashreplace").decode()


def size_in_words(n_bytes: int) -> str:
    """Write a number of bytes with three digits, in powers of a thousand: `1.86 GB`."""
    size, units = float(n_bytes), ["bytes", "kB", "MB", "GB", "TB"]
    while size >= 999.5 and len(units) > 1:
        size, units = size / 1000, units[1:]
    return f"{size:.3g} {units[0]}"


# --- write


def append_lines(path: Path, records: Sequence[Record], advice: Advice = PLAIN) -> None:
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
        raise write_error(path, error, advice) from error


def cut_torn_line(path: Path) -> None:
    """Remove what a crash left of a last line; a missing file is left missing."""
    if not path.exists():
        return
    whole = 0
    for line in raw_lines(path):
        whole = line.offset + len(line.content)
    try:
        if whole < path.stat().st_size:
            os.truncate(path, whole)
    except OSError as error:
        raise write_error(path, error) from error


def write_lines(path: Path, records: Iterable[Record], advice: Advice = PLAIN) -> None:
    """Write records as JSON lines, all or none: a crash leaves the former file."""
    write_text(path, (record.model_dump_json() + "\n" for record in records), advice)


def write_json(path: Path, value: object, advice: Advice = PLAIN) -> None:
    """Write plain data as indented JSON, all or none."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    write_text(path, (text, "\n"), advice)


def csv_text(rows: Iterable[Sequence[object]]) -> str:
    """Write rows as CSV with line feeds; a cell with any line break in it is quoted."""
    lines: list[str] = []
    writer = csv.writer(SimpleNamespace(write=lines.append), lineterminator="\r\n")
    writer.writerows(rows)
    return "".join(line.removesuffix("\r\n") + "\n" for line in lines)


def write_text(path: Path, parts: Iterable[str], advice: Advice = PLAIN) -> None:
    """Write text in UTF-8, all or none; RunError where the disk refuses."""
    write_bytes(path, (part.encode() for part in parts), advice)


def write_bytes(path: Path, parts: Iterable[bytes], advice: Advice = PLAIN) -> None:
    """Write a file, all or none; RunError where the disk refuses."""
    with drafted(path, parts, advice) as place:
        place()


@contextlib.contextmanager
def drafted(
    path: Path, parts: Iterable[bytes], advice: Advice = PLAIN
) -> Iterator[Callable[[], None]]:
    """Write a file to a draft, and give what puts it into its place, if that is called.

    Raises:
        RunError: The disk refuses; or whatever `parts` raises.
    """
    draft = path.with_name(f".{path.name}.part")

    def place() -> None:
        try:
            draft.replace(path)
        except OSError as error:
            raise write_error(path, error, advice) from error

    try:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with draft.open("wb") as file:
                file.writelines(parts)
                sync(file)
        except OSError as error:
            raise write_error(path, error, advice) from error
        yield place
    finally:
        with contextlib.suppress(OSError):
            draft.unlink()  # unless it has its name


def remove_others(folder: Path, pattern: re.Pattern[str], keep: Collection[str]) -> None:
    """Remove the files of a folder whose names match as a whole, apart from some; it may be none.

    Args:
        folder: need not exist.
        pattern: of names of files that are ours.
        keep: names.
    """
    for path in folder.glob("*"):
        if path.name not in keep and pattern.fullmatch(path.name):
            path.unlink()


def sync(file: IO[str] | IO[bytes]) -> None:
    """Bring what was written to an open file to the disk."""
    file.flush()
    os.fsync(file.fileno())


def write_error(path: Path, error: OSError, advice: Advice = PLAIN) -> RunError:
    """Make the error for a file or folder that cannot be written."""
    if error.errno in _FULL:
        return RunError(f"{path}: cannot be written ({error.strerror}) · {advice.full}")
    if isinstance(error, FileExistsError | NotADirectoryError):
        file = next((parent for parent in (path, *path.parents) if parent.is_file()), path)
        return RunError(f"{file}: is not a folder · expected one, or a new name")
    return RunError(
        f"{path}: cannot be written ({error.strerror}) · expected a folder that takes new files · "
        "name another"
    )


def unwritten(path: Path, error: OSError, kept: str) -> DataError:
    """Make the error for a file of data that cannot be written; `kept` says what is not lost."""
    if error.errno in _FULL:
        return DataError(
            f"{path}: cannot be written ({error.strerror}) · {kept} · make room, then give the same"
            " command again to resume"
        )
    return DataError(
        f"{error.filename or path}: cannot be written or read ({reason(error)}) · {kept} · expected"
        " a folder that takes new files · name another with -o"
    )


# --- read


def check_regular(path: Path) -> None:
    """Raise OSError for a pipe, a socket or a device: reading one may never end.

    A folder passes, for opening it fails by itself; so do links to files.
    """
    mode = path.stat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise OSError(errno.EINVAL, NOT_REGULAR, str(path))


def is_file(path: Path) -> bool:
    """Say whether there is a regular file; a path that the system refuses is none."""
    try:
        return path.is_file()
    except OSError:
        return False


def listed(roots: ImageRoots) -> tuple[Path, ...]:
    """Return one or several roots as several."""
    return (roots,) if isinstance(roots, Path) else roots


def find_below(roots: ImageRoots, relative: PurePath | str) -> Path | None:
    """Return the file of a relative path below the first root that has it; None: no root has it.

    Raises AmbiguousFile where another root has a file of this name with different content.
    """
    found = [path for root in listed(roots) if is_file(path := root / relative)]
    check_same(found)
    return found[0] if found else None


def check_same(found: Sequence[Path]) -> None:
    """Raise AmbiguousFile unless all files have the content of the first."""
    for other in found[1:]:
        if not _same_content(found[0], other):
            raise AmbiguousFile(
                f"{found[0]} and {other} are different files, and either may be meant · expected a"
                " name in one of the folders only, or the same bytes in all of them"
            )


def _same_content(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other) or filecmp.cmp(one, other, shallow=False)
    except OSError:
        return False


def is_lfs_pointer(start: bytes) -> bool:
    """Say whether a file that begins so is what Git leaves in place of a large file."""
    return start.startswith(b"version https://git-lfs")


def read_lines(
    path: Path, kind: type[LineT], advice: Advice = PLAIN, *, first: int = 1, offset: int = 0
) -> Iterator[LineT]:
    """Yield the records of a JSON-lines file but a torn last one; RunError names a broken line.

    Args:
        path: of the file.
        kind: of its records.
        advice: ends messages.
        first: number of the line to begin with, from 1.
        offset: of its first byte.
    """
    read = kind.__pydantic_validator__.validate_json  # without a call of Python's for each line
    try:
        check_regular(path)
        with path.open("rb") as file:
            file.seek(offset)
            for number, content in enumerate(file, first):
                if not content.endswith(b"\n"):
                    return
                try:
                    record: LineT = read(content)
                except ValidationError:
                    record = parse_line(kind, RawLine(number, offset, content), path, advice)
                yield record
                offset += len(content)
    except OSError as error:
        raise read_error(path, error, advice) from error


def raw_lines(path: Path, advice: Advice = PLAIN) -> Iterator[RawLine]:
    """Yield each line of a file but a torn last one; RunError where it cannot be read."""
    offset = 0
    try:
        check_regular(path)
        with path.open("rb") as file:
            for number, content in enumerate(file, 1):
                if not content.endswith(b"\n"):
                    return
                yield RawLine(number, offset, content)
                offset += len(content)
    except OSError as error:
        raise read_error(path, error, advice) from error


def parse_line(kind: type[LineT], line: RawLine, path: Path, advice: Advice = PLAIN) -> LineT:
    """Read a record from a line of the file `path`; RunError names the line if it is broken."""
    try:
        return kind.model_validate_json(line.content)
    except ValidationError as error:
        mistake = first_mistake(error, "the line")
        wanted = "" if " · expected" in mistake else f" · expected a {kind.__name__}"
        message = f"{path}:{line.number}: {mistake}{wanted}"
        raise RunError(_joined(message, advice.broken)) from error


def read_json(path: Path, advice: Advice = PLAIN) -> object:
    """Read a JSON file; RunError where it is missing or broken."""

    def refuse(constant: str) -> NoReturn:
        raise ValueError(f"{constant} is not a number in JSON")

    try:
        check_regular(path)
        value: object = json.loads(path.read_bytes(), parse_constant=refuse)
    except OSError as error:
        raise read_error(path, error, advice) from error
    except (ValueError, RecursionError) as error:  # the latter for thousands of brackets
        raise RunError(_joined(f"{path}: not JSON ({error})", advice.broken)) from error
    return value


def read_error(path: Path, error: OSError, advice: Advice = PLAIN) -> RunError:
    """Make the error for a file that cannot be read."""
    if isinstance(error, FileNotFoundError):
        return RunError(_joined(f"{path}: does not exist", advice.missing))
    return RunError(f"{path}: cannot be read ({error.strerror})")


def _joined(*parts: str) -> str:
    return " · ".join(part for part in parts if part)


# --- folders and locks


@contextlib.contextmanager
def made(folder: Path) -> Iterator[None]:
    """Make a folder and its parents; those that are still empty at the end are removed again."""
    missing: list[Path] = []
    try:
        try:
            missing = [path for path in (folder, *folder.parents) if not path.exists()]
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise write_error(folder, error) from error
        yield
    finally:
        for path in missing:
            with contextlib.suppress(OSError):  # it holds something
                path.rmdir()


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep a second process out of a folder, until this one ends; RunError if there is one.

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
        raise write_error(path, error) from error
    with _lock(path):
        yield


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Lock a folder or a file."""
    if sys.platform == "win32":
        yield
        return
    import fcntl  # not on Windows

    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError as error:
        raise write_error(path, error) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(handle)
        raise RunError(
            f"{path}: another process is using it · wait until it has finished"
        ) from error
    except OSError:
        pass  # a network disk without locks
    try:
        yield
    finally:
        os.close(handle)
