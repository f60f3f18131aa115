"""The samples that a failed gate names: as they were asked, so that they can be looked at."""

from typing import NamedTuple

from vipbench.analysis.gate import Gate
from vipbench.runfolder.folder import REQUESTS
from vipbench.runfolder.lines import TrialId
from vipbench.runfolder.trials_file import open_trials
from vipbench.schema import ImageRoots, Request

MOST = 25
"""Samples of a task that are drawn: somebody is to look at them, and artefacts stay small."""


class LostSample(NamedTuple):
    """A sample that was right in the base run and is wrong in the new one."""

    name: TrialId
    request: Request
    images: ImageRoots


class Lost(NamedTuple):
    """What can be drawn of a gate's failures."""

    samples: tuple[LostSample, ...]
    notes: tuple[str, ...]
    """What is left out, and why."""


def lost_samples(outcome: Gate, *, embed_images: bool = False) -> Lost:
    """Return what was lost in the rows that failed, a joint task by its parts.

    Args:
        outcome: of the gate.
        embed_images: take tasks too whose pictures may not be redistributed.

    Raises:
        RunError: The requests of the new run cannot be read.
    """
    wanted, notes = _wanted(outcome, embed_images=embed_images)
    if not wanted:
        return Lost((), tuple(notes))
    trials = open_trials(outcome.new.folder / REQUESTS)
    tasks = outcome.new.manifest.tasks
    numbers = [number for number, entry in enumerate(trials.entries) if entry.name in wanted]
    samples = (
        LostSample(trials.entries[number].name, request, tasks[trial.task].image_roots)
        for number, trial in zip(numbers, trials.read(numbers), strict=True)
        if (request := trial.request) is not None
    )
    return Lost(tuple(samples), tuple(notes))


def _wanted(outcome: Gate, *, embed_images: bool) -> tuple[set[TrialId], list[str]]:
    wanted: dict[TrialId, None] = {}
    notes: list[str] = []
    for task, ids in _lost_ids(outcome).items():
        run = outcome.new.manifest.tasks[task]
        if not (run.redistribute or run.synthetic or embed_images):
            notes.append(
                f"{task}: pictures may not be redistributed and are not drawn · --embed-images "
                "draws them"
            )
            continue
        if len(ids) > MOST:
            notes.append(f"{task}: the first {MOST} of {len(ids):,} lost samples are drawn")
        for part in run.parts or (task,):
            style = outcome.new.style_of(part)
            wanted |= dict.fromkeys(TrialId(part, style, id_) for id_ in list(ids)[:MOST])
    return set(wanted), notes


def _lost_ids(outcome: Gate) -> dict[str, dict[str, None]]:
    """Return the ids that were lost in the failed rows of each task, each once."""
    lost: dict[str, dict[str, None]] = {}
    for row in outcome.rows:
        if row.failed and row.lost:
            lost.setdefault(row.task, {}).update(dict.fromkeys(row.lost))
    return lost
