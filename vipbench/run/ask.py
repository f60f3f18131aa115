"""Pixels, then responses, by a model here or in other processes."""

import contextlib
import time
from collections.abc import Callable, Sequence
from functools import partial
from types import TracebackType
from typing import NamedTuple, Self

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
from vipbench.run.together import Together
from vipbench.run.workers import with_workers
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


def load(
    prepared: Prepared,
    started: Started,
    settings: RunSettings,
    console: Console,
    *,
    first: Sequence[int] | None = None,
) -> Session:
    """Load the model, here or in workers, and begin the run folder.

    Where less fits into memory than was planned with, the run is planned again.

    Args:
        prepared: the requests.
        started: how far they are answered.
        settings: of the run.
        console: hears what is changed.
        first: batches that are asked in any case, with which an endpoint may be tried; None: all
            that are left.

    Raises:
        VipbenchError: The model cannot be loaded, or the disk is full.
    """
    begun = time.monotonic()
    settings, started = with_workers(settings, prepared, started, console)
    with contextlib.ExitStack() as stack:
        backend = None
        # First the model, so that one which cannot be loaded leaves nothing behind.
        if started.todo:
            known = started if first is None else started._replace(tried=list(first))
            backend, fitting = _load_backend(prepared, known, settings, console, stack)
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
    with Answering(session, prepare_seconds, console) as answering:
        answering.ask(session.started.todo)
    return answering.started


class Answering:
    """A loaded model that is asked some batches after others; a context manager that ends it."""

    def __init__(self, session: Session, prepare_seconds: float, console: Console) -> None:
        """Take a session; `prepare_seconds` went by before it."""
        self.started = session.started
        """The run; at the end, its manifest has what this start took."""
        self._session, self._prepare_seconds = session, prepare_seconds
        self._n_answered, self._seconds = 0, 0.0
        self._responses = Appending(session.started.folder / RESPONSES)
        n_all = session.started.n_all - session.started.n_before
        self._bar = console.bar("answering", total=n_all, initial=n_all - session.started.n_left)

    def __enter__(self) -> Self:
        self._bar.__enter__()
        return self

    def ask(
        self,
        batches: Sequence[int],
        heard: Callable[[list[ResponseLine]], None] | None = None,
        together: Sequence[Sequence[int]] | None = None,
    ) -> None:
        """Answer some batches; `heard` is told the lines of each, which are on the disk by then.

        `together` are lists of batches that go through the model as one, with those in them that
        are answered already; None: each goes by itself.

        Raises:
            VipbenchError: The model broke its contract, or the disk is full.
        """
        session, begun = self._session, time.monotonic()

        def write(lines: list[ResponseLine]) -> None:
            self._write(lines)
            if heard is not None:
                heard(lines)

        try:
            if session.backend is None:
                return
            plan: Sequence[Sequence[int]] = self.started.plan
            if together is not None:
                joined = Together(plan, together, batches, write)
                plan, batches, write = joined.plan, joined.todo, joined.write
            session.backend.answer(session.trials, plan, batches, write=write)
        finally:
            self._seconds += time.monotonic() - begun

    def _write(self, lines: list[ResponseLine]) -> None:
        self._responses.append(lines)
        self._n_answered += len(lines)
        self._bar.update(len(lines))
        backend = self._session.backend
        if isinstance(backend, OneByOne) and backend.has_news():
            manifests.write(self.started.folder, backend.noted(self.started.manifest))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.__exit__(kind, error, trace)
        session, folder = self._session, self.started.folder
        session.open_workers.close()  # the memory of workers is known when they have ended
        spent = Times(
            prepare=self._prepare_seconds,
            load=session.load_seconds,
            generate=self._seconds,
            n_answered=self._n_answered,
            total=self._prepare_seconds + session.load_seconds + self._seconds,
        )
        manifest = add_times(self.started.manifest, spent, session.backend)
        with contextlib.suppress(RunError):  # where the disk is full, that is said already
            known = {RESPONSES: self._responses.written}
            manifest = bound.bind(folder, manifest, (REQUESTS,), known)
            manifests.write(folder, manifest)
        self.started = self.started._replace(manifest=manifest)


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
    n_loaders = count_loaders(settings.loaders, model.device, settings.n_workers)
    shares = started.manifest.all_segments[-1].sharing is not None
    if not settings.has_workers or model.build is None:
        runner = model.load(prepared.trials, budget_to_try)
        set_sharing(runner, shares=shares)
        if isinstance(runner, OpenAiRunner):
            asking = stack.enter_context(OneByOne(runner, images, console, started.manifest))
            tried = started.todo if started.tried is None else started.tried
            asking.probe(prepared.trials, started.plan, tried)
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
    n = min(settings.n_workers, len(started.todo))
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
