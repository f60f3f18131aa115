"""What answers a run: a runner in this process, here; or a pool of others, which looks the same."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Protocol

from vipbench.console import Console
from vipbench.engine.batches import answer_batches
from vipbench.runfolder.lines import ResponseLine
from vipbench.runfolder.sharing import Readings
from vipbench.runfolder.trials_file import Trials
from vipbench.runners.contract import Runner, readings_of, splits_of
from vipbench.schema import ImageRoots


class Backend(Protocol):
    """Answers batches: a runner in this process, or a pool of others."""

    @property
    def n_splits(self) -> int:
        """Times that a batch was split in two because it did not fit into memory."""

    @property
    def n_restarts(self) -> int:
        """Workers that were killed and restarted."""

    @property
    def readings(self) -> Readings:
        """What was read of prompts, where something is read once for several."""

    def answer(
        self,
        trials: Trials,
        plan: Sequence[Sequence[int]],
        todo: Sequence[int],
        *,
        write: Callable[[list[ResponseLine]], None],
    ) -> None:
        """Answer the batches `todo` of a plan; `write` takes the lines of each."""


class InProcess:
    """Answers batches with a runner in this process."""

    n_restarts = 0

    def __init__(
        self,
        runner: Runner,
        name: str,
        images: Mapping[str, ImageRoots],
        *,
        ahead: int,
        n_loaders: int,
        console: Console,
    ) -> None:
        """Take a runner, and see `answer_batches`."""
        self._runner = runner
        self._answer = partial(
            answer_batches,
            runner,
            name,
            images=images,
            ahead=ahead,
            n_loaders=n_loaders,
            console=console,
        )

    @property
    def n_splits(self) -> int:
        """Times that the runner has split a batch in two."""
        return splits_of(self._runner)

    @property
    def readings(self) -> Readings:
        """What the runner has read of prompts."""
        return readings_of(self._runner)

    def answer(
        self,
        trials: Trials,
        plan: Sequence[Sequence[int]],
        todo: Sequence[int],
        *,
        write: Callable[[list[ResponseLine]], None],
    ) -> None:
        """Answer the batches `todo` of a plan; `write` takes the lines of each."""
        self._answer(trials, plan, todo, write=write)
