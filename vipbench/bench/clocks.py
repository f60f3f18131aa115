"""clocks: part of what was vipbench/bench/ways.py."""

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from vipbench.environment import peak_memory_mib

MIB = 1 << 20
_COURSE = 10
"""Parts of a measurement after which memory is looked at."""


@dataclass
class Log:
    """What a way has done so far; the answers themselves are on the disk."""

    place: torch.device
    path: Path
    """Takes an answer a line."""
    n: int
    """Requests in all."""
    order: list[int] = field(default_factory=list)
    """Places of the requests whose answers are written, in the order of the lines."""
    n_padded: int = 0
    batch_size: int = 0
    begun: float = field(default_factory=time.perf_counter)
    seconds_first: float = 0.0
    n_first: int = 0
    seconds_busy: float = 0.0
    """In which the model had a batch."""
    seconds_waited: float = 0.0
    """In which it waited for one, the answers of the last one being written."""
    memory_mib_first: float = 0.0
    memory_course: list[float] = field(default_factory=list)
    device_mib_first: float | None = None
    device_course: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._since = self.begun
        self._n_looks = 0

    @contextlib.contextmanager
    def busy(self) -> Iterator[None]:
        """Count the time of the block as the model's, and that before it as waited."""
        begun = time.perf_counter()
        self.seconds_waited += begun - self._since
        yield
        self.seconds_busy += time.perf_counter() - begun

    def add(self, places: Sequence[int], n_prompts: Sequence[int]) -> None:
        """Note a batch whose answers are written: places, and tokens of the prompts."""
        self.order += places
        self.n_padded += len(places) * max(n_prompts)
        self.batch_size = max(self.batch_size, len(places))
        if not self.n_first:
            self.seconds_first = time.perf_counter() - self.begun
            self.n_first = len(places)
            self.memory_mib_first = peak_memory_mib()
            self.device_mib_first = _device_mib(self.place)
        if len(self.order) * _COURSE >= self.n * self._n_looks:
            self._look_at_memory()
        self._since = time.perf_counter()

    def _look_at_memory(self) -> None:
        self._n_looks += 1
        resident = _resident_mib()
        if resident is not None:
            self.memory_course.append(resident)
        if self.place.type == "cuda":
            self.device_course.append(torch.cuda.memory_reserved(self.place) / MIB)


class Clock:
    """Seconds by stage. Where the device works by itself, waiting for it is part of the stage."""

    def __init__(self, place: torch.device) -> None:
        self.place = place
        self.seconds: dict[str, float] = {}
        self._begun: list[float] = []
        self._handles: list[Any] = []

    @contextlib.contextmanager
    def time(self, stage: str) -> Iterator[None]:
        """Add the time that the block takes to a stage."""
        self._start()
        try:
            yield
        finally:
            self._stop(stage)

    def watch(self, model: Any) -> None:
        """Time the parts of a VipLlava whenever they are called, until `unwatch`."""
        inner = model.model
        for module in (inner.vision_tower, inner.multi_modal_projector):
            self._hook(module, lambda inputs: "vision")
        self._hook(inner.language_model, _language_stage)
        # Only told apart from the rest: after the prompt it takes a share that is hardly seen.
        self._hook(model.lm_head, lambda inputs: "vocabulary")

    def unwatch(self) -> None:
        """Take the clock off the model again."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def _hook(self, module: Any, stage: Callable[[Mapping[str, Any]], str]) -> None:
        def before(module: Any, args: Any, kwargs: Any) -> None:
            self._start()

        def after(module: Any, args: Any, kwargs: Any, output: Any) -> None:
            self._stop(stage(kwargs))

        self._handles += [
            module.register_forward_pre_hook(before, with_kwargs=True),
            module.register_forward_hook(after, with_kwargs=True),
        ]

    def _start(self) -> None:
        wait(self.place)
        self._begun.append(time.perf_counter())

    def _stop(self, stage: str) -> None:
        wait(self.place)
        taken = time.perf_counter() - self._begun.pop()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + taken


def _language_stage(inputs: Mapping[str, Any]) -> str:
    """Tell by the width of the input whether the language model reads a prompt or goes on."""
    given = inputs.get("inputs_embeds")
    given = inputs["input_ids"] if given is None else given
    return "decode" if given.shape[1] == 1 else "prefill"


class NoClock(Clock):
    """Shows no time."""

    @contextlib.contextmanager
    def time(self, stage: str) -> Iterator[None]:
        """Do nothing but the work."""
        yield


def wait(place: torch.device) -> None:
    """Wait for what a device still does."""
    if place.type == "cuda":
        torch.cuda.synchronize(place)
    elif place.type == "mps":
        torch.mps.synchronize()


def _device_mib(place: torch.device) -> float | None:
    """Return the largest memory of tensors so far; None on a CPU."""
    return torch.cuda.max_memory_allocated(place) / MIB if place.type == "cuda" else None


def _resident_mib() -> float | None:
    """Return this process's resident memory; None where the system does not tell."""
    try:
        n_pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return None
    return n_pages * os.sysconf("SC_PAGE_SIZE") / MIB
