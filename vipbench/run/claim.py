"""Who may work in a run folder: one process at a time, with room for a draft of its requests."""

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

from vipbench import files
from vipbench.errors import RunInterrupted
from vipbench.run.settings import RunSettings
from vipbench.runfolder import manifest as manifests
from vipbench.runfolder.folder import check_own
from vipbench.runfolder.manifest import Identity

RUNS = Path("results/runs")
"""Where run folders go, below the working directory."""
DRAFT_SECONDS = 86_400
"""Age at which an unfinished list of requests belongs to no process any more."""


class Claim:
    """What a run may write to: a draft of its requests, and then its folder."""

    def __init__(self, draft: Path, settings: RunSettings, stack: contextlib.ExitStack) -> None:
        """Take the draft, and what ends with the run; the user's folder is locked already."""
        self.draft = draft
        """Where the requests are written before it is known whose they are."""
        self._settings, self._stack = settings, stack

    def folder(self, identity: Identity) -> Path:
        """Return the folder of a run, which is locked from now on.

        Raises:
            RunError: Another process is at work in it.
        """
        folder = run_folder(identity, self._settings)
        if self._settings.out is None:
            self._stack.enter_context(files.locked(folder))
        return folder


@contextlib.contextmanager
def claimed(settings: RunSettings) -> Iterator[Claim]:
    """Lock the folder that the user names, if any, and lend a file for a draft; then clean up.

    Raises:
        RunError: Another process is at work in the folder, or it holds somebody else's files.
        RunInterrupted: Ctrl-C, with what to do.
    """
    base = settings.out or RUNS
    try:
        with contextlib.ExitStack() as stack:
            if settings.out is not None:
                stack.enter_context(files.locked(settings.out))
                check_own(settings.out)
            draft = stack.enter_context(_draft(base, alone=settings.out is not None))
            yield Claim(draft, settings, stack)
    except KeyboardInterrupt:
        raise RunInterrupted(
            f"{base}: interrupted · what is answered is kept · give the same command to resume"
        ) from None


def with_shard_folder(settings: RunSettings) -> RunSettings:
    """Give a shard a folder of its own below the one that is named for all of them."""
    if settings.shard is None or settings.out is None:
        return settings
    return settings.model_copy(update={"out": settings.out / settings.shard.folder})


def run_folder(identity: Identity, settings: RunSettings) -> Path:
    """Return the folder that the user names, or that of the run, or of the shard, by its id."""
    if settings.out is not None:
        return settings.out
    name = manifests.run_id(identity)
    return RUNS / (name if settings.shard is None else f"{name}-{settings.shard.folder}")


@contextlib.contextmanager
def _draft(base: Path, *, alone: bool) -> Iterator[Path]:
    """Lend a file beside which the run folder is, or in it; what is left there is removed.

    So is what a killed process has left: at once where no other process can be at work in the
    folder (`alone`), else after a day.
    """
    draft = base / f".requests-{os.getpid()}-{time.monotonic_ns()}.part"
    with files.made(base):
        for stale in base.glob(".requests-*.part"):
            with contextlib.suppress(OSError):
                if alone or time.time() - stale.stat().st_mtime > DRAFT_SECONDS:
                    stale.unlink()
        try:
            yield draft
        finally:
            with contextlib.suppress(OSError):
                draft.unlink(missing_ok=True)
