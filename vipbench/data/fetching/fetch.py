"""Fetch benchmark data: what comes from where, what is here, and whether it is still the same.

`tasks/sources/KEY.yaml` describes a set. Its files go to one folder, `CACHE/data/KEY`, which
`--data KEY=DIR` and the readers take as it is. What was loaded is written down beside it, in
`vipbench-fetched.json`: sizes and sha256 digests, recorded at the first fetch and checked at every
later one. Transfers and unfinished folders lie in `.vipbench-fetch` until they are whole.
"""

import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import Field, ValidationError, model_validator

from vipbench.console import QUIET, Console
from vipbench.data.cache import FETCHED, fetched_folder
from vipbench.data.fetching.archives import safe_name, tree, tree_size, unpack
from vipbench.data.fetching.transfer import Patience, download, finish, note, plain_url
from vipbench.data.tasks import task_folders
from vipbench.digests import file_digest
from vipbench.errors import DataError, RunError, RunInterrupted, TaskError, nearest
from vipbench.files import locked, made, read_json, size_in_words, unwritten
from vipbench.schema import Record
from vipbench.validation import checked, read_yaml

SOURCES = "sources"
"""Folder below a folder of tasks."""
STAGE = ".vipbench-fetch"
"""Folder of what is not whole yet, below the folder of the data."""

State = Literal["not fetched", "partial", "complete", "changed", "in place", "by hand"]
"""`in place`: the files are there, but vipbench did not fetch them. `by hand`: it cannot."""
Bytes = Annotated[int, Field(gt=0)]


class RemoteFile(Record):
    """One file to load, or a selection of the files of one repository on the hub."""

    url: str | None = None
    hub: str | None = None
    """A data set on the hub, `owner/name`."""
    revision: str | None = None
    """Commit of the data set."""
    take: tuple[str, ...] = ()
    """Paths or patterns in the repository on the hub; or the one file that is wanted from an
    archive, by name."""
    unpack: bool = False
    to: str
    """Path below the folder of the data; `.` keeps the paths of the repository."""
    size: Bytes | None = None
    """Bytes to be loaded, where they are known exactly; another size is refused."""
    about: Bytes | None = None
    """Bytes to be loaded, where they are known roughly."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.url and self.hub:
            raise ValueError("takes either 'url' or 'hub'")
        if self.hub and not (self.take and re.fullmatch("[0-9a-f]{40}", self.revision or "")):
            raise ValueError("from the hub needs 'take' and the full commit as 'revision'")
        if self.unpack and len(self.take) > 1:
            raise ValueError("takes one file from an archive, or all")
        place = PurePosixPath(self.to).parts
        if not safe_name(self.to) or place[:1] in ((STAGE,), (FETCHED,)):
            raise ValueError(f"to = {self.to!r} leaves the folder of the data")
        if not (place or self.hub):
            raise ValueError(f"to = {self.to!r} names no file")
        return self


class Part(Record):
    """A part of a set that can be fetched by itself."""

    title: str
    licence: str
    """In a few words; the task files have all of it."""
    optional: bool = False
    """Fetched only where it is named."""
    files: tuple[RemoteFile, ...] = Field(min_length=1)


class Source(Record):
    """Where the data of one key come from: one file in `tasks/sources`."""

    key: str
    title: str
    tasks: tuple[str, ...] = ()
    splits: str = ""
    page: str = ""
    """Where a reader learns more."""
    parts: dict[str, Part]
    by_hand: tuple[str, ...] = ()
    """Steps, where a licence must be accepted by hand; `{folder}` stands for the folder."""


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
        return tuple(each for each in self.files if (each.part, each.to) == (part, to))


class PartStatus(NamedTuple):
    """How much of a part is here."""

    name: str
    part: Part
    size: int | None
    """Bytes to load; None where it is not known."""
    exact: bool
    state: State


class FetchSettings(NamedTuple):
    """How to fetch."""

    accept_changed: bool = False
    """Record what differs from the first fetch, instead of refusing it."""
    keep_archives: bool = False
    """Keep archives in `archives/` after they are unpacked."""
    patience: Patience = Patience()


# --- sources


def find_sources(include: Sequence[Path] = ()) -> dict[str, Path]:
    """Map each key to the file that describes it; TaskError for a key that is described twice."""
    found: dict[str, Path] = {}
    for place in task_folders(include):
        for path in sorted((place / SOURCES).glob("*.yaml")):
            if path.stem in found:
                raise TaskError(f"{path}: the key {path.stem!r} is taken by {found[path.stem]}")
            found[path.stem] = path
    return found


def load_source(key: str, include: Sequence[Path] = ()) -> Source:
    """Load the description of one key; TaskError for an unknown key, naming a file's mistakes."""
    found = find_sources(include)
    if key not in found:
        raise TaskError(f"data {key!r}: no source is known{nearest(key, found)}")
    path = found[key]
    content = read_yaml(path)
    mistakes = []
    if content.get("key", key) != key or not re.fullmatch(r"\w[\w-]*", key):
        mistakes.append(f"key {content.get('key')!r} is not the file's name {key!r}")
    if not content.get("by_hand"):
        mistakes += _address_mistakes(content.get("parts"))
    return checked(Source, content, str(path), mistakes)


