"""Calls of the command line, in this process or in one of their own, and what came of them."""

import contextlib
import logging
import os
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import IO, NamedTuple

from vipbench import cli

REPO = Path(__file__).resolve().parents[2]
LAUNCH = "from vipbench.cli import main; main()"


class Ran(NamedTuple):
    """What a call of the command line did."""

    code: int | str | None
    """The exit code; None: it ended with a traceback, or not at all."""
    out: str
    err: str
    trace: str = ""
    """The traceback of what a user must never see."""


def call(argv: Sequence[str], folder: Path) -> Ran:
    """Run a command in this process, in a folder, as `vipbench` would."""
    before = Path.cwd()
    handlers = logging.getLogger("vipbench").handlers
    with tempfile.TemporaryFile("w+", encoding="utf-8") as out, _stderr() as err:
        code: int | str | None = None
        trace = ""
        was = sys.argv
        try:
            os.chdir(folder)
            sys.argv = ["vipbench", *argv]
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                cli.main()
        except SystemExit as end:
            code = end.code or 0
        except BaseException as error:  # noqa: BLE001  # whatever it is, it is what is looked for
            trace = "".join(traceback.format_exception(error))
        finally:
            sys.argv = was
            os.chdir(before)
            logging.getLogger("vipbench").handlers = handlers
        return Ran(code, _read(out), _read(err), trace)


def _stderr() -> IO[str]:
    return tempfile.TemporaryFile("w+", encoding="utf-8", errors="backslashreplace")


def _read(file: IO[str]) -> str:
    file.flush()
    file.seek(0)
    return file.read()


def call_alone(argv: Sequence[str], folder: Path, seconds: float) -> Ran:
    """Run a command in a process of its own; a code of None: it did not end in time."""
    environ = {**os.environ, "PYTHONPATH": str(REPO), "PYTHONFAULTHANDLER": "1"}
    try:
        ended = subprocess.run(
            [sys.executable, "-c", LAUNCH, *argv],
            cwd=folder,
            env=environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=seconds,
        )
    except subprocess.TimeoutExpired:
        return Ran(None, "", "", f"did not end in {seconds:g} s")
    out, err = (each.decode("utf-8", "replace") for each in (ended.stdout, ended.stderr))
    is_trace = "Traceback (most recent call last)" in err or ended.returncode < 0
    return Ran(ended.returncode, out, err, err if is_trace else "")
