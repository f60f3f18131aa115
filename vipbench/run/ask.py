"""Steps 3 and 4: pixels, then responses, by a model here or in other processes."""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from vipbench.console import Console
from vipbench.engine.in_process import Backend, InProcess
from vipbench.engine.loaders import count_ahead, count_loaders
from vipbench.engine.pools import make_pool
from vipbench.errors import RunError
from vipbench.run.describe import Clock, add_times
from vipbench.run.prepare import Prepared, is_limit_given, token_limit
from vipbench.run.resume import Started, plan_run
from vipbench.run.settings import RunSettings
from vipbench.runfolder import manifest as manifests
from vipbench.runfolder.answers_file import append_responses
from vipbench.runfolder.folder import REQUESTS, RESPONSES, remove_run
from vipbench.runfolder.lines import ResponseLine
from vipbench.runfolder.trials_file import Trials, move_trials
from vipbench.runners.contract import settings_of


@dataclass
class Session:
    """A loaded model in front of a run folder that is ready for its answers."""

    backend: Backend | None
    """None: nothing is left to ask."""
    started: Started
    trials: Trials
    """Where they lie from now on."""
    clock: Clock


@contextlib.contextmanager
def load(
    prepared: Prepared, started: Started, settings: RunSettings, console: Console
) -> Iterator[Session]:
    """Load the model and begin the run folder; at the end, note what this start took.

    Where less fits into memory than was planned with, the run is planned again.

    Raises:
        VipbenchError: The model cannot be loaded, or the disk is full.
    """
    clock = Clock()
    with contextlib.ExitStack() as stack:
        backend = None
        # First the model, so that one which cannot be loaded leaves nothing behind.
        if started.todo:
            backend, started = _load_backend(prepared, started, settings, console, stack)
        clock.loaded = time.monotonic()
        trials = _begin(prepared.trials, started, fresh=settings.fresh)
        session = Session(backend, started, trials, clock)
        try:
            yield session
        finally:
            clock.answered = time.monotonic()
            stack.close()  # the memory of workers is known when they have ended
            manifest = add_times(started.manifest, prepared.seconds, clock, backend)
            session.started = started._replace(manifest=manifest)
            with contextlib.suppress(RunError):  # where the disk is full, that is said already
                manifests.write(started.folder, manifest)


def answer(session: Session, console: Console) -> None:
    """Answer the batches that are left; each is on the disk before the next is asked.

    Raises:
        VipbenchError: The model broke its contract, or the disk is full.
    """
    started = session.started
    n_done = started.n_all - started.n_left
    with console.bar("answering", total=started.n_all, initial=n_done) as bar:

        def write(lines: list[ResponseLine]) -> None:
            append_responses(started.folder / RESPONSES, lines)
            session.clock.n_answered += len(lines)
            bar.update(len(lines))

        if session.backend is not None:
            session.backend.answer(session.trials, started.plan, started.todo, write=write)


def _load_backend(
    prepared: Prepared,
    started: Started,
    settings: RunSettings,
    console: Console,
    stack: contextlib.ExitStack,
) -> tuple[Backend, Started]:
    """Load the model, here or in workers that end with `stack`.

    Where less fits into its memory than was planned with, the run is planned again.
    """
    # What the user chose is not tried, nor is what a run was begun with.
    is_tried = not is_limit_given(settings) and started.manifest.n_starts == 1
    token_budget = started.manifest.token_budget if is_tried else None
    images = {choice.spec.name: choice.source.images for choice in prepared.selection.tasks}
    model = prepared.model
    n_loaders = count_loaders(settings.loaders, model.device, settings.workers)
    ahead = count_ahead(n_loaders, model.device)
    backend: Backend
    if not settings.has_workers or model.build is None:
        runner = model.load(prepared.trials, token_budget)
        backend = InProcess(
            runner, settings.runner, images, ahead=ahead, n_loaders=n_loaders, console=console
        )
        fitting = settings_of(runner, settings.runner).token_budget
    else:
        n = min(settings.workers, len(started.todo))
        build = partial(model.build, token_budget=token_budget) if token_budget else model.build
        pool = make_pool(
            settings.engine, model, build, settings.runner, n, images, console, n_loaders=n_loaders
        )
        backend = stack.enter_context(pool)
        fitting = pool.load().settings.token_budget
    if fitting is None:
        return backend, started
    limit, previous = token_limit(prepared.trials, fitting), started.manifest.batch_limit
    if limit == previous:
        return backend, started
    console.say(f"{started.folder}: {previous} do not fit into memory: {limit} a batch")
    return backend, plan_run(started.folder, prepared, settings, limit)


def _begin(trials: Trials, started: Started, *, fresh: bool) -> Trials:
    """Write what a run consists of before its first answer; return its trials where they lie now.

    The manifest comes first: files without one are somebody else's.
    """
    if fresh:
        remove_run(started.folder)
    manifests.write(started.folder, started.manifest)
    append_responses(started.folder / RESPONSES, [])  # a run without any answer ends, too
    # The same bytes, if it is there already; and nobody reads it meanwhile.
    return move_trials(trials, started.folder / REQUESTS)
