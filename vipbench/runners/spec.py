"""What a runner says of itself before it is built: what it checks, how it is sized and described.

Each built-in runner has a `RunnerSpec` in a file of its own, and a line in the table of `registry`.
Such a file loads neither torch nor transformers before it has to.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar, NamedTuple, Protocol

from vipbench import digests
from vipbench.errors import RunnerError
from vipbench.runfolder.manifest import Settings
from vipbench.runfolder.trials_file import Trials
from vipbench.runners.contract import Runner, RunnerSettings
from vipbench.runners.device import Placement, check_names
from vipbench.runners.endpoint_options import EndpointOptions
from vipbench.runners.vipllava.model_sizes import ModelSizes
from vipbench.schema import (
    AnswerPath,
    Engine,
    Fit,
    PromptFormat,
    Quantize,
    Replay,
    Request,
    Rule,
    Trial,
)
from vipbench.trials.selection import Selection

GREEDY = "greedy"
ONE_IMAGE = "one, since the model was not trained for several images in one prompt"


@dataclass(frozen=True, kw_only=True)
class ModelChoice:
    """What the user wants to be asked: the settings of a run that a runner may look at."""

    runner: str
    model: str | None = None
    """Checkpoint folder or hub id, or what a plugin makes of it."""
    live_model: object | None = None
    """A model in memory, in place of `model`."""
    processor: object | None = None
    """Of the live model."""
    base: str | None = None
    """Folder or hub id of a checkpoint that lends what `model` or `live_model` lacks."""
    adapter: str | None = None
    """Folder or hub id of an adapter that is loaded onto `model`, or onto the base it names."""
    quantize: Quantize | None = None
    """What the weights are quantised to while they are loaded."""
    prompt_format: PromptFormat | None = None
    dtype: str | None = None
    device: str | None = None
    path: AnswerPath = "fast"
    replay: Replay | None = None
    seed: int = 0
    workers: int = 1
    engine: Engine = "local"
    answers: Mapping[str, Path] = field(default_factory=dict)
    """Task, or `task@style` -> file of answers made elsewhere, for runner `imported`."""
    answers_format: str | None = None
    endpoint: EndpointOptions = field(default_factory=EndpointOptions)
    """Which endpoint answers, for runner `openai`."""
    fit: Fit | None = None
    """How the user wants images fitted; None: as the task or the suite says."""

    @property
    def has_workers(self) -> bool:
        """Whether other processes answer, and not this one."""
        return self.workers > 1 or self.engine != "local"

    @property
    def workers_option(self) -> str:
        """What the user typed for that."""
        local = self.engine == "local"
        return f"--workers {self.workers}" if local else f"--engine {self.engine}"


OPTIONAL = (
    "base",
    "adapter",
    "quantize",
    "dtype",
    "device",
    "prompt_format",
    "replay",
    "path",
)
"""Fields of `ModelChoice` that a runner need not look at."""


class Sizing(NamedTuple):
    """What batches are cut by."""

    count: Callable[[Request], int]
    """Tokens of a request's prompt, those of the image among them."""
    budget: int
    """Tokens of a batch, padding included."""
    against_format: tuple[str, ...] = ()
    """What the chat template does otherwise than the prompt format that is taken."""
    against_config: tuple[str, ...] = ()
    """What of the tokenizer does not go with the config."""
    shared: "Shared | None" = None
    """How to find what prompts have in common; None: it reads each by itself."""


class Shared(NamedTuple):
    """What a runner needs that reads pictures and beginnings of prompts once."""

    split: Callable[[Request], tuple[list[int], int] | None]
    """Return the ids of a prompt, and how many of them come before what follows the picture; None:
    it is too long to be asked."""
    sizes: ModelSizes
    """By which arithmetic is counted."""
    cache_bytes: int
    """Of keys and values in float32 that a batch may hold, where its limit of tokens would be
    reached by fewer since much of them is read once."""


