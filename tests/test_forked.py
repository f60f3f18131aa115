"""A copy of this process makes items, and ends with what it was made for."""

import os
import sys
from collections.abc import Iterator

import pytest

from vipbench.errors import RunError
from vipbench.forked import Died, Forked

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux forks safely")


def test_items_come_in_order_from_another_process() -> None:
    with Forked((os.getpid(), number) for number in range(5)) as copy:
        found = [copy.take() for _ in range(5)]
    assert [number for _, number in found] == [*range(5)]
    assert {pid for pid, _ in found}.isdisjoint({os.getpid()})


def test_its_error_is_raised_here() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise RunError("a line is broken")

    with Forked(items()) as copy:
        assert copy.take() == 1
        with pytest.raises(RunError, match="a line is broken"):
            copy.take()


def test_a_copy_that_is_killed_says_so() -> None:
    def items() -> Iterator[int]:
        os.kill(os.getpid(), 9)
        yield 1

    with Forked(items()) as copy, pytest.raises(Died):
        copy.take()


def test_a_copy_without_an_end_is_ended() -> None:
    def items() -> Iterator[int]:
        while True:
            yield os.getpid()

    with Forked(items()) as copy:
        pid = copy.take()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
