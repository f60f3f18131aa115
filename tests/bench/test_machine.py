"""What the machine says of itself."""

import mmap
import os
import sys

import pytest

from vipbench.bench import machine


def test_a_load_average_is_the_systems(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getloadavg", lambda: (1.0, 2.0, 3.0), raising=False)
    assert machine.load_average() == (1.0, 2.0, 3.0)
    monkeypatch.delattr(os, "getloadavg")
    assert machine.load_average() is None


def test_a_cpu_has_a_name() -> None:
    assert machine.cpu_name()


@pytest.mark.skipif(sys.platform != "linux", reason="read from /proc")
def test_memory_that_is_in_use_is_resident() -> None:
    # Pages of its own: an allocator may serve bytes from memory that it has kept.
    with mmap.mmap(-1, 64 * machine.MIB) as held:
        before = machine.resident_mib()
        for page in range(0, len(held), mmap.PAGESIZE):
            held[page] = 1
        after = machine.resident_mib()
    assert before is not None
    assert after is not None
    assert after - before == pytest.approx(64, abs=8)