class Outlined(NamedTuple):
    """What is known of a model before its weights are there."""

    name: str
    converted_from: str | None = None
    """Name of the original checkpoint, where it says that it was converted."""
    sizes: ModelSizes | None = None
    """None: its arithmetic is not counted."""
    weight_bytes: int | None = None
    """Of its files; None: they are not there, or it has none."""
    dtype: str | None = None
    """Of its files, as far as its config says."""


class Estimate(NamedTuple):
    """What an endpoint will be sent, and what it will take, before anything is asked."""

    n_requests: int
    n_images: int
    n_prompt_tokens: int
    """About so many."""
    most_new_tokens: int
    """At most: the limits of all answers, with their room for reasoning."""
    most_dollars: float | None
    """None: no prices were given."""
    budget: float | None = None
    """Dollars that the command may spend."""


class Build(Protocol):
    """Builds a runner, and can be sent to another process for that."""

    def __call__(
        self, *, device: str | None, threads: int | None, budget_to_try: int | None = None
    ) -> Runner:
        """Build the runner on a device; None: it chooses one itself."""


class BuildContext(NamedTuple):
    """What a runner is built with, beside what the user chose."""

    trials: Iterable[Trial] = ()
    """Of the run, from which the baselines are built."""
    placement: Placement | None = None
    """Where and in which numbers it computes; None: found from the choice."""
    threads: int | None = None
    """CPU threads that torch uses, process-wide; None: as it is."""
    budget_to_try: int | None = None
    """Tokens of a batch that is tried, where the device has a memory of its own; None: none is."""


Probe = Callable[[Build, str], tuple[RunnerSettings, int | None]]
"""Builds a runner in a process that ends with it; returns its settings and its `image_size`."""


class RunContext(NamedTuple):
    """What a runner may look at of a run, to say what its answers depend on."""

    suite_format: PromptFormat | None
    """Taken where neither user nor runner says otherwise."""
    trials: Trials
    ids: Mapping[str, AbstractSet[str]]
    """Task -> ids of all its samples, those that are not asked too."""
    probe: Probe
    """Tells of a runner that is built in another process."""
    suite: str = ""
    """Its name."""


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
    """`RunnerSettings.loaded` of what another process must load; None: not known before."""
    image_size: int | None = None
    """Side in px of the square that it sees, where that is known."""
    converted_from: str | None = None
    """Name of the original checkpoint, where the model's says so."""
    notes: tuple[str, ...] = ()
    """What the user should know of how it answers."""
    prompt_format_from: str | None = None
    """Who says which prompt format is taken; None: the model itself, or there is none."""
    parts: Mapping[str, str] = MappingProxyType({})
    """sha256 by part, such as `weights` and `tokenizer`, as far as they are known."""
    packages: tuple[str, ...] = ()
    """Further packages whose version may move a score."""


