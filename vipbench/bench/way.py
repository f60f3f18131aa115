"""The interface of a way of answering: what a measuring process asks of each of them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from vipbench.bench.clocks import Clock, Log
from vipbench.bench.records import Answered
from vipbench.runfolder import trials_file
from vipbench.runfolder.trials_file import Trials
from vipbench.schema import Request


class Choice(NamedTuple):
    """How a way answers, as far as it may choose."""

    threads: int
    """Of each process."""
    workers: int
    """Processes that answer at a time; 1: the measuring process itself."""
    batch_size: int | None
    """None: the way decides by itself."""


class Way(Protocol):
    """A loaded model, and how requests become answers; `close` ends whatever it has started."""

    model: Any
    """The transformers model that this process has loaded; None: another program answers."""
    config: Any
    """Of the model, as transformers reads it."""
    dtype: str
    """Of its weights; empty: not known."""
    forgets: bool
    """Whether nothing is known any more of what was asked before `start`."""
    image_size: int
    """Side of the square that the model sees, px."""

    @property
    def messages(self) -> Sequence[str]:
        """Return what a person should know of how this way answers."""

    def choices(self) -> list[Choice]:
        """Return what may be tried on this machine; the first one is the plainest."""

    def start(self, choice: Choice) -> None:
        """Answer as chosen from now on; processes that it needs are started and load the model."""

    def warm_up(self, trials: Trials, path: Path) -> None:
        """Answer some trials once in every process, before time counts; `path` takes the answers.

        What a process does with its first batch only is part of starting it. A server has been
        asked before.
        """

    def answer(self, trials: Trials, log: Log, clock: Clock) -> None:
        """Answer all trials, each answer a line of the log's file.

        Raises:
            VipbenchError: the model does not answer.
            torch.OutOfMemoryError: the batches do not fit into memory.
        """

    def read(self, path: Path) -> list[Answered]:
        """Read the answers that `answer` wrote, in the order of the lines."""

    def attention(self) -> str:
        """Name the kernel for the attention of a prompt, as this way calls the model."""

    def more_stages(self, trials: Trials, log: Log) -> dict[str, float]:
        """Return the seconds of stages that only this way has; `log`: of answering the trials."""

    def close(self) -> None:
        """End the processes that were started; from now on this one answers."""


def open_requests(path: Path, repeat: int) -> Trials:
    """Open a file of requests as if it held all of them `repeat` times, one time after another."""
    once = trials_file.open_trials(path)
    return Trials(once.path, [*once.entries] * repeat)


def part(trials: Trials, indices: Sequence[int]) -> Trials:
    """Return those trials alone, in this order."""
    return Trials(trials.path, [trials.entries[i] for i in indices])


def read_requests(trials: Trials, indices: Sequence[int]) -> list[Request]:
    """Read the requests of those trials from the disk."""
    return [trial.request for trial in trials.read(indices) if trial.request is not None]