def _address_mistakes(parts: object) -> Iterator[str]:
    for name, part in parts.items() if isinstance(parts, dict) else ():
        files = part.get("files") if isinstance(part, dict) else None
        for n, file in enumerate(files if isinstance(files, list) else ()):
            if isinstance(file, dict) and not (file.get("url") or file.get("hub")):
                yield f"parts.{name}.files.{n}: names neither 'url' nor 'hub'"


# --- what is here


def status(source: Source, folder: Path) -> list[PartStatus]:
    """Say of each part how much is here, by presence and sizes; nothing is read or asked."""
    lock = _read_lock(folder, source.key)
    return [_part_status(source, name, folder, lock) for name in source.parts]


def _part_status(source: Source, name: str, folder: Path, lock: Lock) -> PartStatus:
    part = source.parts[name]
    states = {_file_state(name, file, folder, lock) for file in part.files}
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


def _file_state(part: str, file: RemoteFile, folder: Path, lock: Lock) -> State:
    recorded = lock.of(part, file.to)
    present = [each for each in recorded if _target(folder, each).exists()]
    if present and any(not _looks_same(folder, each) for each in present):
        return "changed"
    if recorded and len(present) == len(recorded):
        return "complete"
    if present or _staged(folder, file).exists():
        return "partial"
    if file.to != "." and (folder / file.to).exists():
        return "in place"
    return "not fetched"


def _target(folder: Path, fetched: Fetched) -> Path:
    """Return where a loaded file lies, or what was unpacked from it."""
    return folder / (fetched.name if fetched.n_files is None else fetched.to)


def _looks_same(folder: Path, fetched: Fetched) -> bool:
    path = _target(folder, fetched)
    if fetched.n_files is None:
        return path.is_file() and path.stat().st_size == fetched.size
    if path.is_file():
        return path.stat().st_size == fetched.n_bytes
    return tree_size(path) == (fetched.n_files, fetched.n_bytes)


def _staged(folder: Path, file: RemoteFile) -> Path:
    """Return where a file is loaded to: a `.part`, or a folder for files of the hub."""
    name = file.to.replace("/", "-")
    if file.hub:
        return folder / STAGE / f"{'hub' if file.to == '.' else name}-{(file.revision or '')[:12]}"
    return folder / STAGE / f"{name}-{PurePosixPath(plain_url(file.url or '')).name}.part"


def _read_lock(folder: Path, key: str) -> Lock:
    path = folder / FETCHED
    if not path.exists():
        return Lock(key=key)
    try:
        lock = Lock.model_validate(read_json(path))
    except (RunError, ValidationError) as error:
        raise DataError(
            f"{path}: is no record of fetched data; move the folder away and fetch again, or take"
            " the data as they are by --data"
        ) from error
    if lock.key != key:
        raise DataError(f"{folder}: holds the data of {lock.key!r}, not of {key!r}; name another")
    return lock


def _write_lock(folder: Path, lock: Lock) -> None:
    note(folder / FETCHED, lock.model_dump(exclude_none=True), "what was loaded is kept")


# --- fetching


def steps_by_hand(source: Source, folder: Path) -> list[str]:
    """Return what to do for a set whose licence must be accepted by hand."""
    return [step.replace("{folder}", str(folder)) for step in source.by_hand]


def fetch(
    source: Source,
    folder: Path | None = None,
    parts: Sequence[str] = (),
    settings: FetchSettings = FetchSettings(),  # noqa: B008  # immutable
    console: Console = QUIET,
) -> Path:
    """Load the parts of a set that are missing, and check those that are here; return the folder.

    Args:
        source: what to fetch; one without `by_hand`.
        folder: where to; None: the folder of the key in the cache.
        parts: names of parts; empty: all but the optional ones.
        settings: how.
        console: is told in one line what happens, and shows bars.

    Raises:
        DataError: A file cannot be loaded, or differs in size or digest from what is recorded.
        RunInterrupted: The user stopped it; what was loaded is kept.
        RunError: Another process fetches into the folder, or it is none.
        TaskError: A part is unknown.
    """
    folder = fetched_folder(source.key) if folder is None else folder
    for name in parts:
        if name not in source.parts:
            raise TaskError(f"--part {name!r}: {source.key} has none{nearest(name, source.parts)}")
    if source.by_hand:
        raise DataError(f"{source.key}: its licence must be accepted by hand; see {source.page}")
    chosen = {
        name: part
        for name, part in source.parts.items()
        if (name in parts if parts else not part.optional)
    }
    with locked(folder), _stoppable(folder):
        _check_room(folder, chosen, _read_lock(folder, source.key))
        for name, part in chosen.items():
            console.say(f"{source.key} {name}: {part.title}; licence: {part.licence}")
            for file in part.files:
                _check_or_load(folder, name, file, source.key, settings, console)
    return folder


