"""Files that are bound to their run: the manifest tells the length and the sha256 of each.

Who replaces a file first writes the manifest without its entry, then the file, then the manifest
with the new entry (`unbind`, `bind`). A folder of version 1 binds nothing, and stays as it is.
"""

import hashlib
import logging
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from vipbench import files
from vipbench.errors import RunError
from vipbench.runfolder import manifest as manifests
from vipbench.runfolder.folder import (
    EXTRACTORS,
    JUDGE,
    MANIFEST,
    REQUESTS,
    RESPONSES,
    RUN_ADVICE,
    SCORES,
    SUMMARY,
)
from vipbench.runfolder.manifest import Manifest, Written

BOUND = (REQUESTS, RESPONSES, SCORES, SUMMARY, JUDGE, EXTRACTORS)
"""The files that a manifest binds, in the order in which they are checked."""
TABLES = (SCORES, SUMMARY)
"""Those that are made of the others."""
BLOCK = 1 << 20
"""Bytes that are read at a time."""

_log = logging.getLogger(__name__)


def advice(folder: Path, name: str) -> str:
    """Say what to do about a file that is not what the run wrote."""
    if name in TABLES:
        return f"`vipbench score {folder}` makes it again"
    if name == JUDGE:
        return f"put it back, or name the judge again: `vipbench score {folder} --judge-url URL`"
    if name == EXTRACTORS:
        return "put it back, or remove it and name the extractor again"
    if name == REQUESTS:
        return "put it back, or remove it and give the command of the run again"
    return "put it back, or use --fresh to start over"


class Changed(RunError):
    """A file is not what the run wrote; `name` says which."""

    def __init__(self, folder: Path, name: str, what: str) -> None:
        """Say what is wrong with a file."""
        super().__init__(f"{folder / name}: {what} · {advice(folder, name)}")
        self.name = name


def written(path: Path) -> Written:
    """Return length and digest of a whole file; RunError where it cannot be read."""
    digest, n_bytes = hashed(path)
    return Written(bytes=n_bytes, sha256=digest.hexdigest())


def bind(
    folder: Path,
    manifest: Manifest,
    names: Iterable[str],
    known: Mapping[str, Written] | None = None,
) -> Manifest:
    """Return the manifest with entries of files as they are now; of a missing one it has none.

    Args:
        folder: of the run.
        manifest: of version 1 comes back as it is.
        names: of files to read.
        known: entries of other files, that need not be read for it.
    """
    if manifest.format == 1:
        return manifest
    entries = dict(manifest.files) | dict(known or {})
    for name in names:
        entries.pop(name, None)
        if (folder / name).exists():
            entries[name] = written(folder / name)
    return manifest.model_copy(update={"files": {n: entries[n] for n in BOUND if n in entries}})


def without(manifest: Manifest, names: Iterable[str]) -> Manifest:
    """Return the manifest without the entries of files that are about to be replaced."""
    dropped = set(names)
    kept = {name: entry for name, entry in manifest.files.items() if name not in dropped}
    return manifest if kept == manifest.files else manifest.model_copy(update={"files": kept})


def unbind(folder: Path, manifest: Manifest, names: Iterable[str]) -> Manifest:
    """Write the manifest without the entries of files that are replaced next, if it has any."""
    left = without(manifest, names)
    if left is not manifest:
        manifests.write(folder, left)
    return left


def read(folder: Path, replaced: Collection[str] = ()) -> Manifest:
    """Read the manifest of a run folder, and hold its files against it.

    Where nothing is bound, that is logged.

    Args:
        folder: of the run.
        replaced: files that the caller makes anew, and that need not be what they were.

    Raises:
        Changed: A file is not what the run wrote.
        RunError: There is no run, its manifest is broken, or tables are left of a scoring that
            was killed.
    """
    manifest = manifests.read(folder)
    if manifest.format == 1:
        _log.warning(
            "%s: was written before files were bound to their run · nothing shows whether its "
            "files were edited, or swapped with those of another run",
            folder,
            extra={"once": True},
        )
        return manifest
    for name in BOUND:
        if name in replaced:
            continue
        entry = manifest.files.get(name)
        if entry is not None:
            _check(folder, name, entry)
        elif name in TABLES and (folder / name).exists():
            raise RunError(
                f"{folder / name}: is left of a command that was stopped while it scored · "
                f"{advice(folder, name)}"
            )
    return manifest


def check_file(folder: Path, manifest: Manifest, name: str) -> None:
    """Hold one file against the manifest, where that binds it; Changed where it is another."""
    if (entry := manifest.files.get(name)) is not None:
        _check(folder, name, entry)


def _check(folder: Path, name: str, entry: Written) -> None:
    path = folder / name
    if not path.exists():
        raise Changed(folder, name, "does not exist any more, but the run has written it")
    digest, n_bytes = hashed(path, entry.bytes)
    is_longer = name != RESPONSES and path.stat().st_size > entry.bytes
    if n_bytes < entry.bytes:
        what = f"holds {n_bytes:,} bytes of the {entry.bytes:,} that the run has written"
        raise Changed(folder, name, what)
    if digest.hexdigest() != entry.sha256 or is_longer:
        raise Changed(folder, name, f"is not what the run has written, by its digest in {MANIFEST}")


def hashed(path: Path, most: int | None = None) -> "tuple[hashlib._Hash, int]":
    """Digest the first `most` bytes of a file, or all; return the sha256, and how many they are.

    Raises:
        RunError: The file cannot be read.
    """
    digest, n_bytes = hashlib.sha256(), 0
    try:
        files.check_regular(path)
        with path.open("rb") as file:
            while block := file.read(BLOCK if most is None else min(BLOCK, most - n_bytes)):
                digest.update(block)
                n_bytes += len(block)
    except OSError as error:
        raise files.read_error(path, error, RUN_ADVICE) from error
    return digest, n_bytes
