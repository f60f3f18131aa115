"""How many calls may be under way at once: more while nothing is refused, half after a refusal."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

START = 8
"""Calls at once before a server has said anything of it."""


class Gate:
    """Lets calls through, from several threads; `ceiling` at once at most.

    Every answer raises the limit by one until the first refusal, and from then on by one for as
    many answers as it is high, as TCP does. A refusal (429) halves it, once for all calls that were
    under way then.
    """

    def __init__(self, ceiling: int) -> None:
        """Begin with `START` calls at once, or with the ceiling where that is lower."""
        self.ceiling = ceiling
        self._limit = float(min(START, ceiling))
        self._n_inside = 0
        self._n_passed = 0
        self._n_passed_at_refusal = -1
        self._changed = threading.Condition()

    @property
    def limit(self) -> int:
        """How many may be under way now."""
        return int(self._limit)

    @contextmanager
    def passing(self) -> Iterator[int]:
        """Wait for a place, and keep it; yields the number of the call, for `refused`."""
        with self._changed:
            self._changed.wait_for(lambda: self._n_inside < self.limit)
            self._n_inside += 1
            self._n_passed += 1
            number = self._n_passed
        try:
            yield number
        finally:
            with self._changed:
                self._n_inside -= 1
                self._changed.notify_all()

    def answered(self) -> None:
        """Raise the limit: a call was answered."""
        with self._changed:
            step = 1.0 if self._n_passed_at_refusal < 0 else 1.0 / self._limit
            self._limit = min(self._limit + step, float(self.ceiling))
            self._changed.notify_all()

    def refused(self, number: int) -> None:
        """Halve the limit, unless the call was sent before it was halved last."""
        with self._changed:
            if number > self._n_passed_at_refusal:
                self._limit = max(self._limit / 2, 1.0)
                self._n_passed_at_refusal = self._n_passed