def _check_or_load(
    folder: Path, part: str, file: RemoteFile, key: str, settings: FetchSettings, console: Console
) -> None:
    if _check(folder, part, file, _read_lock(folder, key), settings, console):
        return
    with made(folder / STAGE):
        _load(folder, part, file, _read_lock(folder, key), settings, console)


@contextmanager
def _stoppable(folder: Path) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt as stop:
        raise RunInterrupted(
            f"{folder}: stopped; what was loaded is kept: give the same command again to go on"
        ) from stop


def _check_room(folder: Path, parts: Mapping[str, Part], lock: Lock) -> None:
    """Refuse to begin what the disk has no room for, as far as sizes are known."""
    needed = done = 0
    for name, part in parts.items():
        for file in part.files:
            if _file_state(name, file, folder, lock) == "complete":
                continue
            size = file.size or file.about or 0
            staged = _staged(folder, file)
            here = staged.stat().st_size if staged.is_file() else 0
            # An archive and what is unpacked from it lie side by side for a while.
            needed = max(needed, done + size * (2 if file.unpack else 1) - here)
            done += size - (0 if file.unpack else here)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise DataError(
            f"{folder}: needs about {size_in_words(needed)}, and {size_in_words(free)} are free;"
            " make room, name another folder with -o, or single parts with --part"
        )


def _check(
    folder: Path, part: str, file: RemoteFile, lock: Lock, settings: FetchSettings, console: Console
) -> bool:
    """Say whether a file is here and the same as at the first fetch; False: it is to be loaded.

    Raises DataError where something else is in its place: the user's own is never overwritten.
    """
    recorded = lock.of(part, file.to)
    present = [each for each in recorded if _target(folder, each).exists()]
    if not recorded and file.to != ".":
        _check_free(folder / file.to)
    for each in present:
        path = _target(folder, each)
        before = each.tree_sha256 or each.sha256
        with console.bar(f"checking {path.name}", unit="B", leave=False) as bar:
            now = file_digest(path) if path.is_file() else tree(path, bar.update).sha256
        if now == before:
            continue
        if not settings.accept_changed:
            raise DataError(
                f"{path}: has changed since it was fetched on {each.time}: sha256 {now}, recorded"
                f" {before}; remove it and fetch again, or --accept-changed to take it as it is"
            )
        lock = _accepted(lock, each, path, now)
        _write_lock(folder, lock)
        console.say(f"{path}: taken as it is; sha256 {now}")
    if recorded and len(present) == len(recorded):
        if lock.of(part, file.to) == recorded:
            console.say(f"{folder / file.to}: here, and unchanged since {recorded[0].time}")
        return True
    return False


def _accepted(lock: Lock, fetched: Fetched, path: Path, digest: str) -> Lock:
    """Record what lies here now in place of what was fetched."""
    changes: dict[str, object]
    if fetched.n_files is None:
        changes = {"size": path.stat().st_size, "sha256": digest}
    else:
        n_files, n_bytes = (1, path.stat().st_size) if path.is_file() else tree_size(path)
        changes = {"n_files": n_files, "n_bytes": n_bytes, "tree_sha256": digest}
    files = [each.model_copy(update=changes) if each == fetched else each for each in lock.files]
    return lock.model_copy(update={"files": tuple(files)})


def _load(
    folder: Path,
    part: str,
    file: RemoteFile,
    lock: Lock,
    settings: FetchSettings,
    console: Console,
) -> None:
    if file.hub:
        _load_from_hub(folder, part, file, lock, settings, console)
        return
    assert file.url is not None  # checked when the source was loaded
    staged = _staged(folder, file)
    size = download(
        file.url,
        staged,
        size=None if settings.accept_changed else file.size,
        patience=settings.patience,
        console=console,
    )
    url = plain_url(file.url)
    name = PurePosixPath(url).name if file.unpack else file.to
    loaded = Fetched(
        part=part,
        to=file.to,
        name=name,
        url=url,
        size=size,
        sha256=file_digest(staged),
        time=_now(),
    )
    loaded = _compared(lock, loaded, staged, settings)
    if not file.unpack:
        _write_lock(folder, _with(lock, part, file.to, [loaded]))
        finish(staged, folder / file.to)
        return
    unpacked = folder / STAGE / f"{staged.name.removesuffix('.part')}.unpacked"
    with console.bar(f"unpacking {name}", unit="B", leave=False) as bar:
        found = unpack(staged, unpacked, bar.update)
    root, digest, n_files, n_bytes = found.root, found.tree.sha256, *found.tree[:2]
    if file.take:
        root = _wanted(unpacked, file.take[0], staged)
        digest, n_files, n_bytes = file_digest(root), 1, root.stat().st_size
    kept = {"n_files": n_files, "n_bytes": n_bytes, "tree_sha256": digest}
    # Before it has its name: what has one and is not recorded counts as the user's own.
    _write_lock(folder, _with(lock, part, file.to, [loaded.model_copy(update=kept)]))
    _move(root, folder / file.to)
    if settings.keep_archives:
        finish(staged, folder / "archives" / name)
    _remove(unpacked)
    _remove(staged)
    _remove(staged.with_name(f"{staged.name}.json"))


