"""The door to a finished or unfinished run: whoever reads its files opens it here first."""

from collections.abc import Collection
from pathlib import Path

from vipbench.errors import RunError
from vipbench.runfolder import bound
from vipbench.runfolder import manifest as manifests
from vipbench.runfolder.answers_file import Answered
from vipbench.runfolder.bound import Changed
from vipbench.runfolder.checks import check_requests, check_scores
from vipbench.runfolder.folder import EXTRACTORS, JUDGE, REQUESTS, RESPONSES, SCORES, SUMMARY
from vipbench.runfolder.manifest import Manifest
from vipbench.runfolder.trials_file import open_trials


def open_run(folder: Path, replaced: Collection[str] = ()) -> Manifest:
    """Read the manifest of a run, and see that its files are those that the run has written.

    By their digests, where they are bound; else, as in a folder of version 1 or what a killed
    process has left, line by line.

    Args:
        folder: of the run.
        replaced: files that the caller makes anew, which are not looked at.

    Raises:
        RunError: There is no run, or a file is broken, was edited or is of another run; says
            which line it is where that can be found.
    """
    try:
        manifest = bound.read(folder, replaced)
    except Changed as error:
        _check_lines(folder, manifests.read(folder), {error.name}, replaced)  # names the line
        raise
    unbound = {name for name in bound.BOUND if name not in manifest.files}
    if RESPONSES in manifest.files:
        n_bytes = (folder / RESPONSES).stat().st_size
        unbound |= {RESPONSES} if n_bytes > manifest.files[RESPONSES].bytes else set()
    _check_lines(folder, manifest, unbound, replaced)
    return manifest


def _check_lines(
    folder: Path, manifest: Manifest, names: Collection[str], replaced: Collection[str]
) -> None:
    """Look at the lines of some files, as far as they and those that they rest on are there."""
    here = {name for name in names if name not in replaced and (folder / name).exists()}
    if not here - {SUMMARY, JUDGE, EXTRACTORS} or not (folder / REQUESTS).exists():
        return
    asked = check_requests(folder, manifest)
    if RESPONSES in here:
        answered = Answered(open_trials(folder / REQUESTS), folder / RESPONSES)
        n, n_all = answered.n_missing, len(answered.trials)
        is_whole = manifest.finished is not None and manifest.state is None
        if n and is_whole and manifest.shard is None:
            raise RunError(
                f"{folder / RESPONSES}: {n:,} of {n_all:,} requests have no answer, though the run "
                f"has ended · {bound.advice(folder, RESPONSES)}"
            )
    if SCORES in here:
        check_scores(folder, manifest, asked)
