"""The application: what all commands share, and how mistakes end."""

import errno
import io
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Annotated, NoReturn

import typer

from vipbench.cli.commands import App, Group, run_app
from vipbench.cli.printing import LogHandler, say
from vipbench.errors import VipbenchError


class Commands(Group):
    """All of them, by what they are for."""

    headings: Mapping[str, str] = {
        **dict.fromkeys(
            ("run", "plan", "watch", "score", "merge", "import", "export", "judge"),
            "Answers and scores",
        ),
        **dict.fromkeys(("leaderboard", "compare", "gate", "race", "power"), "Comparisons"),
        **dict.fromkeys(("history", "reproduce", "report", "sweep"), "Comparisons"),
        **dict.fromkeys(("render", "check", "show", "ls", "name"), "Inspection"),
        **dict.fromkeys(
            ("certify", "kit", "verify", "convert", "bench"), "Checkpoints and machines"
        ),
        **dict.fromkeys(("data", "demo"), "Data"),
    }


app = App(
    name="vipbench",
    cls=Commands,
    help="Measure how well vision-language models understand visual prompts.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


_ADVICE = {
    errno.ENOSPC: "make room, then try again",
    errno.EDQUOT: "make room, then try again",
    errno.EACCES: "get permission to read or write there, or give another path",
    errno.EPERM: "get permission to read or write there, or give another path",
    errno.ENAMETOOLONG: "give a shorter path; a name may have 255 bytes",
}
"""What to do about errors of the machine, wherever they are met; others are bugs."""


def main() -> None:
    """Run the command line; the user's mistakes end with one line and an exit code."""
    sys.stdout = sys.stdout or io.StringIO()  # closed by `>&-`
    sys.stderr = sys.stderr or io.StringIO()
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Where the terminal's encoding lacks a letter, it is shown by its number.
        sys.stdout.reconfigure(errors="backslashreplace")
    logging.getLogger("vipbench").handlers = [LogHandler()]
    try:
        try:
            _check_arguments(sys.argv[1:])
            sys.exit(run_app(app))
        except VipbenchError as error:
            say(f"error: {error}")
            sys.exit(error.exit_code)
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        # The reader has gone, as in `vipbench ls tasks | head`.
        _leave(1)
    except OSError as error:
        advice = _ADVICE.get(error.errno or 0)
        if advice is None:
            raise
        say(f"error: {error.filename or 'output'}: {error.strerror} · {advice}")
        if error.filename is None:
            _leave(2)
        sys.exit(2)


def _leave(code: int) -> NoReturn:
    """Exit without what waits to be printed: Python would say at exit that it cannot be."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)


def _check_arguments(arguments: Sequence[str]) -> None:
    """Refuse what is not text: file names of that kind cannot be written into JSON files."""
    for argument in arguments:
        if any("\ud800" <= letter <= "\udfff" for letter in argument):
            encoding = sys.getfilesystemencoding()
            raise VipbenchError(f"argument {argument!a}: is not text in {encoding} · rename it")


def _version(value: bool) -> None:
    if value:
        from vipbench._version import __version__

        print(f"vipbench {__version__}")
        raise typer.Exit


@app.callback()
def _top(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    # On a busy machine, threads of OpenMP that spin while they wait are many times slower. It is
    # read when torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
