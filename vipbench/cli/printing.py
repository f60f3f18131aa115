"""How the command line prints: messages, columns, tables, results, pictures."""

import hashlib
import json
import logging
import os
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vipbench.console import INDENT, Console, columns_of, folded, one_line, visible
from vipbench.errors import VipbenchError
from vipbench.report.columns import fold

if TYPE_CHECKING:
    from PIL import Image
    from rich.console import RenderableType

    from vipbench.run.score import Results

BREAKDOWN_AXES = ("shape", "color", "target_color", "target_size", "position")
"""What is printed at the end of a run, where its tasks break down by it; the rest is in files."""
SEPARATOR = " · "
"""Between the parts of an error."""
FILE_COLUMNS = 160
"""Width of a table in a file or a pipe, which may be wider than a terminal's usual 80."""
LONGEST_NAME = 150
"""Bytes of a file's name without its suffix; file systems take 255 in all."""


def say(message: str) -> None:
    """Print one line to stderr, whatever the message holds; above a bar, if one is shown.

    Where that is a terminal, the line is no wider.
    """
    from tqdm import tqdm

    line = _separated(one_line(message))
    tqdm.write(folded(line, columns_of(sys.stderr)), file=sys.stderr)


def _separated(text: str) -> str:
    """Separate the parts of a message by `;` where the terminal's encoding has no `·`."""
    try:
        SEPARATOR.encode(sys.stderr.encoding or "utf-8")
    except UnicodeEncodeError:
        return text.replace(SEPARATOR, "; ")
    return text


CONSOLE = Console(say, shows_bars=True)
"""The console of every command."""


class LogHandler(logging.Handler):
    """Prints what the package logs, as messages are.

    What is logged with `extra={"once": True}` is printed once, however often it is logged.
    """

    def __init__(self) -> None:
        """Have nothing said yet."""
        super().__init__()
        self._said: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record as one line."""
        text = self.format(record)
        if not (getattr(record, "once", False) and text in self._said):
            self._said.add(text)
            say(text)


def put(text: object = "") -> None:
    """Print to stdout what may hold text of others: nothing in it steers the terminal."""
    print(visible(str(text)))


def put_sentence(text: object, *, indent: int = INDENT) -> None:
    """Print one line to stdout; where that is a terminal, no wider than it is."""
    print(folded(one_line(str(text)), columns_of(sys.stdout), indent=indent))


def put_json(value: object, *, ensure_ascii: bool = False) -> None:
    """Print plain data as indented JSON, in which nothing steers the terminal either."""
    text = json.dumps(value, indent=2, ensure_ascii=ensure_ascii)
    print(re.sub(r"[\x7f-\x9f\ud800-\udfff]", lambda match: f"\\u{ord(match[0]):04x}", text))


def verdict(n_errors: int, n_warnings: int = 0) -> str:
    """Write `412 errors, 1 warning`; only the errors where there is nothing else."""
    parts = [f"{n_errors:,} error{'s' * (n_errors != 1)}"]
    if n_warnings:
        parts.append(f"{n_warnings:,} warning{'s' * (n_warnings != 1)}")
    return ", ".join(parts)


def print_columns(rows: Iterable[Sequence[str]]) -> None:
    """Print rows of text as columns: no wider than a terminal, elsewhere each row in one line."""
    table = [tuple(map(one_line, row)) for row in rows]
    for line in fold(table, columns_of(sys.stdout) or sys.maxsize):
        print(line)


def print_tables(*tables: "RenderableType", columns: int = FILE_COLUMNS) -> None:
    """Print tables as wide as the terminal.

    In a file or a pipe they are at most as wide as the variable COLUMNS says, else `columns`.
    """
    from rich.console import Console as Terminal

    is_told = sys.stdout.isatty() or os.environ.get("COLUMNS", "").isdecimal()
    terminal = Terminal(width=None if is_told else columns)
    for table in tables:
        terminal.print(table)


def print_results(results: "Results") -> None:
    """Print the scores of a run, how they depend on the kind of mark, and where they are."""
    from vipbench.report.names import called
    from vipbench.report.terminal import BreakdownTable, run_table
    from vipbench.schema import NO_CONTROLS

    named = {
        "model": called(results.path, results.manifest).name
    }  # rows keep the folder's own name
    rows = [row.model_copy(update=named) for row in results.rows]
    styles = [style for styles in results.manifest.identity.styles.values() for style in styles]
    marked = {style.name for style in styles if style.kind in NO_CONTROLS}
    listed_axes = {axis for task in results.manifest.tasks.values() for axis in task.breakdown}
    axes = [axis for axis in BREAKDOWN_AXES if axis in listed_axes]
    breakdown = BreakdownTable(rows, marked, axes, listed_axes)
    print_tables(run_table(rows), *([breakdown] if breakdown.rows else []))
    put_sentence(f"{results.path}  (`vipbench show {results.path} ID` prints one sample)")


def file_name(text: str) -> str:
    """Replace what may not stand in a file's name, and shorten what is too long for one."""
    name = "".join(c if c.isalnum() or c in "._" else "-" for c in text).strip(".")
    if len(name.encode()) <= LONGEST_NAME:
        return name
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    return f"{name.encode()[: LONGEST_NAME - 9].decode(errors='ignore')}-{digest}"


def save(picture: "Image.Image", path: Path) -> None:
    """Write a picture as PNG; VipbenchError where it cannot be."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        picture.save(path, format="PNG")
    except OSError as error:
        raise VipbenchError(f"{path}: cannot be written ({error.strerror or error})") from error
