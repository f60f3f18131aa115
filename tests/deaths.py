"""Death between any two writes, within the process of the test."""

import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest


class Killed(BaseException):
    """Stands for SIGKILL: nothing catches it, and nothing is written after it."""


def deaths(monkeypatch: pytest.MonkeyPatch, work: Callable[[], object]) -> Iterator[int]:
    """Do some work again and again; each time die one write later, until it comes to its end.

    A write is what is brought to the disk, or gets its name. Yields the number of writes that were
    done, each time that the work has died.
    """
    fsync, replace = os.fsync, Path.replace
    for n in itertools.count():
        left = itertools.chain(range(n), itertools.repeat(None))

        def step(left: Iterator[int | None] = left) -> None:
            if next(left) is None:
                raise Killed

        def dying_fsync(handle: int, step: Callable[[], None] = step) -> None:
            step()
            fsync(handle)

        def dying_replace(path: Path, target: Path, step: Callable[[], None] = step) -> Path:
            step()
            return replace(path, target)

        with monkeypatch.context() as patched:
            patched.setattr(os, "fsync", dying_fsync)
            patched.setattr(Path, "replace", dying_replace)
            try:
                work()
                return
            except Killed:
                pass
        yield n
