"""What was fetched into a folder, as `vipbench-fetched.json` records it, and what is there now."""

from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Literal, NamedTuple

from pydantic import ValidationError

from vipbench.data.cache import FETCHED
from vipbench.data.fetching.archives import tree_size
from vipbench.data.fetching.sources import STAGE, Part, RemoteFile, Source
from vipbench.data.fetching.transfer import plain_url, write_note
from vipbench.errors import DataError, RunError
from vipbench.files import read_json
from vipbench.schema import Record

State = Literal["not fetched", "partial", "complete", "changed", "in place", "by hand"]
"""`in place`: the files are there, but vipbench did not fetch them. `by hand`: it cannot."""


class Fetched(Record):
    """One file that was loaded, as recorded at the first fetch."""

    part: str
    to: str
    """`RemoteFile.to` of the file that it belongs to."""
    name: str
    """Path below the folder; for an archive, its name."""
    url: str
    """Without query and password."""
    size: int
    """Bytes that were loaded."""
    sha256: str
    time: str
    """UTC, in ISO 8601."""
    n_files: int | None = None
    """For an archive: the files that were kept of it; None for a plain file."""
    n_bytes: int | None = None
    tree_sha256: str | None = None
    """See `archives.Tree`; of a single file that was taken from an archive, its own sha256."""


class Lock(Record):
    """The content of `vipbench-fetched.json`."""

    key: str
    files: tuple[Fetched, ...] = ()

    def of(self, part: str, to: str) -> tuple[Fetched, ...]:
        """List what was recorded for one file of a source."""
        return tuple(file for file in self.files if (file.part, file.to) == (part, to))

    def replaced(self, part: str, to: str, loaded: Iterable[Fetched]) -> "Lock":
        """Return the lock with another record of one file of a source."""
        others = [file for file in self.files if (file.part, file.to) != (part, to)]
        return self.model_copy(update={"files": (*others, *loaded)})


class PartStatus(NamedTuple):
    """How much of a part is here."""

    name: str
    part: Part
    size: int | None
    """Bytes to load; None where it is unknown."""
    exact: bool
    """Whether the size is known to the byte."""
    state: State


def read_lock(folder: Path, key: str) -> Lock:
    """Read what was fetched into a folder; empty where nothing was.

    Raises DataError where the file is broken, or the folder holds the data of another key.
    """
    path = folder / FETCHED
    if not path.exists():
        return Lock(key=key)
    try:
        lock = Lock.model_validate(read_json(path))
    except (RunError, ValidationError) as error:
        raise DataError(
            f"{path}: is not a record of fetched data · move the folder away and fetch again, or"
            " take the data as they are by --data"
        ) from error
    if lock.key != key:
        raise DataError(f"{folder}: holds the data of {lock.key!r}, not of {key!r} · name another")
    return lock


def write_lock(folder: Path, lock: Lock) -> None:
    """Record what was fetched; DataError where the disk refuses."""
    write_note(folder / FETCHED, lock.model_dump(exclude_none=True), "what was loaded is kept")


def status(source: Source, folder: Path) -> list[PartStatus]:
    """Say how much of every part is here, by presence and sizes; nothing is read or asked."""
    lock = read_lock(folder, source.key)
    return [_part_status(source, name, folder, lock) for name in source.parts]


def _part_status(source: Source, name: str, folder: Path, lock: Lock) -> PartStatus:
    part = source.parts[name]
    states = {file_state(name, file, folder, lock) for file in part.files}
    state: State
    if "changed" in states:
        state = "changed"
    elif len(states) == 1:
        state = states.pop()
    elif states <= {"complete", "in place"}:
        state = "in place"
    else:
        state = "partial"
    if source.by_hand and state == "not fetched":
        state = "by hand"
    sizes = [file.size or file.about for file in part.files]
    known = None if None in sizes else sum(size for size in sizes if size)
    exact = all(file.size for file in part.files)
    return PartStatus(name, part, known, exact, state)


def file_state(part: str, file: RemoteFile, folder: Path, lock: Lock) -> State:
    """Say how much of one file of a source is here, by presence and sizes."""
    recorded = lock.of(part, file.to)
    present = [fetched for fetched in recorded if target_path(folder, fetched).exists()]
    if present and any(not _looks_same(folder, fetched) for fetched in present):
        return "changed"
    if recorded and len(present) == len(recorded):
        return "complete"
    if present or staged_path(folder, file).exists():
        return "partial"
    if file.to != "." and (folder / file.to).exists():
        return "in place"
    return "not fetched"


def target_path(folder: Path, fetched: Fetched) -> Path:
    """Return where a loaded file lies, or what was unpacked from it."""
    return folder / (fetched.name if fetched.n_files is None else fetched.to)


def _looks_same(folder: Path, fetched: Fetched) -> bool:
    path = target_path(folder, fetched)
    if fetched.n_files is None:
        return path.is_file() and path.stat().st_size == fetched.size
    if path.is_file():
        return path.stat().st_size == fetched.n_bytes
    return tree_size(path) == (fetched.n_files, fetched.n_bytes)


def staged_path(folder: Path, file: RemoteFile) -> Path:
    """Return where a file is loaded to: a `.part`, or a folder for files of the hub."""
    name = file.to.replace("/", "-")
    if file.hub:
        return folder / STAGE / f"{'hub' if file.to == '.' else name}-{(file.revision or '')[:12]}"
    return folder / STAGE / f"{name}-{PurePosixPath(plain_url(file.url or '')).name}.part"
