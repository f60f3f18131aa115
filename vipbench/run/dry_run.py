"""dry_run: part of what was vipbench/run/loop.py."""

import tempfile
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from vipbench.console import QUIET, Console
from vipbench.errors import RunError
from vipbench.run.loop import RUNS
from vipbench.run.prepare import _prepare
from vipbench.run.resume import _mine, check_path, folder_name, placed, plan_trials
from vipbench.run.settings import RunSettings
from vipbench.runfolder import answers_file
from vipbench.runfolder import manifest as manifests
from vipbench.runfolder.folder import MANIFEST, REQUESTS, RESPONSES
from vipbench.runfolder.manifest import Identity

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


def dry_run(settings: RunSettings, console: Console = QUIET) -> DryRun:
    """Say what a run would do; reads all data and checks the model, but loads and writes nothing.

    Raises:
        VipbenchError: As `run`, for what can be known before the model is loaded.
    """
    settings = placed(settings)
    with tempfile.TemporaryDirectory() as scratch:
        draft = Path(scratch) / REQUESTS
        prepared = _prepare(settings, draft, None)
        n_bytes = draft.stat().st_size + LINE_BYTES * len(prepared.trials)
    folder = settings.out or RUNS / folder_name(prepared.identity, settings)
    goes_on = (folder / MANIFEST).exists() and not settings.fresh
    then = manifests.read(folder) if goes_on else None
    plan = plan_trials(prepared.trials, then.batch_limit if then else prepared.limit)
    mine = _mine(settings.shard, len(plan))
    keys = {prepared.trials.entries[place].name for batch in mine for place in plan[batch]}
    n_left = len(keys)
    if then is not None:
        manifests.check_same(folder, then.identity, prepared.identity)
        check_path(folder, then, settings.path)
        n_left -= len(keys & set(answers_file.read_responses(folder / RESPONSES)))
    per_request, seconds_from = _measured(folder.parent, prepared.identity)
    counts = Counter((name.task, name.style) for name, *_ in prepared.trials.entries)
    return DryRun(
        path=folder,
        counts=dict(counts),
        n_errors={task: len(facts.errors) for task, facts in prepared.facts.items()},
        n_left=n_left,
        seconds=None if per_request is None else per_request * n_left,
        seconds_from=seconds_from,
        n_bytes=n_bytes,
        notes=prepared.selection.notes,
    )


def _measured(runs: Path, identity: Identity) -> tuple[float | None, str]:
    """Return seconds a request in the latest run with the same model, and which run that was."""
    found: list[tuple[str, float, str]] = []
    for path in runs.glob(f"*/{MANIFEST}"):
        try:
            manifest = manifests.read(path.parent)
        except RunError:
            continue  # another version's, or broken: no measure
        then = manifest.identity
        same = (then.model, then.runner, then.settings) == (
            identity.model,
            identity.runner,
            identity.settings,
        )
        if same and manifest.times.n_answered:
            per_request = manifest.times.generate / manifest.times.n_answered
            where = f"measured in {path.parent} on {manifest.device}"
            found.append((manifest.finished or manifest.started, per_request, where))
    if not found:
        return None, f"unknown: no earlier run of this model in {runs}"
    _, per_request, where = max(found)
    return per_request, where
