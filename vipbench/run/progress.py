"""progress: part of what was vipbench/run/loop.py."""

import sys
from collections.abc import Callable, Iterable

from tqdm import tqdm

from vipbench.schema import Problem, Sample

Say = Callable[[str], None]


def _bar(
    loop: Iterable[Sample | Problem] | None,
    what: str,
    progress: bool,
    total: int | None = None,
    initial: int = 0,
    leave: bool = True,
) -> "tqdm[Sample | Problem]":
    """Show how far a loop is, with rate and time left, on stderr; in a log only now and then."""
    return tqdm(
        loop,
        desc=what,
        total=total,
        initial=initial,
        leave=leave,
        unit=" samples",
        disable=not progress,
        mininterval=0.2 if sys.stderr.isatty() else 10,
        dynamic_ncols=True,
    )


def silent(message: str) -> None:
    """Say nothing."""
