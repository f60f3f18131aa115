"""What a runner is, which there are, and what it must keep to.

A runner turns requests and images into responses. It owns prompt format, image token, padding,
dtype and device, and sees neither samples nor targets. Plugins come as an entry point of group
`vipbench.runners` or as `package.module:Class`, and are built as `Class(model)`, where `model` is
the text of `--model` or None.
"""

import importlib
import inspect
from collections.abc import Callable, Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Protocol, cast

import numpy as np

from vipbench.errors import RunnerError, nearest
from vipbench.schema import AnswerPath, PromptFormat, Record, Request, Response, Trial

GROUP = "vipbench.runners"
RUNNERS = {
    "vipllava": "a VipLlava checkpoint, through transformers",
    "hf": "any image-text-to-text checkpoint of transformers, such as LLaVA-1.5",
    "oracle": "baseline: the right answer",
    "constant": "baseline: always A",
    "random": "baseline: a random option, or a random target of the task",
    "majority": "baseline: the most frequent target of the task",
}
"""Built-in runners, and what they are."""
WITH_CHECKPOINT = ("vipllava", "hf")
"""Built-in runners that load a checkpoint; the others are baselines."""


class RunnerSettings(Record):
    """What a runner answers with; goes into the manifest and the identity of a run."""

    model: str
    """Folder name or hub id; of a baseline or a plugin without settings, the runner's name."""
    weights: str = ""
    """sha256 of the weights."""
    prompt_format: PromptFormat | None = None
    dtype: str | None = None
    """Such as `float16`."""
    decoding: str = "greedy"
    device: str = "cpu"
    """Not part of the identity, nor is what follows."""
    token_budget: int | None = None
    """Tokens of prompts in a batch that fits into memory, padding included, where it was tried."""


class Runner(Protocol):
    """What every runner has.

    Optional: `reads_images`, `patch_size`, `settings`, and `n_splits`, how many batches were split
    in two because they did not fit into memory.
    """

    @property
    def image_size(self) -> int | None:
        """Side in px of the square that images are fitted to; None: they come unfitted."""

    def generate(self, requests: Sequence[Request], images: Sequence[np.ndarray]) -> list[Response]:
        """Answer requests: one response each, in order.

        `images` are uint8 (height, width, 3), RGB, marks drawn, one a request; none at all where
        the runner has `reads_images = False`. Their memory is used again when this has returned.
        """


def reads_images(runner: Runner) -> bool:
    """Whether images have to be loaded for a runner: unless it says no."""
    return bool(getattr(runner, "reads_images", True))


def patch_size_of(runner: Runner) -> int | None:
    """Side in px of the patches that a runner's model cuts its square into; None: not known."""
    size = getattr(runner, "patch_size", None)
    return size if isinstance(size, int) and size > 0 else None


def settings_of(runner: Runner, name: str) -> RunnerSettings:
    """Return a runner's settings; of one without any, those that name it."""
    settings = getattr(runner, "settings", None)
    return settings if isinstance(settings, RunnerSettings) else RunnerSettings(model=name)


def splits_of(runner: Runner) -> int:
    """How many batches a runner has split in two so far; 0 where it does not tell."""
    n = getattr(runner, "n_splits", 0)
    return n if isinstance(n, int) else 0


