"""How far a run has come, which runs of several are finished, and how the others are gone on with.

A run that is not finished is no mistake where several are listed or summed up: it is left out, and
said to be.
"""

import contextlib
import shlex
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from vipbench.errors import RunError
from vipbench.files import read_error
from vipbench.runfolder import manifest as manifests
from vipbench.runfolder.folder import RESPONSES, SUMMARY
from vipbench.runfolder.manifest import IMPORTED, Manifest

SEEDS_ENDING = "seeds.json"
"""Of the table over several seeds, which lies beside run folders and comes along with `runs/*`."""
CUSTOM = "custom"
"""Suite of a run that only tasks were named for."""
SHOWN = 3
"""Folders that a message lists."""
BLOCK = 1 << 20
"""Bytes that are read at a time."""


class Progress(NamedTuple):
    """How far a run has come."""

    n_answered: int
    """Requests whose answers lie in the folder."""
    n_all: int
    """Requests of the run; of a shard, those of all shards."""
    is_finished: bool
    """It has its scores, or is a shard that has all of its answers."""


def progress(folder: Path, manifest: Manifest) -> Progress:
    """Return how far a run has come; RunError where its answers cannot be read."""
    has_tables = SUMMARY in manifest.files or (manifest.format == 1 and (folder / SUMMARY).exists())
    n_answered = _count_lines(folder / RESPONSES)
    return Progress(n_answered, manifest.n_requests, manifest.finished is not None or has_tables)


def last_change(folder: Path, manifest: Manifest) -> str:
    """Return when a run began, ended, was extended or put together last: UTC, ISO 8601.

    Of one that is not finished, when it was answered last.
    """
    segments = manifest.segments
    times = [manifest.started, manifest.finished or ""]
    times += [time or "" for segment in segments for time in (segment.started, segment.finished)]
    if manifest.finished is None:
        with contextlib.suppress(FileNotFoundError):  # nothing is answered yet
            seconds = (folder / RESPONSES).stat().st_mtime
            times.append(datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds"))
    return max(times)


def stopped_early(folder: Path, manifest: Manifest) -> str | None:
    """Say of a run that was stopped early what its numbers are not; None where it is whole."""
    if manifest.state is None:
        return None
    known = progress(folder, manifest)
    return (
        f"was stopped early by a sequential gate or a race, with {known.n_answered:,} of "
        f"{known.n_all:,} requests answered, and its accuracies are biased · expected a run that "
        f"has asked all · `vipbench run --extend -o {folder}` asks the rest"
    )


def check_whole(folder: Path, manifest: Manifest) -> None:
    """Refuse a run that was stopped early where its accuracies are to be shown; RunError."""
    if (reason := stopped_early(folder, manifest)) is not None:
        raise RunError(f"{folder}: {reason}")


def why_left_out(folder: Path, manifest: Manifest, *, with_stopped: bool = False) -> str | None:
    """Say why a run has no numbers yet, and what to do; None where it is finished.

    One that was stopped early has biased ones, and is finished for `with_stopped` alone.
    """
    known = progress(folder, manifest)
    if manifest.shard is not None:
        return (
            f"{folder}: left out: is shard {manifest.shard} of a run and has no scores · expected "
            "a whole run · put all shards together: `vipbench merge SHARD... -o RUN`"
        )
    if known.is_finished:
        reason = None if with_stopped else stopped_early(folder, manifest)
        return None if reason is None else f"{folder}: left out: {reason}"
    return (
        f"{folder}: left out: is unfinished, {known.n_answered:,} of {known.n_all:,} requests are "
        "answered · expected a finished run · its command, given again, goes on with it: "
        f"`{command(folder, manifest)}` (…: its data and further options)"
    )


def finished_runs(
    folders: Iterable[Path], say: Callable[[str], None], *, with_stopped: bool = False
) -> list[Path]:
    """Return the folders of finished runs; of each other run, say why it is left out.

    Those that were stopped early are among the others, but for `with_stopped`.

    Raises:
        RunError: A folder holds no run; or no run is finished.
    """
    unique = list(dict.fromkeys(folders))
    found = {folder: _reason(folder, with_stopped=with_stopped) for folder in unique}
    reasons = {folder: reason for folder, reason in found.items() if reason is not None}
    for reason in reasons.values():
        say(reason)
    kept = [folder for folder in unique if folder not in reasons]
    if not kept:
        raise RunError(
            f"{', '.join(map(str, unique[:SHOWN]))}{' …' * (len(unique) > SHOWN)}: no finished run "
            "is left · expected at least one · finish one first, as said above"
        )
    return kept


def _reason(folder: Path, *, with_stopped: bool) -> str | None:
    """Say why nothing can be read of a folder that came along with those of runs, if so."""
    if folder.name.endswith(SEEDS_ENDING) and folder.is_file():
        return f"{folder}: left out: is the table of several seeds, and no run folder"
    return why_left_out(folder, manifests.read(folder), with_stopped=with_stopped)


def command(folder: Path, manifest: Manifest) -> str:
    """Return the command that goes on with a run, as far as its manifest tells.

    Data, and what else an answer does not depend on, are not in it: `…` stands for them.
    """
    identity = manifest.identity
    words: list[str] = ["vipbench", "run"]
    if identity.runner == IMPORTED:
        words = ["vipbench", "import", *(f"{task}=FILE" for task in identity.styles)]
    elif identity.settings.adapter is not None and manifest.model_path:
        words += ["--runner", identity.runner, "--adapter", manifest.model_path]
    else:
        words += ["--runner", identity.runner]
        has_model = identity.settings.weights is not None or identity.settings.endpoint is not None
        words += ["--model", manifest.model_path or identity.model] if has_model else []
    words += ["--suite", identity.suite] if identity.suite != CUSTOM else []
    if identity.runner != IMPORTED:
        words += ["--tasks", ",".join(identity.tasks)]
        styles = {tuple(style.name for style in styles) for styles in identity.styles.values()}
        # Those of different tasks are as each task says, or what is left of a list.
        words += ["--styles", ",".join(*styles)] if len(styles) == 1 else []
    words += ["--seed", str(identity.seed)] if identity.seed else []
    words += ["--limit", str(identity.limit)] if identity.limit is not None else []
    return f"{shlex.join(words)} … {shlex.join(['-o', str(folder)])}"


def states(manifest: Manifest, known: Progress, *, is_subset: bool) -> Sequence[str]:
    """Return in words how far a run has come, and what it is a part of."""
    parts = [] if manifest.shard is None else [f"shard {manifest.shard}"]
    if known.is_finished:
        parts.append("finished" if manifest.state is None else "stopped early")
        parts += [f"{manifest.n_shards} shards"] if manifest.n_shards > 1 else []
    elif manifest.shard is not None:
        parts.append(f"unfinished, {known.n_answered:,} answered")
    else:
        parts.append(f"unfinished {known.n_answered:,}/{known.n_all:,}")
    return [*parts, *(["subset"] if is_subset else [])]


def _count_lines(path: Path) -> int:
    """Count the lines of a file that have an end; 0 where there is none."""
    n = 0
    try:
        with path.open("rb") as file:
            while block := file.read(BLOCK):
                n += block.count(b"\n")
    except FileNotFoundError:
        return 0
    except OSError as error:
        raise read_error(path, error) from error
    return n
