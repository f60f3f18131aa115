"""Runners of other packages: an entry point of group `vipbench.runners`, or a class by its path."""

import importlib
import inspect
from collections.abc import Callable, Iterable
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from typing import cast

from vipbench.errors import RunnerError, nearest
from vipbench.runners.contract import Runner, settings_of
from vipbench.runners.spec import (
    BuildContext,
    Model,
    ModelChoice,
    RunContext,
    RunnerSpec,
    build_there,
    describe_by_settings,
    name_by_origin,
)
from vipbench.schema import Trial

GROUP = "vipbench.runners"


class PluginSpec(RunnerSpec):
    """A class of another package, built as `Class(model)`; what it is shows only then."""

    summary = "a class of another package"
    several_images = True

    def check(self) -> None:
        """Import the class: a wrong name or a broken package is an error before data are read."""
        super().check()
        find_plugin(self.name)

    def describe(self, context: RunContext) -> Model:
        """Build it, since only then it says what it answers with."""
        choice, build = self.choice, partial(build_there, type(self), self.choice, None)
        if not choice.has_workers:
            runner = self.build(choice)
            settings, image_size = settings_of(runner, self.name), runner.image_size
        else:  # built here, it would take a worker's place on the device
            runner = None
            settings, image_size = context.probe(build, self.name)
        says_its_name = bool(settings.weights) or choice.model is None
        name = settings.model if says_its_name else name_by_origin(str(choice.model))

        def load(trials: Iterable[Trial], budget_to_try: int | None) -> Runner:
            return self.build(choice) if runner is None else runner

        return describe_by_settings(choice, name, settings, image_size, load, build)

    @classmethod
    def build(cls, choice: ModelChoice, context: BuildContext = BuildContext()) -> Runner:  # noqa: B008  # immutable
        """Build it with the text of `--model`, or None."""
        name, argument = choice.runner, None if choice.model is None else str(choice.model)
        factory = find_plugin(name)
        try:
            inspect.signature(factory).bind(argument)
        except TypeError as error:
            raise RunnerError(
                f"runner {name}: cannot be built with the text of --model, or None, as its only "
                f"argument ({error}) · expected a class that takes one argument"
            ) from error
        except ValueError:
            pass  # written in C, without a signature
        runner = factory(argument)
        if not hasattr(runner, "image_size") or not callable(getattr(runner, "generate", None)):
            raise RunnerError(
                f"runner {name}: {type(runner).__name__} is not a runner · expected the attribute "
                "image_size and the method generate(requests, images)"
            )
        return cast(Runner, runner)


def find_plugin(name: str) -> Callable[[str | None], object]:
    """Import the class of a plugin; RunnerError where it cannot be."""
    return _import(name if ":" in name else list_plugins()[name].value)


def list_plugins() -> dict[str, EntryPoint]:
    """Return the installed runners of other packages by name."""
    return {point.name: point for point in entry_points(group=GROUP)}


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
