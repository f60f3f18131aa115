"""Some trackers at once, opened when there is something to tell; nothing of a run depends on it."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from vipbench.errors import TrackerError
from vipbench.trackers.contract import Tracker
from vipbench.trackers.registry import check_trackers

T = TypeVar("T")


class Session:
    """What trackers are told, in one run of each."""

    def __init__(self, names: Sequence[str]) -> None:
        """Find the trackers, before anything is asked; TrackerError where one cannot be used."""
        self._factories = check_trackers(names)
        self._open: list[tuple[str, Tracker]] = []
        self._folder: Path | None = None

    def log(self, folder: Path, name: str, step: int, metrics: Mapping[str, float]) -> None:
        """Tell all trackers some numbers of a step.

        Args:
            folder: below which a tracker writes; that of the first call counts.
            name: of the experiment, likewise.
            step: of the training.
            metrics: by their names.

        Raises:
            TrackerError: One could not take them; says that nothing is lost.
        """
        if not self._open:
            self._folder = folder
            for known, factory in self._factories:
                opened = self._tried(known, partial(factory, folder, name))
                self._open.append((known, opened))
        for known, tracker in self._open:
            self._tried(known, partial(tracker.log, step, metrics))

    def attach(self, make: Callable[[], Path], name: str) -> None:
        """Give all trackers that take files one, which is made only then."""
        takers = [(known, tracker) for known, tracker in self._open if tracker.takes_files]
        if takers:
            path = make()
            for known, tracker in takers:
                self._tried(known, partial(tracker.attach, path, name))

    def close(self) -> None:
        """Have all written what they were told."""
        still_open, self._open = self._open, []
        for known, tracker in still_open:
            self._tried(known, tracker.close)

    def _tried(self, known: str, act: Callable[[], T]) -> T:
        try:
            return act()
        except (TrackerError, OSError) as error:
            raise TrackerError(
                f"--log {known}: {error} · all numbers are in {self._folder}, and nothing is lost "
                "· the same command, given again, sends them"
            ) from error
