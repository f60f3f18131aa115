"""resume: part of what was vipbench/run/loop.py."""

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from vipbench import environment
from vipbench.console import Console
from vipbench.errors import RunError
from vipbench.files import made
from vipbench.run.describe import new_manifest
from vipbench.run.prepare import Prepared, is_given
from vipbench.run.score import Results
from vipbench.run.settings import VIPLLAVA, RunSettings
from vipbench.runfolder import answers_file, summary, trials_file
from vipbench.runfolder import manifest as manifests
from vipbench.runfolder.folder import (
    FILES,
    MANIFEST,
    REQUESTS,
    RESPONSES,
    SCORES,
    SUMMARY,
    remove_run,
)
from vipbench.runfolder.manifest import Identity, Manifest
from vipbench.runfolder.plan import BatchLimit, plan_batches, plan_digest
from vipbench.runfolder.shard import Shard
from vipbench.runfolder.trials_file import Trials
from vipbench.schema import AnswerPath

DRAFT_SECONDS = 86_400
"""Age at which an unfinished list of requests belongs to no process any more."""


class Started(NamedTuple):
    """A run folder, ready to be gone on with."""

    manifest: Manifest
    trials: Trials
    plan: list[tuple[int, ...]]
    todo: list[int]
    """Batches without answers."""


# --- the run folder


def check_path(folder: Path, then: Manifest, path: AnswerPath) -> None:
    """Refuse to mix the paths of a runner in one folder: in 16 bit they round otherwise."""
    if then.identity.runner == VIPLLAVA and (then.path or "fast") != path:
        raise RunError(
            f"{folder}: was answered on path {then.path or 'fast'}, not {path}; give "
            f"--path {then.path or 'fast'} to go on with it, another -o, or --fresh to replace it"
        )


def placed(settings: RunSettings) -> RunSettings:
    """Give a shard a folder of its own below the one that is named for all of them."""
    if settings.shard is None or settings.out is None:
        return settings
    return settings.model_copy(update={"out": settings.out / settings.shard.folder})


def _mine(shard: Shard | None, n: int) -> range:
    """Return which of `n` batches are asked."""
    return range(n) if shard is None else shard.batches(n)


def folder_name(identity: Identity, settings: RunSettings) -> str:
    """Name the folder of a run, or of a shard of it, for which no -o is given."""
    name = manifests.run_id(identity)
    return name if settings.shard is None else f"{name}-{settings.shard.folder}"


def _finished(folder: Path, identity: Identity, settings: RunSettings) -> Results | None:
    """Read a run that has ended already; None where there is something left to do."""
    if not (folder / MANIFEST).exists():
        return None
    manifest = manifests.read(folder)
    manifests.check_same(folder, manifest.identity, identity)
    check_path(folder, manifest, settings.path)
    shard = settings.shard
    if manifest.shard != shard:
        then, now = (f"shard {each}" if each else "a whole run" for each in (manifest.shard, shard))
        raise RunError(
            f"{folder}: holds {then}, not {now}; give another -o, or --fresh to replace it"
        )
    if shard is not None:
        is_done = manifest.finished is not None and (folder / REQUESTS).exists()
        return Results(folder, [], manifest, 0) if is_done else None
    files = (REQUESTS, RESPONSES, SCORES, SUMMARY)
    if manifest.finished is None or not all((folder / name).exists() for name in files):
        return None
    return Results(folder, summary.read_summary(folder), manifest, 0)


def _plan(folder: Path, prepared: Prepared, settings: RunSettings, console: Console) -> Started:
    """Say what a new run asks, or find what is left of one that was stopped."""
    found = [name for name in FILES if (folder / name).exists()]
    then = None
    if found and not settings.fresh:
        if MANIFEST not in found:
            raise RunError(
                f"{folder}: holds {found[0]} without {MANIFEST}, so nobody knows what was "
                "asked; give another -o, or --fresh to replace it"
            )
        then = manifests.read(folder)
    if then is None:
        return planned(prepared, settings, prepared.limit)
    plan = plan_trials(prepared.trials, then.batch_limit)
    mine = _mine(settings.shard, len(plan))
    if then.plan_digest != plan_digest(plan):
        raise RunError(
            f"{folder}: vipbench {then.versions.get('vipbench')} planned its batches otherwise; go "
            "on with that version, or use --fresh to start over"
        )
    done = answers_file.resume_responses(folder / RESPONSES, plan, prepared.trials)
    console.say(f"{folder}: goes on; {len(done)} of {len(mine)} batches are answered")
    if is_given(settings) and then.batch_limit != prepared.limit:
        console.say(
            f"{folder}: keeps the batches of {then.batch_limit} of its first start, not "
            f"{prepared.limit}, so that the answers are those of an uninterrupted run"
        )
    now = environment.versions()
    changed = [
        f"{name} {old} → {now.get(name)}"
        for name, old in then.versions.items()
        if now.get(name) != old
    ]
    if changed:
        console.say(f"{folder}: was started with other versions: {', '.join(changed)}")
    manifest = then.model_copy(
        update={
            "n_starts": then.n_starts + 1,
            "finished": None,
            "workers": settings.workers,
            "engine": settings.engine,
        }
    )
    todo = [i for i in mine if i not in done]
    return Started(manifest, prepared.trials, plan, todo)


def planned(prepared: Prepared, settings: RunSettings, limit: BatchLimit) -> Started:
    """Plan a new run."""
    plan = plan_trials(prepared.trials, limit)
    manifest = new_manifest(prepared, settings, limit, plan)
    return Started(manifest, prepared.trials, plan, list(_mine(settings.shard, len(plan))))


def plan_trials(trials: Trials, limit: BatchLimit) -> list[tuple[int, ...]]:
    """Return the places in `trials` that each batch of a run holds."""
    asked = [i for i, entry in enumerate(trials.entries) if entry.key is not None]
    entries = [trials.entries[i] for i in asked]
    samples = [(entry.name.task, entry.name.id) for entry in entries]
    batches = plan_batches([entry.length for entry in entries], limit, samples)
    return [tuple(asked[i] for i in batch) for batch in batches]


def begin(folder: Path, started: Started, *, fresh: bool) -> Trials:
    """Write what a run consists of before its first answer; return its trials where they lie now.

    The manifest comes first: files without one are somebody else's.
    """
    if fresh:
        remove_run(folder)
    manifests.write(folder, started.manifest)
    answers_file.append_responses(folder / RESPONSES, [])  # a run without any answer ends, too
    # The same bytes, if it is there already; and nobody reads it meanwhile.
    return trials_file.move_trials(started.trials, folder / REQUESTS)


# --- small things


@contextlib.contextmanager
def _draft(place: Path, *, alone: bool) -> Iterator[Path]:
    """Lend a file beside which the run folder is, or in it; what is left there is removed.

    So is what a killed process has left: at once where no other process can be at work in the
    folder (`alone`), else after a day.
    """
    draft = place / f".requests-{os.getpid()}-{time.monotonic_ns()}.part"
    with made(place):
        for stale in place.glob(".requests-*.part"):
            with contextlib.suppress(OSError):
                if alone or time.time() - stale.stat().st_mtime > DRAFT_SECONDS:
                    stale.unlink()
        try:
            yield draft
        finally:
            with contextlib.suppress(OSError):
                draft.unlink(missing_ok=True)
