"""The errors that vipbench raises on purpose; the command line prints their message and exits.

Every message is one line: where · what is wrong, with the value · what was expected · what to do.
"""

import difflib
from collections.abc import Iterable


class VipbenchError(Exception):
    """The user's input is wrong, or the run cannot continue; the program returns `exit_code`."""

    exit_code = 2


class TaskError(VipbenchError):
    """A task, suite or style file is broken, or an unknown one was named."""


class DataError(VipbenchError):
    """Benchmark data are missing, broken or unsafe."""


class DataNotFound(DataError):
    """Benchmark data are nowhere that was looked at."""


class RunnerError(VipbenchError):
    """A runner cannot be built, a checkpoint cannot be used, or a runner broke its contract."""


class RunError(VipbenchError):
    """A run folder cannot be made, resumed or read."""


class JudgeError(VipbenchError):
    """The judge cannot be used, or nothing has been graded."""


class JudgeStopped(JudgeError):
    """Grading has stopped before its end, after it gave grades; they are kept.

    The same command may ask for the rest.
    """

    exit_code = 3


class ExtractorError(VipbenchError):
    """The model that reads unread answers cannot be used, or has read nothing."""


class ExtractorStopped(ExtractorError):
    """The model that reads unread answers has stopped before its end; what it read is kept.

    The same command may ask for the rest.
    """

    exit_code = 3


class EndpointStopped(VipbenchError):
    """An endpoint that has answered does so no more, or no longer as before; what it said is kept.

    The same command may ask for the rest.
    """

    exit_code = 3


class TooManyErrors(VipbenchError):
    """More samples failed than `--max-errors` allows."""

    exit_code = 3


class CheckFailed(VipbenchError):
    """A gate or a check of published numbers found a failure; not a mistake of the user."""

    exit_code = 1


class RunInterrupted(VipbenchError):
    """The user stopped the run; what is done is kept."""

    exit_code = 130


def nearest(name: str, known: Iterable[str]) -> str:
    """Say which known names `name` may have meant: ` · did you mean 'x'?` or ` · known: a, b`."""
    names = sorted(known)
    by_folded = {each.casefold(): each for each in names}
    close = difflib.get_close_matches(name.casefold(), by_folded, n=1, cutoff=0.6)
    if close:
        return f" · did you mean {by_folded[close[0]]!r}?"
    return f" · known: {', '.join(names)}" if names else ""
