"""Unpack archives that come from elsewhere: nothing in them reaches outside or fills the disk."""

import hashlib
import lzma
import os
import re
import shutil
import stat
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from vipbench.errors import DataError
from vipbench.files import size_in_words, unwritten
from vipbench.validation import shown

MAX_MEMBERS = 1_000_000
"""Visual Genome's larger archive holds about 64,000."""
MAX_RATIO = 200
"""Unpacked over packed bytes; JSON reaches about 20, a picture 1."""
NO_BOMB = 100_000_000
"""Bytes that any archive may unpack to."""
CHUNK = 1 << 20

_DRIVE = re.compile("[A-Za-z]:")
_BROKEN = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError)

OnBytes = Callable[[int], object]
"""Takes the number of bytes that were written or read since its last call."""


class Tree(NamedTuple):
    """What lies in a folder, whatever its files' times and rights are."""

    n_files: int
    n_bytes: int
    sha256: str
    """Of the lines `<sha256 of a file>  <path below the folder>`, sorted by path; hex."""


class Unpacked(NamedTuple):
    """What came out of an archive."""

    root: Path
    """The folder that it was unpacked to; where all lies in one folder of that, the inner one."""
    tree: Tree
    """Of the root."""


class _Member(NamedTuple):
    name: str
    size: int
    """Bytes, as the archive says."""
    is_folder: bool
    open: Callable[[], IO[bytes]]


def unpack(archive: Path, folder: Path, on_bytes: OnBytes = lambda n: None) -> Unpacked:
    """Unpack a zip or tar archive into a new folder; on an error, nothing of it is left.

    Only plain files and folders are made, with the rights that new files have. The files that
    macOS adds (`__MACOSX/`, `.DS_Store`) are left out.

    Raises DataError for an archive that is broken or of another kind; that holds paths leading
    outside, links, devices, encrypted files, or names that differ by case alone; or that unpacks
    to more than the disk has room for, or than a plausible archive of its size would.
    """
    whole = False
    try:
        if folder.exists():
            shutil.rmtree(folder)
        folder.mkdir(parents=True)
        with archive.open("rb") as file:
            kind = _zip_members if file.read(4) in (b"PK\3\4", b"PK\5\6") else _tar_members
        limit = max(NO_BOMB, MAX_RATIO * archive.stat().st_size)
        written = _write(kind(archive, limit), archive, folder, limit, on_bytes)
        whole = True
        return written
    except _BROKEN as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(
            f"{archive}: cannot be unpacked ({reason}) · expected an intact zip or tar archive ·"
            " delete it and fetch again"
        ) from error
    except OSError as error:
        raise unwritten(folder, error, "the archive is kept") from error
    finally:
        if not whole:
            shutil.rmtree(folder, ignore_errors=True)


def tree(folder: Path, on_bytes: OnBytes = lambda n: None) -> Tree:
    """Digest what lies in a folder, as `unpack` does; DataError where it cannot be read."""
    lines, total = [], 0
    try:
        for path in _files(folder):
            state = hashlib.sha256()
            with path.open("rb") as file:
                while chunk := file.read(CHUNK):
                    state.update(chunk)
                    total += len(chunk)
                    on_bytes(len(chunk))
            lines.append((path.relative_to(folder).as_posix(), state.hexdigest()))
    except OSError as error:
        raise DataError(f"{error.filename or folder}: cannot be read ({error.strerror})") from error
    return Tree(len(lines), total, _tree_digest(lines))


def tree_size(folder: Path) -> tuple[int, int]:
    """Count the files in a folder and their bytes, without reading them."""
    sizes = [path.stat().st_size for path in _files(folder)]
    return len(sizes), sum(sizes)


def _files(folder: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder):
        folders.sort()
        yield from (Path(parent, name) for name in names if name != ".DS_Store")


def _tree_digest(lines: list[tuple[str, str]]) -> str:
    text = "".join(f"{digest}  {path}\n" for path, digest in sorted(lines))
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def _zip_members(archive: Path, limit: int) -> Iterator[_Member]:
    """Yield the members of a zip archive, once its table of contents has been found consistent."""
    with zipfile.ZipFile(archive) as opened:
        members = opened.infolist()
        _check_total(archive, sum(info.file_size for info in members), limit)
        for info in members:
            where = f"{archive}: member {shown(info.filename)}"
            if info.flag_bits & 0x1:
                raise DataError(f"{where} is encrypted · expected plain files")
            mode = stat.S_IFMT(info.external_attr >> 16)
            if info.create_system == 3 and mode not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise DataError(f"{where} is a link or a device · expected files and folders only")
            if "\0" in info.orig_filename:
                raise DataError(f"{archive}: member {shown(info.orig_filename)}: not a file name")
            try:
                yield _Member(
                    info.filename, info.file_size, info.is_dir(), partial(opened.open, info)
                )
            except NotImplementedError as error:
                raise DataError(f"{where} cannot be unpacked ({error})") from error


