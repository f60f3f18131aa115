"""Runners that need no model: the floor and the ceiling that a score is read against.

They are built from the trials of the run, the only runners that may see targets.
"""

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

import numpy as np

from vipbench.errors import RunnerError, nearest
from vipbench.runfolder.manifest import Settings
from vipbench.runners.contract import RunnerSettings
from vipbench.runners.spec import BuildContext, Model, ModelChoice, RunContext, RunnerSpec
from vipbench.schema import Request, Response, Trial
from vipbench.trials.target import right_text

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class BaselineRunner:
    """Answers each request with a rule; images are neither loaded nor looked at."""

    image_size = None
    reads_images = False

    def __init__(self, settings: RunnerSettings, answer: Callable[[Request], str]) -> None:
        """Take the rule; `settings` name the baseline."""
        self.settings = settings
        self._answer = answer

    def generate(self, requests: Sequence[Request], images: Sequence[np.ndarray]) -> list[Response]:
        """Answer every request; `images` may be empty."""
        return [Response(text=self._answer(request)) for request in requests]


def make_baseline(name: str, trials: Iterable[Trial], seed: int) -> BaselineRunner:
    """Build `oracle`, `constant`, `random` or `majority` from the trials of a run.

    `random` draws uniformly among a request's options, for an open answer among the task's
    distinct targets, keyed by `seed` and the request's key. `majority` gives the most frequent
    target of the task, of equally frequent ones the first by text.

    Raises:
        RunnerError: there is no such baseline, or (when asked) no trial for a request.
    """
    targets: dict[tuple[str, str, str], str] = {}
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for trial in trials:
        if trial.error is not None:  # is never asked, and may have no target
            continue
        text = right_text(trial.kind, trial.target)
        if name == "oracle":
            targets[trial.task, trial.style, trial.id] = text
        counts[trial.task][text] += 1
    distinct = {task: tuple(sorted(counter)) for task, counter in counts.items()}
    frequent = {
        task: min(counter.items(), key=lambda item: (-item[1], item[0]))[0]
        for task, counter in counts.items()
    }

    def oracle(request: Request) -> str:
        return _known(name, targets, (request.task, request.style, request.id))

    def constant(request: Request) -> str:
        return "A"

    def uniform(request: Request) -> str:
        options = request.options or _known(name, distinct, request.task)
        return random.Random(f"{seed}:{request.key}").choice(options)

    def majority(request: Request) -> str:
        return _known(name, frequent, request.task)

    rules = {"oracle": oracle, "constant": constant, "random": uniform, "majority": majority}
    if name not in rules:
        raise RunnerError(f"baseline {name!r} is unknown{nearest(name, rules)}")
    decoding = f"seed {seed}" if name == "random" else "rule"
    return BaselineRunner(RunnerSettings(model=name, decoding=decoding), rules[name])


def _known(name: str, table: Mapping[_Key, _Value], key: _Key) -> _Value:
    if key not in table:
        raise RunnerError(
            f"runner {name}: no trial for {key!r} · expected the trials of the run that is asked"
        )
    return table[key]


class BaselineSpec(RunnerSpec):
    """A baseline: needs no model, and answers at once."""

    rule = "exact"
    batch_size = 1024
    several_images = True

    def check(self) -> None:
        """Refuse a model, which would not be looked at."""
        if self.choice.model is not None or self.choice.live_model is not None:
            raise RunnerError(f"runner {self.name}: takes no model · leave --model out")
        super().check()

    def fault_in_workers(self) -> str:
        """Say that there is nothing to share out."""
        return f"runner {self.name} has no model to load in other processes · leave it out"

    def describe(self, context: RunContext) -> Model:
        """Say that an answer depends on nothing but the request."""
        choice = self.choice
        return Model(
            name=self.name,
            settings=Settings(weights=None, prompt_format=None, dtype=None, decoding=None),
            load=lambda trials, budget_to_try: self.build(choice, BuildContext(trials)),
            device="cpu",
        )

    @classmethod
    def build(cls, choice: ModelChoice, context: BuildContext = BuildContext()) -> BaselineRunner:  # noqa: B008  # immutable
        """Build the rule from the trials of the run."""
        return make_baseline(choice.runner, context.trials, choice.seed)


class OracleSpec(BaselineSpec):
    """The ceiling."""

    summary = "baseline: the right answer"


class ConstantSpec(BaselineSpec):
    """The floor that needs no luck."""

    summary = "baseline: always A"


class RandomSpec(BaselineSpec):
    """The floor by chance."""

    summary = "baseline: a random option, or a random target of the task"


class MajoritySpec(BaselineSpec):
    """The floor that knows how often each answer is right."""

    summary = "baseline: the most frequent target of the task"
