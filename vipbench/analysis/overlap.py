"""Runs of which one holds more than the other: what is left out, and how the other is extended."""

import shlex
from collections.abc import Collection, Sequence
from pathlib import Path

from vipbench.runfolder.manifest import IMPORTED, Manifest

SHOWN_IDS = 8
FREE = (
    *("model: ", "settings.weights: ", "settings.adapter: "),
    *("limit: ", "ids: ", "suite: ", "tasks."),
)
"""How differences begin that leave the protocol as it is: another checkpoint, more of the same."""


def other_protocol(differences: Sequence[str], tasks: Collection[str]) -> list[str]:
    """Return what of the differences between two identities makes them ask in another way.

    Args:
        differences: of `pairs.differences`.
        tasks: that both runs have; what is said of any other is no difference.
    """
    of_task = ("fits.", "exif.")
    return [
        each
        for each in differences
        if not each.startswith(FREE)
        and (not each.startswith(of_task) or each.partition(": ")[0].partition(".")[2] in tasks)
    ]


def extend_tasks(folder: Path, manifest: Manifest, tasks: Collection[str]) -> str:
    """Return the command that extends a run by tasks; empty where none can."""
    return _command(folder, manifest, ["--tasks", ",".join(tasks)])


def extend_samples(
    folder: Path, manifest: Manifest, other: Manifest, missing: Collection[str]
) -> str:
    """Return the command that extends a run by the samples of another; empty where none can.

    Args:
        folder: of the run that lacks samples.
        manifest: its manifest.
        other: that of the run which has them.
        missing: their ids.
    """
    own, wanted = manifest.identity, other.identity
    if own.ids:
        ids = list(missing)[:SHOWN_IDS]
        return _command(folder, manifest, ["--ids", ",".join(ids)], more=len(missing) > len(ids))
    if own.limit is None:
        return ""
    is_larger = wanted.limit is not None and wanted.limit > own.limit
    return _command(folder, manifest, ["--limit", str(wanted.limit) if is_larger else "all"])


def _command(folder: Path, manifest: Manifest, words: Sequence[str], *, more: bool = False) -> str:
    """Return `vipbench run … --extend …`; what the run has already need not be said again."""
    identity = manifest.identity
    if identity.runner == IMPORTED:
        return ""
    settings = identity.settings
    model = ["--adapter" if settings.adapter is not None else "--model", manifest.model_path]
    if not manifest.model_path:
        has_model = settings.weights is not None or settings.endpoint is not None
        model = ["--model", identity.model] if has_model else []
    begin = ["vipbench", "run", "--runner", identity.runner, *model, "--extend", *words]
    dots = "…" if more else ""
    return f"{shlex.join(begin)}{dots} … {shlex.join(['-o', str(folder)])}"


def listed(tasks: Collection[str], all_tasks: Collection[str]) -> str:
    """Name tasks; `all tasks` where they are several and there are no others."""
    return "all tasks" if len(tasks) > 1 and len(tasks) == len(all_tasks) else ", ".join(tasks)
