"""The way of a run, read aloud: prepare, resume, load, answer, score, check.

The same command resumes a run where it was stopped, and a finished one is printed again without a
model.
"""

from vipbench.console import QUIET, Console
from vipbench.run.ask import answer, load
from vipbench.run.claim import claimed, with_shard_folder
from vipbench.run.prepare import prepare
from vipbench.run.resume import resume
from vipbench.run.score import Results, check, finish
from vipbench.run.settings import RunSettings


def run(settings: RunSettings, console: Console = QUIET) -> Results:
    """Run tasks under styles with one model, or resume a run that was stopped.

    Args:
        settings: what to run.
        console: takes what the user should know, such as what is left out; shows bars.

    Raises:
        TooManyErrors: More samples of a task failed than `max_errors` allows. What is known before
            the model is loaded is raised then; the rest when all is written.
        RunInterrupted: Ctrl-C; the same settings resume it.
        VipbenchError: Settings, data or model cannot be used, or the disk is full.
    """
    settings = with_shard_folder(settings)
    with claimed(settings) as claim:
        prepared = prepare(settings, claim.draft, console)  # 1 samples -> requests
        folder = claim.folder(prepared.identity)
        started = resume(folder, prepared, settings, console)  # 2 which of them are left
        if not started.is_finished:
            session = load(prepared, started, settings, console)  # 3 the model
            started = answer(session, prepared.seconds, console)  # 4 -> pixels -> responses
        results = finish(started, settings.judge, console)  # 5 responses -> scores -> rows
    check(results, settings.max_errors, console)  # 6 whether they can be relied on
    return results
