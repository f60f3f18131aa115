"""What a machine has left: cores and memory."""

import os
import sys
import threading
from pathlib import Path

import pytest

from vipbench.engine import cores

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="read from /proc and /sys")


def test_cpus_are_those_that_the_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    assert cores.allowed_cpus() == os.sched_getaffinity(0)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {1, 5})
    assert cores.allowed_cpus() == {1, 5}
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    assert cores.allowed_cpus() == {0, 1, 2}


def test_two_threads_of_a_core_are_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cores, "_SIBLINGS", f"{tmp_path}/{{}}")
    for cpu, siblings in enumerate(("0,2", "1,3", "0,2", "1,3")):
        (tmp_path / str(cpu)).write_text(f"{siblings}\n")
    assert cores.n_physical({0, 1, 2, 3}) == 2
    assert cores.n_physical({0, 2}) == 1
    assert cores.n_physical({7, 8}) == 2  # nobody tells of these


def test_a_cpu_is_as_busy_as_its_ticks_say(monkeypatch: pytest.MonkeyPatch) -> None:
    # user nice system idle iowait irq softirq steal guest guest_nice
    before = "cpu  9 9 9 9\ncpu0 100 0 0 100 0 0 0 0 50 0\ncpu1 0 0 0 500 5 0 0 0 0 0\nintr 7\n"
    after = "cpu  9 9 9 9\ncpu0 120 1 2 100 0 1 0 1 70 0\ncpu1 5 0 0 515 5 0 0 0 0 0\nintr 8\n"
    texts = [before, after]
    monkeypatch.setattr(Path, "read_text", lambda self, encoding: texts.pop(0))
    monkeypatch.setattr(cores, "_SECONDS", 0)
    assert cores.n_busy({0, 1}) == 1 + 0.25


def test_where_nobody_tells_nothing_is_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(self: Path, encoding: str) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", missing)
    assert cores.n_busy({0, 1}) == 0
    assert cores.free_bytes() is None


def test_a_loop_without_a_pause_is_seen() -> None:
    ends = threading.Event()

    def spin() -> None:
        while not ends.is_set():
            pass

    thread = threading.Thread(target=spin)
    thread.start()
    try:
        assert cores.n_busy(cores.allowed_cpus()) > 0.2
    finally:
        ends.set()
        thread.join()
    free = cores.free_bytes()
    assert free is not None
    assert free > 1 << 20