def _wanted(folder: Path, name: str, archive: Path) -> Path:
    found = sorted(folder.rglob(name))
    if len(found) != 1:
        content = ", ".join(sorted(path.name for path in folder.iterdir())[:5]) or "nothing"
        raise DataError(
            f"{archive}: holds {len(found)} files {name}, expected one ({content}); the release"
            " has changed: fetch it by hand and give --data"
        )
    return found[0]


def _load_from_hub(
    folder: Path,
    part: str,
    file: RemoteFile,
    lock: Lock,
    settings: FetchSettings,
    console: Console,
) -> None:
    """Load files of a data set at one commit; whole files that an earlier call loaded are kept."""
    from vipbench.data.fetching import hub  # takes half a second

    wanted = hub.Wanted(str(file.hub), str(file.revision), file.take)
    listed = hub.list_files(wanted)
    _check_hub_sizes(folder, file, sum(each.size for each in listed), settings)
    staged = _staged(folder, file)
    hub.download_files(wanted, listed, staged, console=console)
    recorded = {each.name: each for each in lock.of(part, file.to)}
    moves, kept = [], []
    for each in listed:
        name = each.path if file.to == "." else file.to
        if name in recorded and (folder / name).exists():
            kept.append(recorded[name])
            continue
        loaded = Fetched(
            part=part,
            to=file.to,
            name=name,
            url=f"hf://datasets/{file.hub}@{file.revision}/{each.path}",
            size=each.size,
            sha256=file_digest(staged / each.path),
            time=_now(),
        )
        kept.append(_compared(lock, loaded, staged, settings))
        _check_free(folder / name)
        moves.append((staged / each.path, folder / name))
    _write_lock(folder, _with(lock, part, file.to, kept))
    for path, target in moves:
        _move(path, target)
    _remove(staged)


def _check_hub_sizes(folder: Path, file: RemoteFile, total: int, settings: FetchSettings) -> None:
    if file.size is not None and total != file.size and not settings.accept_changed:
        raise DataError(
            f"{file.hub}: has {total:,} bytes; expected {file.size:,}: the files have changed;"
            " --accept-changed takes them as they are"
        )
    free = shutil.disk_usage(folder).free
    if total > free:
        raise DataError(
            f"{folder}: {size_in_words(total)} are to be loaded, and {size_in_words(free)} are"
            " free; make room, or name another folder with -o"
        )


def _check_free(target: Path) -> None:
    """Refuse to take a place that is taken: the user's own files are never overwritten."""
    if target.exists():
        raise DataError(
            f"{target}: is there already, and was not fetched by vipbench; move it away, or name"
            " another folder with -o"
        )


def _compared(lock: Lock, loaded: Fetched, staged: Path, settings: FetchSettings) -> Fetched:
    """Return what to record: the first fetch where nothing has changed since.

    Raises DataError for what differs from the first fetch, unless the user takes it.
    """
    for former in lock.of(loaded.part, loaded.to):
        if former.name != loaded.name:
            continue
        if former.sha256 == loaded.sha256:
            return loaded.model_copy(update={"time": former.time})
        if not settings.accept_changed:
            raise DataError(
                f"{loaded.url}: has changed since it was fetched on {former.time}: sha256"
                f" {loaded.sha256} ({loaded.size:,} bytes), recorded {former.sha256}"
                f" ({former.size:,} bytes); --accept-changed takes it, and what was loaded is kept"
                f" in {staged}"
            )
    return loaded


def _with(lock: Lock, part: str, to: str, loaded: Iterable[Fetched]) -> Lock:
    """Replace what is recorded for one file of a source."""
    others = [each for each in lock.files if (each.part, each.to) != (part, to)]
    return lock.model_copy(update={"files": (*others, *loaded)})


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _move(path: Path, target: Path) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        path.rename(target)
    except OSError as error:
        raise unwritten(target, error, "what was loaded is kept") from error


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
