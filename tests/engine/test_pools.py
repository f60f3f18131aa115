"""Which workers a run gets, and on which devices; none of them is started."""

import os
from array import array
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.runs import Brightness
from vipbench.console import Console
from vipbench.engine import pools
from vipbench.engine.loaders import AHEAD
from vipbench.engine.pools import make_pool
from vipbench.engine.workers import Job
from vipbench.errors import RunnerError
from vipbench.runfolder.manifest import Settings
from vipbench.runners.device import Placement
from vipbench.runners.spec import Model
from vipbench.schema import Engine

IMAGES = {"own": Path("images")}
PROMPTS = {b"key": array("I", [1, 2])}


class Recorder:
    """Stands for both kinds of pools: keeps what one is made with."""

    def __init__(self, jobs: Sequence[Job], console: Console, **fields: object) -> None:
        self.jobs, self.fields = jobs, fields


class Processes(Recorder):
    """Stands for `ProcessPool`."""


class Ray(Recorder):
    """Stands for `RayPool`."""


@pytest.fixture(autouse=True)
def recorders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools, "ProcessPool", Processes)
    monkeypatch.setattr(pools, "RayPool", Ray)
    monkeypatch.setattr(pools, "remembered_prompts", lambda: PROMPTS)


def build(
    *, device: str | None, threads: int | None, budget_to_try: int | None = None
) -> Brightness:
    raise AssertionError("nothing is built yet")


def made(
    engine: Engine, n: int, device: str, *, is_plugin: bool = False, n_loaders: int = 0
) -> tuple[Recorder, list[str]]:
    messages: list[str] = []
    model = Model(
        name="it",
        settings=Settings(weights="abc", prompt_format=None, dtype=None, decoding="greedy"),
        load=lambda trials, budget_to_try: Brightness(None),
        device=device,
        placement=None if is_plugin else Placement(device, "float32"),
        weights="abc",
    )
    console = Console(messages.append)
    pool = make_pool(engine, model, build, "it", n, IMAGES, console, n_loaders=n_loaders)
    assert isinstance(pool, Recorder)
    return pool, messages


def test_workers_of_this_machine() -> None:
    pool, messages = made("local", 2, "cpu")
    assert isinstance(pool, Processes)
    assert pool.jobs == [Job(build, "it", "cpu", IMAGES, prompts=PROMPTS)] * 2
    assert pool.fields == {"ahead": 0, "weights": "abc"}
    assert messages == []


def test_a_plugin_chooses_its_device() -> None:
    for engine in ("local", "ray"):
        pool, _ = made(engine, 2, "cpu", is_plugin=True)
        assert [job.device for job in pool.jobs] == [None, None]


def test_workers_of_a_cluster() -> None:
    pool, _ = made("ray", 3, "cuda", n_loaders=2)
    assert isinstance(pool, Ray)
    # Each has one GPU, whose name is the same everywhere.
    assert pool.jobs == [Job(build, "it", "cuda", IMAGES, 2, prompts=PROMPTS)] * 3
    assert pool.fields == {"resource": "GPU", "ahead": AHEAD, "weights": "abc"}
    assert made("ray", 1, "cpu")[0].fields["resource"] == "CPU"


def test_more_workers_than_cores_are_mentioned() -> None:
    n = (os.cpu_count() or 1) + 1
    assert made("local", n, "cpu")[1] == [
        f"{n} workers are more than the {n - 1} cores of this machine"
    ]
    assert made("ray", n, "cpu")[1] == []


def test_more_workers_than_devices_are_refused() -> None:
    with pytest.raises(RunnerError, match="2 workers need 2 devices, and there is 1 "):
        made("local", 2, "mps")
