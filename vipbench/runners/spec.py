"""What a runner says of itself before it is built: what it checks, how it is sized and described.

Each built-in runner has a `RunnerSpec` in a file of its own, and a line in the table of `registry`.
Such a file loads neither torch nor transformers before it has to.
"""

from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, NamedTuple, Protocol

from vipbench import digests
from vipbench.errors import RunnerError
from vipbench.runfolder.manifest import Settings
from vipbench.runfolder.trials_file import Trials
from vipbench.runners.contract import Runner, RunnerSettings
from vipbench.runners.device import Placement, check_names
from vipbench.schema import AnswerPath, Engine, Fit, PromptFormat, Replay, Request, Trial
from vipbench.trials.selection import Selection

GREEDY = "greedy"
OPTIONAL = ("dtype", "device", "prompt_format", "replay")
"""What the user may choose of a runner, None by default; `path` is the fifth."""


@dataclass(frozen=True, kw_only=True)
class ModelChoice:
    """What the user wants to be asked, as far as a runner may look at it."""

    runner: str
    model: str | None = None
    """Checkpoint folder or hub id, or what a plugin makes of it."""
    live_model: object | None = None
    """A model in memory, in place of `model`."""
    processor: object | None = None
    """Of the live model."""
    prompt_format: PromptFormat | None = None
    dtype: str | None = None
    device: str | None = None
    path: AnswerPath = "fast"
    replay: Replay | None = None
    seed: int = 0
    token_budget: int | None = None
    """Most tokens of prompts in a batch, where the user says so."""
    workers: int = 1
    engine: Engine = "local"
    answers: Mapping[str, Path] = field(default_factory=dict)
    """Task -> file of answers made elsewhere."""
    answers_format: str | None = None

    @property
    def processes(self) -> str | None:
        """The option by which the user wants other processes to answer; None: this one does."""
        if self.engine != "local":
            return f"--engine {self.engine}"
        return f"--workers {self.workers}" if self.workers > 1 else None


class Sizing(NamedTuple):
    """What batches are cut by."""

    count: Callable[[Request], int]
    """Tokens of a request's prompt, those of the image among them."""
    budget: int
    """Tokens of a batch, padding included."""


class Build(Protocol):
    """Builds a runner, and can be sent to another process for that."""

    def __call__(
        self, *, device: str | None, threads: int | None, token_budget: int | None = None
    ) -> Runner:
        """Build the runner on a device; None: it chooses one itself."""


Probe = Callable[[Build, str], tuple[RunnerSettings, int | None]]
"""Builds a runner in a process that ends with it; returns its settings and its `image_size`."""


class Model(NamedTuple):
    """What is known of a model before it is asked."""

    name: str
    settings: Settings
    """Part of the identity of a run."""
    load: Callable[[Iterable[Trial], int | None], Runner]
    """Loads it here; the number is the budget of tokens that is to be tried, if any."""
    device: str
    placement: Placement | None = None
    """None: the runner chooses its device itself, or needs none."""
    build: Build | None = None
    """Builds the runner in another process; None where that makes no sense."""
    weights: str | None = None
    """sha256 of the weights that another process must load; None: not known before."""
    image_size: int | None = None
    """Side in px of the square that it sees, where that is known."""
    converted_from: str | None = None
    """Name of the original checkpoint, where the model's says so."""
    notes: tuple[str, ...] = ()
    """What the user should know of how it answers."""