def _tar_members(archive: Path, limit: int) -> Iterator[_Member]:
    """Yield the members of a tar archive, compressed or not; there is no table of contents."""
    total = 0
    with tarfile.open(archive, "r:*") as opened:
        for info in opened:
            if not (info.isreg() or info.isdir()):
                raise DataError(
                    f"{archive}: member {shown(info.name)} is a link or a device · expected files"
                    " and folders only"
                )
            total += info.size
            _check_total(archive, total, limit)
            yield _Member(info.name, info.size, info.isdir(), partial(_tar_file, opened, info))


def _tar_file(opened: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    file = opened.extractfile(info)
    assert file is not None  # it is a plain file
    return file


def _check_total(archive: Path, total: int, limit: int) -> None:
    if total > limit:
        raise DataError(
            f"{archive}: {size_in_words(archive.stat().st_size)} that unpack to"
            f" {size_in_words(total)}: looks like a decompression bomb · expected at"
            f" most {size_in_words(limit)}"
        )
    free = shutil.disk_usage(archive.parent).free
    if total > free:
        raise DataError(
            f"{archive}: unpacks to {size_in_words(total)}, and {size_in_words(free)} are free ·"
            " make room, then give the same command again"
        )


def _write(
    members: Iterator[_Member], archive: Path, folder: Path, limit: int, on_bytes: OnBytes
) -> Unpacked:
    seen: dict[str, tuple[str, bool]] = {}
    lines, total = [], 0
    for count, member in enumerate(members):
        if count >= MAX_MEMBERS:
            raise DataError(f"{archive}: holds over {MAX_MEMBERS:,} members")
        path = _safe_path(member.name, archive)
        if path is None or "__MACOSX" in path.parts or path.name == ".DS_Store":
            continue
        _check_clash(path, member.is_folder, seen, archive)
        target = folder / path
        if member.is_folder:
            target.mkdir(parents=True, exist_ok=True)
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        digest = _write_file(member, archive, target, limit - total, on_bytes)
        total += member.size
        lines.append((path, digest))
    root = _only_folder(folder)
    inner = PurePosixPath(root.relative_to(folder).as_posix())
    below = [(path.relative_to(inner).as_posix(), digest) for path, digest in lines]
    return Unpacked(root, Tree(len(lines), total, _tree_digest(below)))


def _write_file(member: _Member, archive: Path, target: Path, limit: int, on_bytes: OnBytes) -> str:
    """Write one file of at most `limit` bytes and return its sha256; DataError for another size."""
    state, size = hashlib.sha256(), 0
    with member.open() as source, target.open("xb") as file:
        while chunk := source.read(CHUNK):
            size += len(chunk)
            if size > min(member.size, limit):
                raise DataError(
                    f"{archive}: member {shown(member.name)} is longer than it says"
                    f" ({member.size:,} bytes) · expected the size that the archive declares"
                )
            state.update(chunk)
            file.write(chunk)
            on_bytes(len(chunk))
    if size != member.size:
        raise DataError(
            f"{archive}: member {shown(member.name)} has {size:,} bytes but declares"
            f" {member.size:,} · delete the archive and fetch again"
        )
    return state.hexdigest()


def _only_folder(folder: Path) -> Path:
    """Go down while there is one folder and nothing else, as archives like to begin."""
    content = list(folder.iterdir())
    return _only_folder(content[0]) if len(content) == 1 and content[0].is_dir() else folder


def is_safe_name(name: str) -> bool:
    """Say whether a path from elsewhere stays below the folder that it is joined to, anywhere."""
    parts = name.split("/")
    odd = "\\" in name or any(unicodedata.category(letter) in ("Cc", "Cs") for letter in name)
    return not (odd or name.startswith("/") or ".." in parts or _DRIVE.match(name))


def _safe_path(name: str, archive: Path) -> PurePosixPath | None:
    """Return where a member goes; None for the archive's own folder, which tar names `./`."""
    if not is_safe_name(name):
        raise DataError(
            f"{archive}: member {shown(name)} would be written outside the folder · expected"
            " relative paths only: do not use this archive"
        )
    path = PurePosixPath(name)
    return path if path.parts else None


def _check_clash(
    path: PurePosixPath, is_folder: bool, seen: dict[str, tuple[str, bool]], archive: Path
) -> None:
    """Refuse a second member of one name, also where a disk does not tell case or accents apart."""
    for ancestor in (*path.parents, path):
        spelled, folder = ancestor.as_posix(), ancestor != path or is_folder
        key = unicodedata.normalize("NFC", spelled).casefold()
        former = seen.get(key)
        if former and (former != (spelled, folder) or not folder):
            raise DataError(
                f"{archive}: the members {shown(former[0])} and {shown(spelled)} are one file on"
                " some disks · expected names of their own"
            )
        seen[key] = (spelled, folder)
