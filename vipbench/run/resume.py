"""What of a run is left to do: all of a new one, nothing of a finished one."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from vipbench import environment
from vipbench.console import Console
from vipbench.errors import RunError
from vipbench.run.describe import new_manifest
from vipbench.run.prepare import Prepared, is_limit_given
from vipbench.run.settings import RunSettings
from vipbench.runfolder import bound
from vipbench.runfolder import manifest as manifests
from vipbench.runfolder.answers_file import resume_responses
from vipbench.runfolder.folder import (
    EXTRACTORS,
    FILES,
    JUDGE,
    MANIFEST,
    REQUESTS,
    RESPONSES,
    SCORES,
    SUMMARY,
)
from vipbench.runfolder.manifest import Manifest
from vipbench.runfolder.plan import BatchLimit, plan_batches, plan_digest
from vipbench.runfolder.shard import Shard
from vipbench.runfolder.trials_file import Trials
from vipbench.schema import AnswerPath


class Started(NamedTuple):
    """A run, and how far it has come."""

    folder: Path
    manifest: Manifest
    plan: list[tuple[int, ...]]
    """The indices in the trials that each batch holds."""
    todo: list[int]
    """Batches without answers."""
    is_finished: bool = False
    """Whether scores and summary are there, or, of a shard, all answers."""

    @property
    def n_left(self) -> int:
        """Requests without an answer."""
        return sum(len(self.plan[batch]) for batch in self.todo)

    @property
    def n_all(self) -> int:
        """Requests of the run, or of this shard of it."""
        return sum(len(self.plan[batch]) for batch in own_batches(self.manifest.shard, self.plan))


def resume(folder: Path, prepared: Prepared, settings: RunSettings, console: Console) -> Started:
    """Find what is left of a run in a folder, or plan a new one.

    Raises:
        RunError: The folder holds another run, or files that cannot be told.
    """
    present = [name for name in FILES if (folder / name).exists()]
    if not present or settings.fresh:
        return plan_run(folder, prepared, settings, prepared.limit)
    if MANIFEST not in present:
        raise RunError(
            f"{folder}: holds {present[0]} without {MANIFEST}, so it is not known what "
            "was asked · give another -o, or --fresh to replace it"
        )
    manifest = bound.read(folder, _made_anew(folder, settings))
    check_same_run(folder, manifest, prepared)
    _check_shard(folder, manifest, settings.shard)
    if settings.name not in (None, manifest.name):
        manifest = manifest.model_copy(update={"name": settings.name})
        manifests.write(folder, manifest)
    if _is_finished(folder, manifest):
        console.say(f"{folder}: was already finished · nothing is asked again (--fresh redoes it)")
        return Started(folder, manifest, [], [], is_finished=True)
    plan = plan_trials(prepared.trials, manifest.batch_limit)
    if manifest.plan_digest != plan_digest(plan):
        raise RunError(
            f"{folder}: vipbench {manifest.versions.get('vipbench')} planned its batches "
            "differently · resume with that version, or use --fresh to start over"
        )
    answered = resume_responses(folder / RESPONSES, plan, prepared.trials)
    batches = own_batches(settings.shard, plan)
    console.say(f"{folder}: resuming: {len(answered)} of {len(batches)} batches already answered")
    _say_changes(folder, manifest, prepared, settings, console)
    manifest = bound.without(manifest, (REQUESTS, SCORES, SUMMARY)).model_copy(
        update={
            "n_starts": manifest.n_starts + 1,
            "finished": None,
            "workers": settings.workers,
            "engine": settings.engine,
        }
    )
    todo = [batch for batch in batches if batch not in answered]
    return Started(folder, manifest, plan, todo)


def _made_anew(folder: Path, settings: RunSettings) -> tuple[str, ...]:
    """Return the files that resuming makes anew, so that they need not be as they were."""
    lost = [name for name in (REQUESTS, JUDGE, EXTRACTORS) if not (folder / name).exists()]
    return (*lost, SCORES, SUMMARY, *((JUDGE,) if settings.judge is not None else ()))


def plan_run(folder: Path, prepared: Prepared, settings: RunSettings, limit: BatchLimit) -> Started:
    """Plan all of a new run, with batches of at most `limit`."""
    plan = plan_trials(prepared.trials, limit)
    manifest = new_manifest(prepared, settings, limit, plan)
    return Started(folder, manifest, plan, list(own_batches(settings.shard, plan)))


def plan_trials(trials: Trials, limit: BatchLimit) -> list[tuple[int, ...]]:
    """Return the indices in `trials` that each batch of a run holds."""
    asked = [i for i, entry in enumerate(trials.entries) if entry.key is not None]
    entries = [trials.entries[i] for i in asked]
    samples = [(entry.name.task, entry.name.id) for entry in entries]
    batches = plan_batches([entry.length for entry in entries], limit, samples)
    return [tuple(asked[i] for i in batch) for batch in batches]


def own_batches(shard: Shard | None, plan: Sequence[object]) -> range:
    """Return which batches of a plan are asked here."""
    return range(len(plan)) if shard is None else shard.batches(len(plan))


def check_same_run(folder: Path, manifest: Manifest, prepared: Prepared) -> None:
    """Refuse to mix two runs in one folder, or two paths of one: in 16 bit they round differently.

    Raises:
        RunError: Shows the difference.
    """
    manifests.check_same(folder, manifest.identity, prepared.identity)
    path: AnswerPath | None = prepared.spec.path
    previous = manifest.path or "fast"
    if path is not None and path != previous:
        raise RunError(
            f"{folder}: was answered on path {previous}, not {path} · give --path {previous} to "
            "resume it, another -o, or --fresh to replace it"
        )


def _check_shard(folder: Path, manifest: Manifest, shard: Shard | None) -> None:
    if manifest.shard != shard:
        previous, now = (f"shard {s}" if s else "a whole run" for s in (manifest.shard, shard))
        raise RunError(
            f"{folder}: holds {previous}, not {now} · give another -o, or --fresh to replace it"
        )


def _is_finished(folder: Path, manifest: Manifest) -> bool:
    needed = (REQUESTS,) if manifest.shard else (REQUESTS, RESPONSES, SCORES, SUMMARY)
    is_bound = manifest.format == 1 or all(name in manifest.files for name in needed)
    is_there = all((folder / name).exists() for name in needed)
    return manifest.finished is not None and is_bound and is_there


def _say_changes(
    folder: Path, manifest: Manifest, prepared: Prepared, settings: RunSettings, console: Console
) -> None:
    """Say what is another way than when the run was begun."""
    if is_limit_given(settings) and manifest.batch_limit != prepared.limit:
        console.say(
            f"{folder}: keeps the batches of {manifest.batch_limit} of its first start, not "
            f"{prepared.limit}, so that the answers are those of an uninterrupted run"
        )
    versions = environment.versions(prepared.model.packages)
    changed = [
        f"{name} {old} → {versions.get(name)}"
        for name, old in manifest.versions.items()
        if versions.get(name) != old
    ]
    if changed:
        console.say(f"{folder}: was started with other versions: {', '.join(changed)}")
