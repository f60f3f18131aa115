"""What a run would do, said without loading a model or writing anything."""

import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from vipbench.console import QUIET, Console
from vipbench.errors import RunError
from vipbench.run.claim import run_folder, with_shard_folder
from vipbench.run.extend import check_addition, is_part
from vipbench.run.prepare import Prepared, prepare
from vipbench.run.resume import check_same_run, own_batches
from vipbench.run.settings import RunSettings
from vipbench.run.share import plan_shared, plan_trials
from vipbench.runfolder import answers_file
from vipbench.runfolder import manifest as manifests
from vipbench.runfolder.bound import TABLES
from vipbench.runfolder.folder import MANIFEST, REQUESTS, RESPONSES
from vipbench.runfolder.lines import TrialId, trial_id
from vipbench.runfolder.manifest import Identity, Manifest, differences
from vipbench.runfolder.opened import open_run
from vipbench.runners.spec import Estimate

LINE_BYTES = 900
"""Typical bytes of a line of `responses.jsonl` and one of `scores.jsonl`, for a dry run."""


class DryRun(NamedTuple):
    """What a run would do."""

    path: Path
    counts: dict[tuple[str, str], int]
    """(task, style) -> samples that would be asked."""
    n_errors: dict[str, int]
    """Task -> samples that cannot be asked."""
    n_left: int
    """Requests that are not answered yet."""
    seconds: float | None
    """Expected for these; None where nothing was measured before."""
    seconds_from: str
    """What the expectation rests on."""
    n_bytes: int
    """Expected size of the run folder, of which the requests are exact."""
    notes: tuple[str, ...]
    estimate: Estimate | None = None
    """What an endpoint would be sent for the requests that are left; None: it asks none."""


def dry_run(settings: RunSettings, console: Console = QUIET) -> DryRun:
    """Say what a run would do; reads all data and checks the model, but loads and writes nothing.

    Raises:
        VipbenchError: As `run`, for what can be known before the model is loaded.
    """
    settings = with_shard_folder(settings)
    with tempfile.TemporaryDirectory() as scratch:
        draft = Path(scratch) / REQUESTS
        # However many samples cannot be asked, that is what a dry run is to say.
        lenient = settings.model_copy(update={"max_errors": 1.0})
        prepared = prepare(lenient, draft, replace(console, say=QUIET.say))
        n_bytes = draft.stat().st_size + LINE_BYTES * len(prepared.trials)
        folder = run_folder(prepared.identity, settings)
        left = _left(folder, prepared, settings)
        estimate = prepared.spec.estimate(
            trial.request
            for trial in prepared.trials
            if trial.request is not None and trial_id(trial) in left
        )
    n_left = len(left)
    per_request, seconds_from = measured(folder.parent, _same_model(prepared.identity))
    counts = Counter((name.task, name.style) for name, *_ in prepared.trials.entries)
    return DryRun(
        path=folder,
        counts=dict(counts),
        n_errors={task: len(facts.errors) for task, facts in prepared.facts.items()},
        n_left=n_left,
        seconds=None if per_request is None else per_request * n_left,
        seconds_from=seconds_from,
        n_bytes=n_bytes,
        notes=(*prepared.way, *prepared.notes),
        estimate=estimate,
    )


def _left(folder: Path, prepared: Prepared, settings: RunSettings) -> set[TrialId]:
    """Return the requests that have no answer yet, in this shard if it is one."""
    resumes = (folder / MANIFEST).exists() and not settings.fresh
    previous = open_run(folder, replaced=TABLES) if resumes else None
    if previous is not None and (settings.extend or previous.segments):
        names = {entry.name for entry in prepared.trials.entries if entry.key is not None}
    else:
        if previous is None:
            plan = plan_shared(
                prepared.trials,
                prepared.limit,
                prepared.shared,
                blocks=settings.blocks,
                seed=settings.seed,
            ).batches
        else:
            plan = plan_trials(
                prepared.trials,
                previous.batch_limit,
                sharing=previous.sharing,
                blocks=previous.blocks,
                seed=settings.seed,
            )
        names = {
            prepared.trials.entries[index].name
            for batch in own_batches(settings.shard, plan)
            for index in plan[batch]
        }
    if previous is None:
        return names
    if settings.extend and prepared.earlier and differences(previous.identity, prepared.identity):
        check_addition(prepared.earlier, prepared.identity)
    elif not is_part(previous, prepared.identity):
        check_same_run(folder, previous, prepared)
    return names - answers_file.read_responses(folder / RESPONSES).keys()


def _same_model(identity: Identity) -> Callable[[Manifest], bool]:
    """Return what says whether a run asked the same model in the same way."""
    wanted = (identity.model, identity.runner, identity.settings)

    def is_same(manifest: Manifest) -> bool:
        other = manifest.identity
        return (other.model, other.runner, other.settings) == wanted

    return is_same


def measured(runs: Path, is_same: Callable[[Manifest], bool]) -> tuple[float | None, str]:
    """Return seconds a request in the latest run that is the same, and which run that was."""
    found: list[tuple[str, float, str]] = []
    for path in runs.glob(f"*/{MANIFEST}"):
        try:
            manifest = manifests.read(path.parent)
        except RunError:
            continue  # another version's, or broken: no measure
        if manifest.times.n_answered and is_same(manifest):
            per_request = manifest.times.generate / manifest.times.n_answered
            where = f"measured in {path.parent} on {manifest.device}"
            found.append((manifest.finished or manifest.started, per_request, where))
    if not found:
        return None, f"unknown: no earlier run of this model in {runs}"
    _, per_request, where = max(found)
    return per_request, where
