"""What a tracker is: built as `Class(folder, name)`, told numbers and files, then closed."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol


class Tracker(Protocol):
    """Somebody who keeps the numbers of experiments.

    A class may have a `check()`, static or of the class, which raises TrackerError before the run
    begins where it could not be used after it.
    """

    takes_files: bool
    """Whether `attach` keeps files; else none are made for it."""

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Take numbers of one training step, by names such as `vipbench/vcr_qa/demo/accuracy`."""

    def attach(self, path: Path, name: str) -> None:
        """Take a file, or a folder, as an artefact of that name."""

    def close(self) -> None:
        """Write what is not written yet."""
