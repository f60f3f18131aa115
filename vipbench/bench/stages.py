"""Where the time of a sample goes: every stage of a way timed by itself."""

import time
from pathlib import Path
from typing import NamedTuple

import torch

from vipbench.bench.clocks import Clock, Log, wait
from vipbench.bench.way import Way
from vipbench.runfolder.trials_file import Trials

_IN_GENERATE = ("vision", "prefill", "decode", "vocabulary")
"""Stages that pass within `generate`."""
_IN_LOOP = ("read", "load", "normalise", "write")
"""Stages that the loop around `generate` does itself."""


class Stages(NamedTuple):
    """What a way does with its time."""

    seconds: dict[str, float]
    """Of each stage, over all samples."""
    total: float
    """From the first request to the last answer, s."""


def measure_stages(way: Way, trials: Trials, device: torch.device, path: Path) -> Stages:
    """Answer with a clock on everything; `path` takes the answers."""
    clock = Clock(device)
    clock.watch(way.model)
    log = Log(device, path, len(trials))
    try:
        way.answer(trials, log, clock)
    finally:
        clock.unwatch()
    total = time.perf_counter() - log.begun
    stages = dict(clock.seconds)
    generate = stages.pop("generate")
    loop = generate + sum(stages.get(name, 0.0) for name in _IN_LOOP)
    stages["around the model"] = generate - sum(stages.get(name, 0.0) for name in _IN_GENERATE)
    stages |= way.more_stages(trials, log)
    stages["loop"] = total - loop - stages.get("wait", 0.0)
    stages["copy, apart"] = _time_copy(len(trials), way.image_size, device)
    return Stages(stages, total)


def _time_copy(n: int, size: int, device: torch.device) -> float:
    """Return the seconds that a device takes to get `n` images of `size` px, uint8."""
    pixels = torch.zeros(n, size, size, 3, dtype=torch.uint8)
    begun = time.perf_counter()
    pixels.to(device)
    wait(device)
    return time.perf_counter() - begun
