"""Pixels, then responses, by a model here or in other processes."""

import contextlib
import time
from functools import partial
from typing import NamedTuple

from vipbench.console import Console
from vipbench.engine.each import OneByOne
from vipbench.engine.in_process import Backend, InProcess
from vipbench.engine.loaders import count_ahead, count_loaders
from vipbench.engine.pools import make_pool
from vipbench.errors import RunError
from vipbench.run.describe import add_times
from vipbench.run.prepare import Prepared, is_limit_given, token_limit
from vipbench.run.resume import Started, plan_again
from vipbench.run.settings import RunSettings
from vipbench.runfolder import bound
from vipbench.runfolder import manifest as manifests
from vipbench.runfolder.answers_file import Appending, append_responses
from vipbench.runfolder.folder import REQUESTS, RESPONSES, remove_run
from vipbench.runfolder.lines import ResponseLine
from vipbench.runfolder.manifest import Times
from vipbench.runfolder.name_file import write_name
from vipbench.runfolder.trials_file import Trials, move_trials
from vipbench.runners.contract import set_sharing, settings_of
from vipbench.runners.openai.runner import OpenAiRunner


class Session(NamedTuple):
    """A loaded model in front of a run folder that is ready for its answers."""

    backend: Backend | None
    """None: nothing is left to ask."""
    started: Started
    trials: Trials
    """Where they lie from now on."""
    open_workers: contextlib.ExitStack
    """Ends what was started for the session."""
    load_seconds: float


def load(prepared: Prepared, started: Started, settings: RunSettings, console: Console) -> Session:
    """Load the model, here or in workers, and begin the run folder.

    Where less fits into memory than was planned with, the run is planned again.

    Raises:
        VipbenchError: The model cannot be loaded, or the disk is full.
    """
    begun = time.monotonic()
    with contextlib.ExitStack() as stack:
        backend = None
        # First the model, so that one which cannot be loaded leaves nothing behind.
        if started.todo:
            backend, fitting = _load_backend(prepared, started, settings, console, stack)
            if fitting is not None:
                started = _planned_again(fitting, prepared, started, settings, console)
        load_seconds = time.monotonic() - begun
        trials = _begin(prepared.trials, started, settings)
        return Session(backend, started, trials, stack.pop_all(), load_seconds)


def answer(session: Session, prepare_seconds: float, console: Console) -> Started:
    """Answer the batches that are left, each on the disk before the next is asked; end the session.

    Returns:
        The run, its manifest with what this start took.

    Raises:
        VipbenchError: The model broke its contract, or the disk is full.
    """
    started, begun, n_answered = session.started, time.monotonic(), 0
    n_all = started.n_all - started.n_before
    n_done = n_all - started.n_left
    responses = Appending(started.folder / RESPONSES)
    try:
        with console.bar("answering", total=n_all, initial=n_done) as bar:

            def write(lines: list[ResponseLine]) -> None:
                nonlocal n_answered
                responses.append(lines)
                n_answered += len(lines)
                bar.update(len(lines))
                if isinstance(session.backend, OneByOne) and session.backend.has_news():
                    manifests.write(started.folder, session.backend.noted(started.manifest))

            if session.backend is not None:
                session.backend.answer(session.trials, started.plan, started.todo, write=write)
    finally:
        seconds = time.monotonic() - begun
        session.open_workers.close()  # the memory of workers is known when they have ended
        spent = Times(
            prepare=prepare_seconds,
            load=session.load_seconds,
            generate=seconds,
            n_answered=n_answered,
            total=prepare_seconds + session.load_seconds + seconds,
        )
        manifest = add_times(started.manifest, spent, session.backend)
        with contextlib.suppress(RunError):  # where the disk is full, that is said already
            known = {RESPONSES: responses.written}
            manifest = bound.bind(started.folder, manifest, (REQUESTS,), known)
            manifests.write(started.folder, manifest)
    return started._replace(manifest=manifest)


def _load_backend(
    prepared: Prepared,
    started: Started,
    settings: RunSettings,
    console: Console,
    stack: contextlib.ExitStack,
) -> tuple[Backend, int | None]:
    """Load the model, here or in workers that end with `stack`.

    Returns:
        What answers, and the tokens that fit into its memory, where that was tried.
    """
    # What the user chose is not tried, nor is what a run was begun with.
    is_tried = not is_limit_given(settings) and started.is_new
    budget_to_try = started.limit.tokens if is_tried else None
    model = prepared.model
    images = prepared.selection.images
    n_loaders = count_loaders(settings.loaders, model.device, settings.workers)
    shares = started.manifest.all_segments[-1].sharing is not None
    if not settings.has_workers or model.build is None:
        runner = model.load(prepared.trials, budget_to_try)
        set_sharing(runner, shares=shares)
        if isinstance(runner, OpenAiRunner):
            asking = stack.enter_context(OneByOne(runner, images, console, started.manifest))
            asking.probe(prepared.trials, started.plan, started.todo)
            return asking, None
        backend = InProcess(
            runner,
            settings.runner,
            images,
            ahead=count_ahead(n_loaders, model.device),
            n_loaders=n_loaders,
            console=console,
        )
        return backend, settings_of(runner, settings.runner).token_budget
    build = partial(model.build, budget_to_try=budget_to_try) if budget_to_try else model.build
    n = min(settings.workers, len(started.todo))
    pool = stack.enter_context(
        make_pool(
            settings.engine,
            model,
            build,
            settings.runner,
            n,
            images,
            console,
            n_loaders=n_loaders,
            shares=shares,
        )
    )
    return pool, pool.load().settings.token_budget


def _planned_again(
    fitting: int, prepared: Prepared, started: Started, settings: RunSettings, console: Console
) -> Started:
    """Plan a run again where fewer tokens fit than it was planned with."""
    limit, previous = token_limit(prepared.trials, fitting), started.limit
    if limit == previous:
        return started
    console.say(
        f"{started.folder}: batches of {previous} do not fit into memory · using {limit} instead"
    )
    return plan_again(started, prepared, settings, limit)


def _begin(trials: Trials, started: Started, settings: RunSettings) -> Trials:
    """Write what a run consists of before its first answer; return its trials where they lie now.

    The manifest comes first: files without one are somebody else's.
    """
    if settings.fresh:
        remove_run(started.folder)
    manifests.write(started.folder, started.manifest)
    write_name(started.folder, settings.name, settings.step)
    append_responses(started.folder / RESPONSES, [])  # a run without any answer ends, too
    # The same bytes, if it is there already; and nobody reads it meanwhile.
    return move_trials(trials, started.folder / REQUESTS)
