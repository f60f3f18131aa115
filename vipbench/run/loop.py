"""The loop: samples -> requests -> pixels -> responses -> scores -> rows, in a run folder.

The same command goes on where it was stopped, and a finished one reprints without a model.
"""

import contextlib
import time
from pathlib import Path

from vipbench import environment, files
from vipbench.console import QUIET, Console
from vipbench.errors import RunError, RunInterrupted
from vipbench.report.rows import lost_marks
from vipbench.run.ask import _load, answer
from vipbench.run.describe import Clock, add_times
from vipbench.run.prepare import Prepared, _prepare, token_limit
from vipbench.run.resume import _draft, _finished, _plan, begin, folder_name, placed, planned
from vipbench.run.score import Results, _score, check_errors
from vipbench.run.settings import RunSettings
from vipbench.runfolder import manifest as manifests
from vipbench.runfolder.folder import check_own

RUNS = Path("results/runs")
"""Where run folders go, below the working directory."""


def run(settings: RunSettings, console: Console = QUIET) -> Results:
    """Run tasks under styles with one model, or go on with a run that was stopped.

    Args:
        settings: what to run.
        console: takes what the user should know, such as what is left out; shows bars.

    Raises:
        TooManyErrors: More samples of a task failed than `max_errors` allows. What is known before
            the model is loaded is raised then; the rest when all is written.
        RunInterrupted: Ctrl-C; the same settings go on.
        VipbenchError: Settings, data or model cannot be used, or the disk is full.
    """
    settings = placed(settings)
    place = settings.out or RUNS
    try:
        with contextlib.ExitStack() as stack:
            if settings.out:
                stack.enter_context(files.locked(settings.out))
                check_own(settings.out)
            draft = stack.enter_context(_draft(place, alone=settings.out is not None))
            prepared = _prepare(settings, draft, console)
            folder = settings.out or RUNS / folder_name(prepared.identity, settings)
            if settings.out is None:
                stack.enter_context(files.locked(folder))
            result = _run_in(folder, prepared, settings, console)
    except KeyboardInterrupt:
        raise RunInterrupted(
            f"{place}: interrupted; what is answered is kept: give the same command to go on"
        ) from None
    for warning in lost_marks(result.manifest, result.rows):
        console.say(warning)
    check_errors(result, settings.max_errors)
    return result


def _run_in(folder: Path, prepared: Prepared, settings: RunSettings, console: Console) -> Results:
    finished = None if settings.fresh else _finished(folder, prepared.identity, settings)
    if finished is not None:
        console.say(f"{folder}: had been finished; nothing is asked again (--fresh redoes it)")
        if settings.judge is None or settings.shard is not None:
            return finished
        rows = _score(folder, finished.manifest, settings.judge, console=console)
        return finished._replace(rows=rows)
    started = _plan(folder, prepared, settings, console)
    n_left = sum(len(started.plan[batch]) for batch in started.todo)
    clock = Clock()
    with contextlib.ExitStack() as stack:
        # First the model, so that one which cannot be loaded leaves nothing behind.
        loaded = _load(stack, prepared, started, settings, console, clock) if started.todo else None
        clock.loaded = time.monotonic()
        if loaded and loaded.token_budget is not None:
            limit, then = token_limit(prepared.trials, loaded.token_budget), started.manifest
            if limit != then.batch_limit:
                console.say(f"{folder}: {then.batch_limit} do not fit into memory: {limit} a batch")
                started = planned(prepared, settings, limit)
        trials = begin(folder, started, fresh=settings.fresh)
        try:
            if loaded is not None:
                answer(folder, started._replace(trials=trials), loaded.ask, console, clock)
        finally:
            clock.answered = time.monotonic()
            stack.close()  # the memory of workers is known when they have ended
            manifest = add_times(started.manifest, prepared.seconds, clock)
            with contextlib.suppress(RunError):  # where the disk is full, that is said already
                manifests.write(folder, manifest)
    if settings.shard is not None:
        manifest = manifest.model_copy(update={"finished": environment.now()})
        manifests.write(folder, manifest)
        return Results(folder, [], manifest, n_left)
    rows = _score(folder, manifest, console=console if settings.judge is None else QUIET)
    manifest = manifest.model_copy(update={"finished": environment.now()})
    manifests.write(folder, manifest)
    if settings.judge is not None:
        rows = _score(folder, manifest, settings.judge, console=console)
    return Results(folder, rows, manifest, n_left)
