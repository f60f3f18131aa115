"""What of a run is left to do: all of a new one, nothing of a finished one."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from vipbench import environment
from vipbench.console import QUIET, Console
from vipbench.errors import RunError
from vipbench.run.describe import new_manifest
from vipbench.run.extend import added, check_addition, is_part
from vipbench.run.prepare import Prepared, is_limit_given
from vipbench.run.settings import RunSettings
from vipbench.run.share import plan_shared, plan_trials
from vipbench.runfolder import answers_file, bound
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
from vipbench.runfolder.manifest import FORMAT, Manifest, Segment
from vipbench.runfolder.name_file import write_name
from vipbench.runfolder.plan import BatchLimit, plan_digest
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
    is_new: bool = False
    """Whether the batches that are left were planned just now, and may be planned again."""
    tried: list[int] | None = None
    """Of `todo`, what is asked in any case; None: all of it."""

    @property
    def limit(self) -> BatchLimit:
        """How large the batches that are left may be."""
        return self.manifest.all_segments[-1].batch_limit

    @property
    def n_left(self) -> int:
        """Requests without an answer."""
        return sum(len(self.plan[batch]) for batch in self.todo)

    @property
    def n_before(self) -> int:
        """Requests of the run that is extended, which were answered before; 0 of any other run."""
        segments = self.manifest.segments
        return sum(map(len, self.plan[: segments[-1].first_batch])) if segments else 0

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
    if is_part(manifest, prepared.identity):
        write_name(folder, settings.name, settings.step)
        return _was_extended(folder, manifest, console)
    if settings.extend and manifests.differences(manifest.identity, prepared.identity):
        return _extended(prepared, settings, prepared.limit, console)
    check_same_run(folder, manifest, prepared)
    _check_shard(folder, manifest, settings.shard)
    write_name(folder, settings.name, settings.step)
    if _is_finished(folder, manifest):
        console.say(f"{folder}: was already finished · nothing is asked again (--fresh redoes it)")
        return Started(folder, manifest, [], [], is_finished=True)
    n_before = len(manifest.all_segments) - 1
    plan = _planned_before(folder, manifest, prepared.trials, n_before)
    answered = resume_responses(folder / RESPONSES, plan, prepared.trials)
    batches = own_batches(settings.shard, plan)
    if manifest.state is not None and settings.blocks is None:
        console.say(f"{folder}: was stopped early, by a gate or a race · all that is left is asked")
    console.say(f"{folder}: resuming: {len(answered)} of {len(batches)} batches already answered")
    _say_changes(folder, manifest, prepared, settings, console)
    manifest = bound.without(manifest, (REQUESTS, SCORES, SUMMARY)).model_copy(
        update={
            "n_starts": manifest.n_starts + 1,
            "finished": None,
            "state": None,
            "workers": settings.n_workers,
            "engine": settings.engine,
            "variables": settings.variables,
        }
    )
    todo = [batch for batch in batches if batch not in answered]
    return Started(folder, manifest, plan, todo)


def _planned_before(
    folder: Path, manifest: Manifest, trials: Trials, n_answered: int
) -> list[tuple[int, ...]]:
    """Return the batches of a run as they were planned; RunError where they would differ now.

    Those of the first `n_answered` segments stand in the answers, so that they are never planned
    again.
    """
    segments = manifest.all_segments
    n_batches = sum(segment.n_batches for segment in segments[:n_answered])
    written = {}
    if n_batches:
        written = answers_file.written_batches(folder / RESPONSES, trials, n_batches)
    plan: list[tuple[int, ...]] = []
    for index, segment in enumerate(segments):
        if index < n_answered:
            own = range(len(plan), len(plan) + segment.n_batches)
            batches = [written[number].indices for number in own if number in written]
        else:
            batches = plan_trials(
                trials,
                segment.batch_limit,
                index,
                sharing=segment.sharing,
                blocks=manifest.blocks if index == 0 else None,
                seed=manifest.identity.seed,
            )
        if segment.plan_digest != segment_digest(trials, batches, index):
            raise RunError(
                f"{folder}: vipbench {segment.versions.get('vipbench')} planned its batches "
                "differently · resume with that version, or use --fresh to start over"
                if index >= n_answered
                else f"{folder / RESPONSES}: the answers are not in the batches that were planned "
                "· expected what the run has written · put it back, or use --fresh to start over"
            )
        plan += batches
    return plan


def segment_digest(trials: Trials, plan: Sequence[Sequence[int]], segment: int) -> str:
    """Digest the plan of a segment, with indices that count its own trials."""
    own = (i for i, entry in enumerate(trials.entries) if entry.segment == segment)
    number = {index: n for n, index in enumerate(own)}
    return plan_digest([number[index] for index in batch] for batch in plan)


def _was_extended(folder: Path, manifest: Manifest, console: Console) -> Started:
    """Return a run that holds more than is asked for."""
    if not _is_finished(folder, manifest):
        raise RunError(
            f"{folder}: holds all that is asked for, and is being extended · give the command that "
            "extends it once more, so that it is finished"
        )
    console.say(f"{folder}: was already finished, and holds more · nothing is asked again")
    return Started(folder, manifest, [], [], is_finished=True)


def _extended(
    prepared: Prepared, settings: RunSettings, limit: BatchLimit, console: Console = QUIET
) -> Started:
    """Plan what an extension adds to a finished run, with batches of at most `limit`.

    Raises:
        RunError: It would change more than that.
    """
    assert prepared.earlier is not None
    folder, manifest = prepared.earlier.folder, prepared.earlier.manifest
    check_addition(prepared.earlier, prepared.identity)
    _check_path(folder, manifest, prepared)
    trials, segments = prepared.trials, manifest.all_segments
    index = len(segments)
    before = _planned_before(folder, manifest, trials, index)
    plan, sharing = plan_shared(trials, limit, prepared.shared, index)
    described = new_manifest(prepared, settings, limit, plan)
    old_tasks = manifest.identity.styles
    own = [entry for entry in trials.entries if entry.segment == index]
    old_styles = {(task, style.name) for task, styles in old_tasks.items() for style in styles}
    segment = Segment(
        identity=manifests.identity_digest(prepared.identity),
        added=added(
            manifest.identity,
            prepared.identity,
            has_samples=any((each.name.task, each.name.style) in old_styles for each in own),
        ),
        n_requests=len(own),
        first_batch=len(before),
        n_batches=len(plan),
        batch_size=limit.requests,
        token_budget=limit.tokens,
        plan_digest=segment_digest(trials, plan, index),
        device=described.device,
        versions=described.versions,
        started=described.started,
        sharing=sharing,
    )
    what = ", ".join(segment.added) or "nothing"
    n_before = sum(map(len, before))
    console.say(
        f"{folder}: extended by {what}: {len(own):,} requests more · {n_before:,} answered before"
    )
    grown = bound.without(manifest, (REQUESTS, SCORES, SUMMARY)).model_copy(
        update={
            "format": FORMAT,
            "identity": prepared.identity,
            "segments": (*segments, segment),
            "tasks": described.tasks,
            "n_requests": len(trials),
            "metrics": tuple(dict.fromkeys((*manifest.metrics, *described.metrics))),
            "notes": tuple(dict.fromkeys((*manifest.notes, *described.notes))),
            "finished": None,
            "n_starts": manifest.n_starts + 1,
            "workers": settings.n_workers,
            "engine": settings.engine,
            "variables": settings.variables,
        }
    )
    todo = list(range(len(before), len(before) + len(plan)))
    return Started(folder, grown, [*before, *plan], todo, is_new=True)


def _made_anew(folder: Path, settings: RunSettings) -> tuple[str, ...]:
    """Return the files that resuming makes anew, so that they need not be as they were."""
    lost = [name for name in (REQUESTS, JUDGE, EXTRACTORS) if not (folder / name).exists()]
    return (*lost, SCORES, SUMMARY, *((JUDGE,) if settings.judge is not None else ()))


def plan_run(folder: Path, prepared: Prepared, settings: RunSettings, limit: BatchLimit) -> Started:
    """Plan all of a new run, with batches of at most `limit`."""
    plan, sharing = plan_shared(
        prepared.trials,
        limit,
        prepared.shared,
        blocks=settings.blocks,
        seed=settings.seed,
        across=prepared.identity.settings.dtype == "float32",
    )
    manifest = new_manifest(prepared, settings, limit, plan, sharing)
    return Started(folder, manifest, plan, list(own_batches(settings.shard, plan)), is_new=True)


def plan_again(
    started: Started, prepared: Prepared, settings: RunSettings, limit: BatchLimit
) -> Started:
    """Plan what was planned just now with smaller batches."""
    if started.manifest.segments:
        return _extended(prepared, settings, limit)
    return plan_run(started.folder, prepared, settings, limit)


def own_batches(shard: Shard | None, plan: Sequence[object]) -> range:
    """Return which batches of a plan are asked here."""
    return range(len(plan)) if shard is None else shard.batches(len(plan))


def check_same_run(folder: Path, manifest: Manifest, prepared: Prepared) -> None:
    """Refuse to mix two runs in one folder, or two paths of one: in 16 bit they round differently.

    Raises:
        RunError: Shows the difference.
    """
    manifests.check_same(folder, manifest.identity, prepared.identity)
    _check_path(folder, manifest, prepared)


def _check_path(folder: Path, manifest: Manifest, prepared: Prepared) -> None:
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
    is_whole = manifest.finished is not None and manifest.state is None
    return is_whole and is_bound and is_there


def _say_changes(
    folder: Path, manifest: Manifest, prepared: Prepared, settings: RunSettings, console: Console
) -> None:
    """Say what is another way than when the run was begun."""
    limit = manifest.all_segments[-1].batch_limit
    if is_limit_given(settings) and limit != prepared.limit:
        console.say(
            f"{folder}: keeps the batches of {limit} of its first start, not "
            f"{prepared.limit}, so that the answers are those of an uninterrupted run"
        )
    if settings.no_share and manifest.all_segments[-1].sharing is not None:
        console.say(
            f"{folder}: reads beginnings once as at its first start, in spite of --no-share, so "
            "that the answers are those of an uninterrupted run"
        )
    versions = environment.versions(prepared.model.packages)
    changed = [
        f"{name} {old} → {versions.get(name)}"
        for name, old in manifest.versions.items()
        if versions.get(name) != old
    ]
    if changed:
        console.say(f"{folder}: was started with other versions: {', '.join(changed)}")
