"""An archive opened with care: what is in it is known by name, bounded, and bound by digests."""

import contextlib
import hashlib
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from pydantic import ValidationError

from vipbench import files
from vipbench.errors import CheckFailed, RunError
from vipbench.kit.members import (
    CONTENTS,
    FORMAT,
    LARGEST,
    MEMBERS,
    MODE,
    REQUIRED,
    TIME,
    Contents,
)
from vipbench.runfolder.manifest import Written

LARGEST_CONTENTS = 1 << 20
"""Bytes of `kit.json`."""
BLOCK = 1 << 20
_LOCAL_HEADER = 30
"""Bytes of a member's own header in a zip archive, without its name and extra field."""
_NAME_LENGTH, _EXTRA_LENGTH = slice(26, 28), slice(28, 30)
_ENCRYPTED = 1


class Tampered(CheckFailed):
    """A member of an archive is not what was packed."""

    def __init__(self, archive: Path, member: str, what: str) -> None:
        """Say which member, and what is wrong with it."""
        super().__init__(f"{archive}: {member}: {what}")
        self.member = member


@contextlib.contextmanager
def opened(path: Path) -> Iterator[tuple[Contents, Path]]:
    """Check an archive's members against its digests, and lend a folder with them.

    Args:
        path: of the archive.

    Yields:
        Its contents, and a folder that holds its members and goes at the end.

    Raises:
        RunError: It is no archive of a kit, it is cut off, or another version's.
        Tampered: A member is not what was packed, is missing, or should not be there.
    """
    try:
        files.check_regular(path)
        with (
            zipfile.ZipFile(path) as archive,
            tempfile.TemporaryDirectory(prefix="vipbench-verify-") as scratch,
        ):
            infos = archive.infolist()
            _check_names(path, infos)
            contents = _read_contents(path, archive)
            _check_members(path, contents, [info.filename for info in infos])
            _check_gaps(path, archive, infos)
            for name, entry in contents.members.items():
                _extract(path, archive, name, Path(scratch), entry)
            yield contents, Path(scratch)
    except OSError as error:
        raise files.read_error(path, error) from error
    except (zipfile.BadZipFile, NotImplementedError) as error:
        raise _broken(path, f"is not a whole zip archive ({error})") from error


def _broken(path: Path, what: str) -> RunError:
    return RunError(
        f"{path}: {what} · expected an archive of `vipbench kit` · fetch or copy it again"
    )


def _check_names(path: Path, infos: Sequence[zipfile.ZipInfo]) -> None:
    """Refuse names that lead elsewhere, links, folders, encryption, and names that stand twice."""
    seen: set[str] = set()
    for info in infos:
        name = info.filename
        parts = PurePosixPath(name).parts
        mode = info.external_attr >> 16
        if name.startswith("/") or ".." in parts or "\\" in name or ":" in name:
            raise Tampered(path, name, "its path leads out of the archive")
        if stat.S_ISLNK(mode):
            raise Tampered(path, name, "is a link · expected plain files")
        if info.is_dir():
            raise Tampered(path, name, "is a folder · expected plain files")
        if info.flag_bits & _ENCRYPTED:
            raise Tampered(path, name, "is encrypted")
        if info.compress_type not in (zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED):
            raise Tampered(path, name, f"is compressed by method {info.compress_type}")
        if name in seen:
            raise Tampered(path, name, "stands there twice")
        if info.file_size > LARGEST:
            raise Tampered(path, name, f"has {info.file_size:,} bytes, more than {LARGEST:,}")
        seen.add(name)


def _read_contents(path: Path, archive: zipfile.ZipFile) -> Contents:
    """Read `kit.json`; RunError where it is missing, broken or of another format."""
    try:
        with archive.open(CONTENTS) as file:
            text = file.read(LARGEST_CONTENTS + 1)
        contents = Contents.model_validate_json(text[:LARGEST_CONTENTS])
    except KeyError as error:
        raise _broken(path, f"has no {CONTENTS}") from error
    except (ValidationError, zlib.error, zipfile.BadZipFile) as error:
        raise _broken(path, f"its {CONTENTS} cannot be read") from error
    if contents.format != FORMAT:
        raise RunError(
            f"{path}: format {contents.format} is unknown · expected {FORMAT} · use the version of "
            f"vipbench that packed it, {contents.vipbench}"
        )
    if contents.digest != contents.computed_digest():
        raise Tampered(path, CONTENTS, "does not have the digest that it names")
    return contents


def _check_members(path: Path, contents: Contents, names: Sequence[str]) -> None:
    """Refuse members that are not listed or not known, and lists with members that are missing."""
    for name in names:
        if name != CONTENTS and name not in contents.members:
            raise Tampered(path, name, f"is not listed in {CONTENTS}")
    for name in contents.members:
        if name not in MEMBERS:
            raise Tampered(path, name, "is nothing that a kit packs")
    for name in (*REQUIRED, *contents.members):
        if name not in names:
            raise Tampered(path, name, "is missing")


def _check_gaps(path: Path, archive: zipfile.ZipFile, infos: Sequence[zipfile.ZipInfo]) -> None:
    """Refuse bytes that belong to no member: before, between and behind them, and comments."""
    end = 0
    if archive.comment:
        raise Tampered(path, "the archive", "has a comment")
    with path.open("rb") as file:
        for info in sorted(infos, key=lambda info: info.header_offset):
            file.seek(info.header_offset)
            header = file.read(_LOCAL_HEADER)
            n_name, n_extra = (
                int.from_bytes(header[part], "little") for part in (_NAME_LENGTH, _EXTRA_LENGTH)
            )
            if info.header_offset != end or info.comment or info.extra or n_extra:
                raise Tampered(path, info.filename, "has bytes before it or in its header")
            if info.date_time != TIME or info.external_attr != MODE:
                what = "has another time or other rights than a kit gives"
                raise Tampered(path, info.filename, what)
            end = info.header_offset + _LOCAL_HEADER + n_name + info.compress_size
    if archive.start_dir != end:
        raise Tampered(path, "the archive", "has bytes that belong to no member")


def _extract(path: Path, archive: zipfile.ZipFile, name: str, folder: Path, entry: Written) -> None:
    """Write a member to a folder; Tampered where it is not what its digest says."""
    target = folder / name  # one of MEMBERS
    target.parent.mkdir(exist_ok=True)
    digest, n_bytes = hashlib.sha256(), 0
    try:
        with archive.open(name) as source, target.open("wb") as file:
            while (block := source.read(BLOCK)) and n_bytes <= entry.bytes:
                digest.update(block)
                n_bytes += len(block)
                file.write(block)
    except (zlib.error, zipfile.BadZipFile, EOFError) as error:
        raise Tampered(path, name, f"cannot be unpacked ({error})") from error
    if (n_bytes, digest.hexdigest()) != (entry.bytes, entry.sha256):
        raise Tampered(path, name, f"is not what was packed, by its digest in {CONTENTS}")