class RunnerSpec:
    """A runner for what the user chose; made first, checked next, and built last."""

    summary: ClassVar[str]
    """What it is, in a few words for a list."""
    heeds: ClassVar[frozenset[str]] = frozenset()
    """Which of `OPTIONAL`, and `path`, it looks at."""
    loads_checkpoint: ClassVar[bool] = False
    """Whether it computes with weights, so that rounding may change its answers."""
    batch_size: ClassVar[int] = 32
    """Requests in a batch where it does not count tokens; runners of this package halve a batch
    that does not fit into memory."""

    def __init__(self, choice: ModelChoice) -> None:
        """Take what the user chose; nothing is looked at yet."""
        self.choice = choice

    @property
    def name(self) -> str:
        """What messages call it."""
        return self.choice.runner

    @property
    def fit_hint(self) -> Fit | None:
        """How the model wants images fitted, where it says so."""
        return None

    @property
    def path(self) -> AnswerPath | None:
        """Which of its ways of computing is taken; None: it knows one way only."""
        return self.choice.path if "path" in self.heeds else None

    def check(self) -> None:
        """Check all that can be checked without loading a model or reading data; RunnerError."""
        check_names(self.choice.device, self.choice.dtype)
        if self.choice.processes and (fault := self._fault_in_processes()):
            raise RunnerError(f"{self.choice.processes}: {fault}")
        self._check_answers()

    def check_selection(self, selection: Selection) -> None:
        """Check whether it can be asked these tasks under these styles; RunError."""

    def unused(self, suite_format: PromptFormat | None) -> list[str]:
        """Say what the user chose and it does not look at, so that nobody takes it for granted."""
        names = [
            f"--{name.replace('_', '-')}"
            for name in OPTIONAL
            if name not in self.heeds and getattr(self.choice, name) is not None
        ]
        names += ["--path"] if self.path is None and self.choice.path != "fast" else []
        return [f"runner {self.name}: does not use {', '.join(names)}"] if names else []

    def size(self, suite_format: PromptFormat | None) -> Sizing | None:
        """Find how many tokens requests have and a batch may have; None: it does not count them.

        Raises:
            RunnerError: The user gave a budget of tokens, and it does not count them.
        """
        if self.choice.token_budget is not None:
            raise RunnerError(
                f"--token-budget {self.choice.token_budget}: runner {self.name} does not count "
                "tokens · give --batch-size N"
            )
        return None

    def describe(
        self,
        suite_format: PromptFormat | None,
        trials: Trials,
        ids: Mapping[str, AbstractSet[str]],
        probe: Probe,
    ) -> Model:
        """Fix what an answer depends on.

        Args:
            suite_format: taken where neither user nor runner says otherwise.
            trials: of the run.
            ids: task -> ids of all its samples, those that are not asked too.
            probe: tells of a runner that is built in another process.

        Raises:
            VipbenchError: It cannot be used, which showed only now.
        """
        raise NotImplementedError

    @classmethod
    def build(
        cls,
        choice: ModelChoice,
        *,
        trials: Iterable[Trial] = (),
        placement: Placement | None = None,
        threads: int | None = None,
        token_budget: int | None = None,
    ) -> Runner:
        """Build the runner, here and now.

        Args:
            choice: what the user chose, with the prompt format that is taken.
            trials: of the run, from which the baselines are built.
            placement: where and in which numbers it computes; None: found from the choice.
            threads: CPU threads that torch uses, process-wide; None: as it is.
            token_budget: to be tried; None: nothing is tried.

        Raises:
            RunnerError: It cannot be built.
        """
        raise NotImplementedError

    def _fault_in_processes(self) -> str | None:
        """Say why other processes cannot answer; None: they can."""
        return None

    def _check_answers(self) -> None:
        """Refuse answers made elsewhere; runner `imported` takes them."""
        if self.choice.answers:
            raise RunnerError(
                f"runner {self.name}: takes no answers · give answers made elsewhere to "
                "`vipbench import TASK=FILE`"
            )


def build_there(
    spec: type[RunnerSpec],
    choice: ModelChoice,
    dtype: str | None,
    *,
    device: str | None,
    threads: int | None,
    token_budget: int | None = None,
) -> Runner:
    """Build a runner in another process, on the device that it was given there; see `Build`."""
    placement = None if device is None or dtype is None else Placement(device, dtype)
    return spec.build(choice, placement=placement, threads=threads, token_budget=token_budget)


def describe_by_settings(
    choice: ModelChoice,
    name: str,
    settings: RunnerSettings,
    image_size: int | None,
    load: Callable[[Iterable[Trial], int | None], Runner],
    build: Build | None = None,
) -> Model:
    """Describe a model by what its runner says of itself once it is built.

    Args:
        choice: what the user chose.
        name: of the model.
        settings: of the runner, like `image_size`.
        image_size: see there.
        load: see `Model`, as for `build`.
        build: see there.
    """
    return Model(
        name=name,
        settings=Settings(
            weights=settings.weights or digests.digest(["unknown", choice.model]),
            prompt_format=settings.prompt_format,
            dtype=settings.dtype,
            decoding=choice.replay or settings.decoding,
        ),
        load=load,
        device=settings.device,
        build=build,
        image_size=image_size,
    )


def name_by_origin(origin: str) -> str:
    """Name a model after where it comes from: a folder by its last part, a hub id as it is."""
    return Path(origin).resolve().name if Path(origin).exists() else origin
