"""A small run of five trials, for the tests of its files."""

from pathlib import Path

from vipbench.runfolder import answers_file, trials_file
from vipbench.runfolder.folder import REQUESTS, RESPONSES
from vipbench.runfolder.lines import ResponseLine
from vipbench.schema import Request, Trial

UGLY = "line\u2028and\u0085paragraph\nnew"
"""Characters that some functions take for the end of a line."""
PLAN = [(0, 2), (3, 4)]
"""Trial 1 of `trials` cannot be asked."""


def trial(id_: str, *, text: str = "What?", error: str | None = None) -> Trial:
    request = Request(
        task="t",
        style="s",
        id=id_,
        turns=(text, "An answer.", "Why?"),
        image="a.png",
        fit="pad",
        max_new_tokens=8,
        key=f"key of {id_}",
    )
    return Trial(
        task="t",
        style="s",
        id=id_,
        request=None if error else request,
        error=error,
        kind="short_answer",
        target=UGLY,
        group="g",
    )


def trials(folder: Path) -> trials_file.Trials:
    listed = [
        trial("a"),
        trial("b", error="no image"),
        trial("c", text=UGLY),
        trial("d"),
        trial("e"),
    ]
    return trials_file.write_trials(folder / REQUESTS, listed)


def answer(id_: str, batch: int, text: str = UGLY) -> ResponseLine:
    return ResponseLine(text=text, task="t", style="s", id=id_, key=f"key of {id_}", batch=batch)


def responses(folder: Path) -> Path:
    """Write all answers, a batch at a time; return the file."""
    path = folder / RESPONSES
    answers_file.append_responses(path, [answer("a", 0), answer("c", 0)])
    answers_file.append_responses(path, [answer("d", 1), answer("e", 1)])
    return path
