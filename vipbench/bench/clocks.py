"""What is seen of a way while it answers: its progress and memory, and seconds by stage."""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from vipbench.bench.machine import MIB, resident_mib
from vipbench.environment import peak_memory_mib
from vipbench.runfolder.sharing import Readings

_COURSE = 10
"""Parts of a measurement after which memory is looked at."""


@dataclass
class Log:
    """What a way has done so far; the answers themselves are on the disk."""

    device: torch.device
    path: Path
    """Takes an answer a line."""
    n: int
    """Requests in all."""
    order: list[int] = field(default_factory=list)
    """Indices of the requests whose answers are written, in the order of the lines."""
    n_padded: int = 0
    batch_size: int = 0
    begun: float = field(default_factory=time.perf_counter)
    seconds_first: float = 0.0
    n_first: int = 0
    seconds_busy: float | None = None
    """In which the model had a batch; None where other processes answered."""
    seconds_waited: float | None = None
    """In which it waited for one, the answers of the last one being written; None as before."""
    memory_mib_first: float = 0.0
    memory_course: list[float] = field(default_factory=list)
    device_mib_first: float | None = None
    device_course: list[float] = field(default_factory=list)
    readings: Readings = field(default_factory=Readings)
    """What prompts take, each read by itself, and what was read of them; zeros where those are the
    same."""

    def __post_init__(self) -> None:
        self._since = self.begun
        self._n_looks = 0

    @contextlib.contextmanager
    def busy(self) -> Iterator[None]:
        """Count the time of the block as the model's, and that before it as waited."""
        begun = time.perf_counter()
        self.seconds_waited = (self.seconds_waited or 0.0) + begun - self._since
        yield
        self.seconds_busy = (self.seconds_busy or 0.0) + time.perf_counter() - begun

    def add(self, indices: Sequence[int], n_prompts: Sequence[int]) -> None:
        """Note a batch whose answers are written: its requests, and the tokens of each prompt."""
        self.order += indices
        self.n_padded += len(indices) * max(n_prompts)
        self.batch_size = max(self.batch_size, len(indices))
        if not self.n_first:
            self.seconds_first = time.perf_counter() - self.begun
            self.n_first = len(indices)
            self.memory_mib_first = peak_memory_mib()
            self.device_mib_first = device_mib(self.device)
        if len(self.order) * _COURSE >= self.n * self._n_looks:
            self._look_at_memory()
        self._since = time.perf_counter()

    def _look_at_memory(self) -> None:
        self._n_looks += 1
        resident = resident_mib()
        if resident is not None:
            self.memory_course.append(resident)
        if self.device.type == "cuda":
            self.device_course.append(torch.cuda.memory_reserved(self.device) / MIB)

    def read_once(self, readings: Readings) -> None:
        """Note what was read, where something was read once for several requests."""
        self.readings = self.readings.plus(readings)

    def seconds(self) -> float:
        """Return the seconds since the first request, once the device has done its work."""
        wait(self.device)
        return time.perf_counter() - self.begun

    def fields(self) -> dict[str, Any]:
        """Return what an `Outcome` keeps of it, by the names of its fields."""
        return {
            "seconds_first": self.seconds_first,
            "n_first": self.n_first,
            "n_padded": self.n_padded,
            "batch_size": self.batch_size,
            "seconds_busy": self.seconds_busy,
            "seconds_waited": self.seconds_waited,
            "memory_mib_first": self.memory_mib_first,
            "memory_course": tuple(self.memory_course),
            "device_mib_first": self.device_mib_first,
            "device_course": tuple(self.device_course),
            "readings": self.readings,
        }


class Clock:
    """Seconds by stage. Where the device works by itself, waiting for it is part of the stage."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
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
        # Kept apart from the rest: after the prompt it takes a share that is hardly seen.
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
        wait(self._device)
        self._begun.append(time.perf_counter())

    def _stop(self, stage: str) -> None:
        wait(self._device)
        taken = time.perf_counter() - self._begun.pop()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + taken


class NoClock(Clock):
    """Times nothing."""

    @contextlib.contextmanager
    def time(self, stage: str) -> Iterator[None]:
        """Do nothing but the work."""
        yield


def wait(device: torch.device) -> None:
    """Wait until a device has done its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def device_mib(device: torch.device) -> float | None:
    """Return the largest memory of tensors on a GPU so far, MiB; None on a CPU."""
    return torch.cuda.max_memory_allocated(device) / MIB if device.type == "cuda" else None


def _language_stage(inputs: Mapping[str, Any]) -> str:
    """Tell by the width of the input whether the language model reads a prompt or decodes."""
    states = inputs.get("inputs_embeds")
    states = inputs["input_ids"] if states is None else states
    return "decode" if states.shape[1] == 1 else "prefill"