def make_runner(
    name: str = "vipllava",
    *,
    model: Any = None,
    processor: Any = None,
    trials: Sequence[Trial] = (),
    seed: int = 0,
    prompt_format: PromptFormat | None = None,
    dtype: str | None = None,
    device: str | None = None,
    threads: int | None = None,
    path: AnswerPath = "fast",
    token_budget: int | None = None,
) -> Runner:
    """Build a runner by name: a built-in one, an entry point, or `package.module:Class`.

    Args:
        name: see above.
        model: checkpoint folder or hub id, or a live VipLlava with its `processor`.
        processor: of a live model.
        trials: of the run, from which the baselines are built.
        seed: of the run; keys `random`.
        prompt_format: see `VipLlavaRunner`, as for the last five.
        dtype: see there.
        device: see there.
        threads: see there.
        path: see there.
        token_budget: see there.

    Raises:
        RunnerError: there is no such runner, or it cannot be built.
    """
    if name == "vipllava":
        if model is None:
            raise RunnerError("runner vipllava: no model given · give --model FOLDER or a hub id")
        from vipbench.runners.vipllava.runner import VipLlavaRunner

        return VipLlavaRunner(
            model,
            processor,
            prompt_format=prompt_format,
            dtype=dtype,
            device=device,
            threads=threads,
            path=path,
            token_budget=token_budget,
        )
    if name == "hf":
        if model is None:
            raise RunnerError("runner hf: no model given · give --model FOLDER or a hub id")
        from vipbench.runners.hf import HfRunner

        return HfRunner(
            model, prompt_format=prompt_format, dtype=dtype, device=device, threads=threads
        )
    if name in RUNNERS:
        from vipbench.runners import baseline

        return baseline.make_baseline(name, trials, seed)
    factory = find_plugin(name)
    argument = None if model is None else str(model)
    try:
        inspect.signature(factory).bind(argument)
    except TypeError as error:
        raise RunnerError(
            f"runner {name}: cannot be built with the text of --model, or None, as its only "
            f"argument ({error}) · expected a class that can"
        ) from error
    except ValueError:
        pass  # written in C, without a signature
    runner = factory(argument)
    if not hasattr(runner, "image_size") or not callable(getattr(runner, "generate", None)):
        raise RunnerError(
            f"runner {name}: {type(runner).__name__} is no runner · expected the attribute "
            "image_size and the method generate(requests, images)"
        )
    return cast(Runner, runner)


def find_plugin(name: str) -> Callable[[str | None], object]:
    """Import the class of a runner that is not built in; RunnerError where there is none."""
    if ":" in name:
        return _import(name)
    plugins = _plugins()
    if name not in plugins:
        raise RunnerError(
            f"runner {name!r} is not known{nearest(name, (*RUNNERS, *plugins))} · a plugin may "
            "be named as package.module:Class"
        )
    return _import(plugins[name].value)


def list_runners() -> dict[str, str]:
    """Return all runners that can be named, and what they are."""
    return RUNNERS | {name: f"plugin: {point.value}" for name, point in _plugins().items()}


def check_responses(
    name: str, requests: Sequence[Request], responses: Sequence[Response]
) -> list[Response]:
    """Return what runner `name` gave for a batch, if it kept to the contract; else RunnerError."""
    if not isinstance(responses, list | tuple):
        raise RunnerError(
            f"runner {name}: returned a {type(responses).__name__} · expected a list of Response"
        )
    if len(responses) != len(requests):
        raise RunnerError(
            f"runner {name}: returned {len(responses)} responses for a batch of {len(requests)} · "
            "expected one for each request, in order"
        )
    for request, response in zip(requests, responses, strict=True):
        if not isinstance(response, Response):
            raise RunnerError(
                f"runner {name}: returned a {type(response).__name__} for sample {request.id} · "
                "expected a Response"
            )
        if (response.text is None) == (response.error is None):
            raise RunnerError(
                f"runner {name}: the response for sample {request.id} has "
                f"{'neither text nor error' if response.text is None else 'text and error'} · "
                "expected exactly one of them"
            )
        try:
            f"{response.text}{response.error}".encode()
        except UnicodeEncodeError as error:
            raise RunnerError(
                f"runner {name}: the response for sample {request.id} is no text "
                f"({error.reason} at {error.start}) · expected whole Unicode characters"
            ) from error
    return list(responses)


def _plugins() -> dict[str, EntryPoint]:
    """Installed runners of other packages; a built-in name stays built in."""
    return {point.name: point for point in entry_points(group=GROUP) if point.name not in RUNNERS}


def _import(path: str) -> Callable[[str | None], object]:
    """Import `package.module:Class`."""
    module_name, _, class_name = path.partition(":")
    try:
        module = importlib.import_module(module_name)
    except (ImportError, ValueError, TypeError) as error:
        raise RunnerError(
            f"runner {path}: {module_name!r} cannot be imported ({error}) · expected "
            "package.module:Class of an installed package, or one in the current folder's path"
        ) from error
    factory = getattr(module, class_name, None)
    if not callable(factory):
        known = [name for name, value in vars(module).items() if isinstance(value, type)]
        raise RunnerError(
            f"runner {path}: {module_name} has no class {class_name!r}{nearest(class_name, known)}"
        )
    return cast(Callable[[str | None], object], factory)
