"""Work in a copy of this process, whose results come one after another.

For commands of which nothing runs but this one thread, such as `vipbench score`: a copy of a
process with a model in it, or with threads, may wait for a lock that nobody holds any more.
"""

import contextlib
import os
import pickle
import signal
import sys
from collections.abc import Iterable
from typing import Generic, Self, TypeVar

from vipbench.errors import VipbenchError

T = TypeVar("T")
FORKED_FROM = 50_000
"""Answers from which on a second process is worth its start."""


class Died(Exception):
    """The copy has ended before its end, as when memory runs out."""


def can_fork() -> bool:
    """Say whether a copy of this process would have a core of its own."""
    return sys.platform == "linux" and len(os.sched_getaffinity(0)) > 1


class Forked(Generic[T]):
    """Makes items in a copy of this process; a context manager, whose end ends the copy.

    The copy is one item ahead, and waits until that is taken. Where the first process has gone,
    nobody takes it, and the copy ends.
    """

    def __init__(self, items: Iterable[T]) -> None:
        """Begin; OSError where there is no room for one more process.

        Args:
            items: are made in the copy, and can be pickled. A `VipbenchError` of theirs is raised
                by `take`.
        """
        to_read, to_write = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            try:
                os.close(to_read)
                _send(items, to_write)
            finally:
                os._exit(0)  # nothing of what the first process has begun is ended twice
        os.close(to_write)
        self._results = os.fdopen(to_read, "rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self._results.close()
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)

    def take(self) -> T:
        """Wait for the next item and return it.

        Raises:
            VipbenchError: That of the items.
            Died: The copy has ended before that.
        """
        try:
            found: T | VipbenchError = pickle.load(self._results)  # noqa: S301  # our own copy
        except (EOFError, pickle.UnpicklingError) as error:
            raise Died from error
        if isinstance(found, VipbenchError):
            raise found
        return found


def _send(items: Iterable[T], to_write: int) -> None:
    """Write items, or why there are no more, into a pipe for as long as somebody reads it."""
    with contextlib.suppress(BrokenPipeError, KeyboardInterrupt), os.fdopen(to_write, "wb") as pipe:
        try:
            for item in items:
                pickle.dump(item, pipe, pickle.HIGHEST_PROTOCOL)
                pipe.flush()
        except VipbenchError as error:
            pickle.dump(error, pipe)
