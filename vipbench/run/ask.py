"""ask: part of what was vipbench/run/loop.py."""

import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple, Protocol

from vipbench.console import Console
from vipbench.engine.batches import answer_batches
from vipbench.engine.loaders import count_ahead, count_loaders
from vipbench.engine.ray_actors import Actors
from vipbench.engine.workers import Build, Crew, Workers
from vipbench.run.describe import Clock
from vipbench.run.model import Model
from vipbench.run.prepare import Prepared, is_given
from vipbench.run.resume import Started, _mine
from vipbench.run.settings import RunSettings
from vipbench.runfolder import answers_file
from vipbench.runfolder.folder import RESPONSES
from vipbench.runfolder.lines import ResponseLine
from vipbench.runfolder.trials_file import Trials
from vipbench.runners.contract import settings_of
from vipbench.runners.device import find_device, spread
from vipbench.runners.registry import RUNNERS


class Ask(Protocol):
    """Answers batches of a plan, as `engine.answer_batches` and `Workers.answer` do."""

    def __call__(
        self,
        trials: Trials,
        plan: Sequence[Sequence[int]],
        todo: Sequence[int],
        *,
        write: Callable[[list[ResponseLine]], None],
    ) -> None:
        """Answer the batches `todo` of a plan; `write` takes the lines of each."""


class _Loaded(NamedTuple):
    """A model, here or in workers."""

    ask: Ask
    token_budget: int | None
    """What fits into its memory, where that was tried."""


def _load(
    stack: contextlib.ExitStack,
    prepared: Prepared,
    started: Started,
    settings: RunSettings,
    console: Console,
    clock: Clock,
) -> _Loaded:
    """Load the model, here or in workers that end with `stack`."""
    # What the user chose is not tried, nor is what a run was begun with.
    chosen = is_given(settings) or started.manifest.n_starts > 1
    token_budget = None if chosen else started.manifest.token_budget
    images = {choice.spec.name: choice.source.images for choice in prepared.selection.tasks}
    model = prepared.model
    n_loaders = count_loaders(settings.loaders, model.device, settings.workers)
    if not settings.has_workers or model.build is None:
        runner = clock.runner = model.load(started.trials, token_budget)
        ahead = count_ahead(n_loaders, model.device)
        ask = partial(answer_batches, ahead=ahead, n_loaders=n_loaders, console=console)
        told = settings_of(runner, settings.runner)
        return _Loaded(partial(ask, runner, settings.runner, images=images), told.token_budget)
    build = partial(model.build, token_budget=token_budget) if token_budget else model.build
    n = min(settings.workers, len(started.todo))
    crew = _hire(model, build, n, n_loaders, images, settings, console)
    clock.workers = stack.enter_context(crew)
    return _Loaded(crew.answer, crew.load().settings.token_budget)


def _hire(
    model: Model,
    build: Build,
    n: int,
    n_loaders: int,
    images: Mapping[str, Path],
    settings: RunSettings,
    console: Console,
) -> Crew:
    """Choose `n` workers, here or on a cluster; none of them is started yet."""
    ahead = count_ahead(n_loaders, model.device)
    is_built_in = settings.runner in RUNNERS  # others choose their device themselves
    if settings.engine == "ray":
        return Actors(
            *(build, settings.runner, [model.device if is_built_in else None] * n, images, console),
            resource="GPU" if model.device.startswith("cuda") else "CPU",
            ahead=ahead,
            n_loaders=n_loaders,
            weights=model.weights,
        )
    if model.device == "cpu" and settings.workers > (os.cpu_count() or 1):
        console.say(f"--workers {settings.workers}: are more than the {os.cpu_count()} cores here")
    return Workers(
        build,
        settings.runner,
        spread(find_device(model.device), n) if is_built_in else [None] * n,
        images,
        console,
        ahead=ahead,
        n_loaders=n_loaders,
        weights=model.weights,
    )


def answer(
    folder: Path,
    started: Started,
    ask: Ask,
    console: Console,
    clock: Clock,
) -> None:
    """Answer the batches that are left; each is on the disk before the next is asked."""
    responses = folder / RESPONSES
    mine = _mine(started.manifest.shard, len(started.plan))
    n_all, n_left = (
        sum(len(started.plan[batch]) for batch in batches) for batches in (mine, started.todo)
    )
    with console.bar("answering", total=n_all, initial=n_all - n_left) as bar:

        def write(lines: list[ResponseLine]) -> None:
            answers_file.append_responses(responses, lines)
            clock.n_answered += len(lines)
            bar.update(len(lines))

        ask(started.trials, started.plan, started.todo, write=write)
