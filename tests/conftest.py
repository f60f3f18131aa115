"""What every test gets: no network, one quiet thread, no wait for the disk, one cache a session."""

import functools
import gc
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from vipbench import environment

# Before torch is loaded: on a busy machine, OpenMP threads that spin while they wait are many times
# slower than one thread that sleeps. Subprocesses inherit it.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ.pop("VIPBENCH_CACHE", None)
# Ray, which reads it when it is imported: a cluster's addresses are then those of the loopback.
os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
os.environ.pop("RAY_ADDRESS", None)

# pytest-xdist tells its workers how wide a terminal is that none of them has.
os.environ.pop("COLUMNS", None)

# What a script starts in the background ignores Ctrl-C, and so would all that tests interrupt.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

LOOPBACK = ("127.0.0.1", "::1", "localhost")
LONGEST = (
    "demo/test_leaderboard.py",
    "engine/test_ray_actors.py",
    "html/test_browser.py",
    "engine/test_processes.py",
    "engine/test_loaders.py",
    "engine/test_each.py",
    "run/test_killed.py",
    "cli/test_gate.py",
    "test_memory.py",
    "test_certify.py",
    "bench/test_driver.py",
    "run/test_ask.py",
    "runners/checkpoints/test_adapting.py",
    "test_fuzz.py",
    "planning/test_chain.py",
    "runners/hf/test_runner.py",
    "test_served.py",
)
"""Files that take longest, which are begun first: begun last, one process would be left alone with
them. Measured, in seconds of processors and of waiting."""


def pytest_configure(config: pytest.Config) -> None:
    # pytest-xdist would begin with the files of most tests, and those are quick ones.
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Iterator[None]:
    """Collect without looking for cycles, and leave ten thousand tests out of each later search."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = {Path(__file__).parent / name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path, len(LONGEST)))


@pytest.fixture(scope="session", autouse=True)
def closed_network() -> Iterator[None]:
    """Make every connection that leaves this machine fail, so that no test can depend on one."""
    connect = socket.socket.connect

    def connect_loopback(self: socket.socket, address: object) -> None:
        is_local = self.family == socket.AF_UNIX or (
            isinstance(address, tuple) and address[0] in LOOPBACK
        )
        if not is_local:
            raise OSError(f"the network is closed in tests: {address}")
        connect(self, address)  # type: ignore[arg-type]  # as given by the caller

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", connect_loopback)
        yield


@pytest.fixture(scope="session", autouse=True)
def quick_disk() -> Iterator[None]:
    """Leave to the system when files reach the disk: no test cuts the power, and a killed process
    loses nothing that it has written."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", os.fstat)  # it refuses what is not an open file, too
        yield


@pytest.fixture(scope="session", autouse=True)
def known_commit() -> Iterator[None]:
    """Ask git once a session, and not twice a run, for the commit of this checkout."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(environment, "_git", functools.cache(environment._git))
        yield


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keep the embedded benchmark in a folder of the session, never in the user's cache."""
    folder = tmp_path_factory.mktemp("cache")
    os.environ["VIPBENCH_CACHE"] = str(folder)
    yield folder
    del os.environ["VIPBENCH_CACHE"]
