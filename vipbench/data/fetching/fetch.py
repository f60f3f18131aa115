"""Fetch benchmark data: loads what is missing, and checks what is here against the first fetch.

The files of a set go to one folder, `CACHE/data/KEY`, which `--data KEY=DIR` and the readers take
as it is. What was loaded is written down beside it, in `vipbench-fetched.json`: sizes and sha256
digests, recorded at the first fetch and checked at every later one. Transfers and unfinished
folders lie in `.vipbench-fetch` until they are whole.
"""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from vipbench.console import QUIET, Console
from vipbench.data.cache import fetched_folder
from vipbench.data.fetching.archives import tree, tree_size, unpack
from vipbench.data.fetching.lock import (
    Fetched,
    Lock,
    file_state,
    read_lock,
    staged_path,
    target_path,
    write_lock,
)
from vipbench.data.fetching.sources import STAGE, Part, RemoteFile, Source
from vipbench.data.fetching.transfer import Patience, download, finish, note_path, plain_url
from vipbench.digests import file_digest
from vipbench.errors import DataError, RunInterrupted, TaskError, nearest
from vipbench.files import locked, made, size_in_words, unwritten


class FetchSettings(NamedTuple):
    """How to fetch."""

    accept_changed: bool = False
    """Record what differs from the first fetch, instead of refusing it."""
    keep_archives: bool = False
    """Keep archives in `archives/` after they are unpacked."""
    patience: Patience = Patience()


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
        console: takes a line for every file, and shows bars.

    Raises:
        DataError: A file cannot be loaded, or differs in size or digest from what is recorded.
        RunInterrupted: The user stopped it; what was loaded is kept.
        RunError: Another process fetches into the folder, or it is not a folder.
        TaskError: A part is unknown.
    """
    folder = fetched_folder(source.key) if folder is None else folder
    for name in parts:
        if name not in source.parts:
            raise TaskError(f"--part {name!r}: {source.key} has none{nearest(name, source.parts)}")
    if source.by_hand:
        raise DataError(f"{source.key}: its licence must be accepted by hand · see {source.page}")
    chosen = {
        name: part
        for name, part in source.parts.items()
        if (name in parts if parts else not part.optional)
    }
    with locked(folder), _stoppable(folder):
        _check_room(folder, chosen, read_lock(folder, source.key))
        for name, part in chosen.items():
            console.say(f"{source.key} {name}: {part.title}; licence: {part.licence}")
            for file in part.files:
                job = _Job(folder, source.key, name, file, settings, console)
                if _check(job):
                    _clear(job)
                    continue
                with made(folder / STAGE):
                    _load(job)
        with suppress(OSError):  # it holds parts of other files, or is not there
            (folder / STAGE).rmdir()  # by a process that was killed
    return folder


@dataclass(frozen=True, slots=True)
class _Job:
    """One file of a source, to be checked or loaded."""

    folder: Path
    key: str
    part: str
    file: RemoteFile
    settings: FetchSettings
    console: Console

    def read_lock(self) -> Lock:
        """Read what was fetched into the folder so far."""
        return read_lock(self.folder, self.key)

    def record(self, lock: Lock, loaded: Sequence[Fetched]) -> None:
        """Write down what was loaded; DataError where the disk refuses."""
        write_lock(self.folder, lock.replaced(self.part, self.file.to, loaded))


@contextmanager
def _stoppable(folder: Path) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt as stop:
        raise RunInterrupted(
            f"{folder}: stopped · what was loaded is kept · give the same command again to resume"
        ) from stop


def _check_room(folder: Path, parts: Mapping[str, Part], lock: Lock) -> None:
    """Refuse to begin what the disk has no room for, as far as sizes are known."""
    needed = done = 0
    for name, part in parts.items():
        for file in part.files:
            if file_state(name, file, folder, lock) == "complete":
                continue
            size = file.size or file.about or 0
            staged = staged_path(folder, file)
            here = staged.stat().st_size if staged.is_file() else 0
            # An archive and what is unpacked from it lie side by side for a while.
            needed = max(needed, done + size * (2 if file.unpack else 1) - here)
            done += size - (0 if file.unpack else here)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise DataError(
            f"{folder}: needs about {size_in_words(needed)}, and {size_in_words(free)} are free ·"
            " make room, name another folder with -o, or single parts with --part"
        )


# --- checking what is here


def _check(job: _Job) -> bool:
    """Say whether a file is here and the same as at the first fetch; False: it is to be loaded.

    Raises DataError where another file has its path: the user's own is never overwritten.
    """
    folder, to, lock = job.folder, job.file.to, job.read_lock()
    recorded = lock.of(job.part, to)
    present = [file for file in recorded if target_path(folder, file).exists()]
    if not recorded and to != ".":
        _check_free(folder / to)
    for file in present:
        path = target_path(folder, file)
        before = file.tree_sha256 or file.sha256
        with job.console.bar(f"checking {path.name}", unit="B", leave=False) as bar:
            now = file_digest(path) if path.is_file() else tree(path, bar.update).sha256
        if now == before:
            continue
        if not job.settings.accept_changed:
            raise DataError(
                f"{path}: has changed since it was fetched on {file.time}: sha256 {now}, recorded"
                f" {before} · remove it and fetch again, or --accept-changed to take it as it is"
            )
        lock = _accepted(lock, file, path, now)
        write_lock(folder, lock)
        job.console.say(f"{path}: taken as it is; sha256 {now}")
    if recorded and len(present) == len(recorded):
        if lock.of(job.part, to) == recorded:
            job.console.say(f"{folder / to}: here, and unchanged since {recorded[0].time}")
        return True
    return False


def _clear(job: _Job) -> None:
    """Remove what a process that was killed has left of a file which is whole."""
    if job.file.hub:
        return
    staged = staged_path(job.folder, job.file)
    if job.settings.keep_archives and job.file.unpack and staged.exists():
        recorded = job.read_lock().of(job.part, job.file.to)[0]
        finish(staged, job.folder / "archives" / recorded.name)
    for path in (_unpacked_path(job.folder, staged), staged, note_path(staged)):
        _remove(path)


def _unpacked_path(folder: Path, archive: Path) -> Path:
    return folder / STAGE / f"{archive.name.removesuffix('.part')}.unpacked"


def _accepted(lock: Lock, fetched: Fetched, path: Path, digest: str) -> Lock:
    """Record what is here now instead of what was fetched."""
    changes: dict[str, object]
    if fetched.n_files is None:
        changes = {"size": path.stat().st_size, "sha256": digest}
    else:
        n_files, n_bytes = (1, path.stat().st_size) if path.is_file() else tree_size(path)
        changes = {"n_files": n_files, "n_bytes": n_bytes, "tree_sha256": digest}
    files = [file.model_copy(update=changes) if file == fetched else file for file in lock.files]
    return lock.model_copy(update={"files": tuple(files)})


# --- loading


def _load(job: _Job) -> None:
    if job.file.hub:
        _load_from_hub(job)
    else:
        _load_from_url(job)


def _load_from_url(job: _Job) -> None:
    file, settings, lock = job.file, job.settings, job.read_lock()
    assert file.url is not None  # checked when the source was loaded
    staged = staged_path(job.folder, file)
    size = download(
        file.url,
        staged,
        size=None if settings.accept_changed else file.size,
        patience=settings.patience,
        console=job.console,
    )
    url = plain_url(file.url)
    loaded = Fetched(
        part=job.part,
        to=file.to,
        name=PurePosixPath(url).name if file.unpack else file.to,
        url=url,
        size=size,
        sha256=file_digest(staged),
        time=_now(),
    )
    loaded = _compared(lock, loaded, staged, settings)
    if file.unpack:
        _unpack(job, lock, loaded, staged)
        return
    job.record(lock, [loaded])
    finish(staged, job.folder / file.to)


def _unpack(job: _Job, lock: Lock, loaded: Fetched, archive: Path) -> None:
    """Unpack what was loaded, and take all of it or the one file that is wanted."""
    folder, file = job.folder, job.file
    unpacked = _unpacked_path(folder, archive)
    with job.console.bar(f"unpacking {loaded.name}", unit="B", leave=False) as bar:
        root, content = unpack(archive, unpacked, bar.update)
    digest, n_files, n_bytes = content.sha256, content.n_files, content.n_bytes
    if file.take:
        root = _only_file(unpacked, file.take[0], archive)
        digest, n_files, n_bytes = file_digest(root), 1, root.stat().st_size
    kept = {"n_files": n_files, "n_bytes": n_bytes, "tree_sha256": digest}
    # Before it has its name: what has one and is not recorded counts as the user's own.
    job.record(lock, [loaded.model_copy(update=kept)])
    _move(root, folder / file.to)
    if job.settings.keep_archives:
        finish(archive, folder / "archives" / loaded.name)
    _remove(unpacked)
    _remove(archive)
    _remove(note_path(archive))


def _only_file(folder: Path, name: str, archive: Path) -> Path:
    """Return the file of a name, anywhere below a folder; DataError unless there is just one."""
    files = sorted(folder.rglob(name))
    if len(files) != 1:
        content = ", ".join(sorted(path.name for path in folder.iterdir())[:5]) or "nothing"
        raise DataError(
            f"{archive}: holds {len(files)} files {name} ({content}) · expected one: the release"
            " has changed · fetch it by hand and give --data"
        )
    return files[0]


def _load_from_hub(job: _Job) -> None:
    """Load files of a data set at one commit; whole files that an earlier call loaded are kept."""
    from vipbench.data.fetching import hub  # takes half a second

    folder, file, lock = job.folder, job.file, job.read_lock()
    wanted = hub.Wanted(str(file.hub), str(file.revision), file.take)
    listed = hub.list_files(wanted)
    _check_hub_sizes(job, sum(remote.size for remote in listed))
    staged = staged_path(folder, file)
    hub.download_files(wanted, listed, staged, console=job.console)
    recorded = {fetched.name: fetched for fetched in lock.of(job.part, file.to)}
    moves, kept = [], []
    for remote in listed:
        name = remote.path if file.to == "." else file.to
        if name in recorded and (folder / name).exists():
            kept.append(recorded[name])
            continue
        loaded = Fetched(
            part=job.part,
            to=file.to,
            name=name,
            url=f"hf://datasets/{file.hub}@{file.revision}/{remote.path}",
            size=remote.size,
            sha256=file_digest(staged / remote.path),
            time=_now(),
        )
        kept.append(_compared(lock, loaded, staged, job.settings))
        _check_free(folder / name)
        moves.append((staged / remote.path, folder / name))
    job.record(lock, kept)
    for path, target in moves:
        _move(path, target)
    _remove(staged)


def _check_hub_sizes(job: _Job, total: int) -> None:
    file = job.file
    if file.size is not None and total != file.size and not job.settings.accept_changed:
        raise DataError(
            f"{file.hub}: has {total:,} bytes · expected {file.size:,}: the files have changed ·"
            " --accept-changed takes them as they are"
        )
    free = shutil.disk_usage(job.folder).free
    if total > free:
        raise DataError(
            f"{job.folder}: {size_in_words(total)} are to be loaded, and {size_in_words(free)} are"
            " free · make room, or name another folder with -o"
        )


def _check_free(target: Path) -> None:
    """Refuse to write where something is: the user's own files are never overwritten."""
    if target.exists():
        raise DataError(
            f"{target}: is there already, and was not fetched by vipbench · move it away, or name"
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
                f" ({former.size:,} bytes) · --accept-changed takes it, and what was loaded is kept"
                f" in {staged}"
            )
    return loaded


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
