"""registry: part of what was vipbench/runners/__init__.py."""

import importlib
import inspect
from collections.abc import Callable, Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import Any, cast

from vipbench.errors import RunnerError, nearest
from vipbench.runners.contract import Runner
from vipbench.schema import AnswerPath, PromptFormat, Trial

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