class RunnerSpec(ABC):
    """A runner for what the user chose; made first, checked next, and built last."""

    summary: ClassVar[str]
    """What it is, in a few words for a list."""
    heeds: ClassVar[frozenset[str]] = frozenset()
    """Which of `OPTIONAL` it looks at."""
    loads_checkpoint: ClassVar[bool] = False
    """Whether it computes with weights, so that rounding may change its answers."""
    is_live: ClassVar[bool] = False
    """Whether it takes a model in memory."""
    rule: ClassVar[Rule] = "stated"
    """How its answers are read where neither suite nor task says: as people write, or, where they
    are compared with published numbers or bare letters, as the official code does."""
    batch_size: ClassVar[int] = 32
    """Requests in a batch where it does not count tokens; runners of this package halve a batch
    that does not fit into memory."""

    several_images: ClassVar[bool] = False
    """Whether a question may show several images; a plugin's runner says so itself."""
    asks_endpoint: ClassVar[bool] = False
    """Whether it asks a server, one request at a time, and so many at once as that takes."""

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

    @property
    def fit_hint_from(self) -> str:
        """Where the model says so, in words."""
        return "the model"

    def check(self) -> None:
        """Check all that can be checked without loading a model or reading data; RunnerError."""
        check_names(self.choice.device, self.choice.dtype)
        self.check_live()
        if self.choice.has_workers and (fault := self.fault_in_workers()):
            raise RunnerError(f"{self.choice.workers_option}: {fault}")
        self.check_answers()
        self.check_endpoint()

    def outline(self) -> Outlined:
        """Check what can be checked without weights, and say what is known; as `check`."""
        self.check()
        return Outlined(self.choice.model or self.name)

    def check_endpoint(self) -> None:
        """Refuse what only an endpoint can be asked for."""
        if not self.asks_endpoint and (given := self.choice.endpoint.given()):
            raise RunnerError(
                f"{', '.join(given)}: runner {self.name} asks no endpoint · add --runner openai"
            )

    def check_live(self) -> None:
        """Refuse a model in memory where only a folder or a hub id can be loaded."""
        if self.choice.live_model is not None and not self.is_live:
            raise RunnerError(
                f"runner {self.name}: takes no model in memory · save it, and give its folder"
            )

    def check_answers(self) -> None:
        """Refuse answers made elsewhere; runner `imported` takes them."""
        if self.choice.answers:
            raise RunnerError(
                f"runner {self.name}: takes no answers · give answers made elsewhere to "
                "`vipbench import TASK=FILE`"
            )

    def styles_of(
        self, styles: str | None, suite: str | None
    ) -> str | Mapping[str, str | None] | None:
        """Return the styles that tasks are asked under, as `select` takes them."""
        return styles

    def check_selection(self, selection: Selection) -> None:  # noqa: B027  # most can be asked any
        """Check whether it can be asked these tasks under these styles; RunError."""

    def fault_in_workers(self) -> str | None:
        """Say why other processes cannot answer; None: they can."""
        return None

    def unused(self, suite_format: PromptFormat | None) -> list[str]:
        """Say what the user chose and it does not look at, so that nobody takes it for granted."""
        defaults = {field.name: field.default for field in fields(ModelChoice)}
        names = [
            f"--{name.replace('_', '-')}"
            for name in OPTIONAL
            if name not in self.heeds and getattr(self.choice, name) != defaults[name]
        ]
        return [f"runner {self.name}: does not use {', '.join(names)}"] if names else []

    def remarks(self) -> list[str]:
        """Say what the user should know before anything is asked; it is written nowhere."""
        return []

    def estimate(self, requests: Iterable[Request]) -> "Estimate | None":
        """Estimate what answers to these requests cost; None: it asks nobody who charges."""
        return None

    def size(self, suite_format: PromptFormat | None) -> Sizing | None:
        """Find how many tokens requests have and a batch may have; None: it does not count them."""
        return None

    @abstractmethod
    def describe(self, context: RunContext) -> Model:
        """Fix what an answer depends on; VipbenchError where only now a fault shows."""

    @classmethod
    @abstractmethod
    def build(cls, choice: ModelChoice, context: BuildContext = BuildContext()) -> Runner:  # noqa: B008  # immutable
        """Build the runner, here and now, with the prompt format of `choice`; RunnerError."""


def build_there(
    spec: type[RunnerSpec],
    choice: ModelChoice,
    dtype: str | None,
    *,
    device: str | None,
    threads: int | None,
    budget_to_try: int | None = None,
) -> Runner:
    """Build a runner in another process, on the device that it was given there; see `Build`."""
    placement = None if device is None or dtype is None else Placement(device, dtype)
    context = BuildContext(placement=placement, threads=threads, budget_to_try=budget_to_try)
    return spec.build(choice, context)


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
            template_date=settings.template_date,
            adapter=settings.adapter,
            quantization=settings.quantization,
        ),
        load=load,
        device=settings.device,
        build=build,
        image_size=image_size,
        parts={"weights": settings.weights} if settings.weights else {},
    )


def name_by_origin(origin: str) -> str:
    """Name a model after where it comes from: a folder by its last part, a hub id as it is."""
    return Path(origin).resolve().name if Path(origin).exists() else origin
