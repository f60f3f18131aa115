"""`vipbench ls runs`: what runs there are, how far they have come, and what came of them."""

import os
import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from vipbench.cli.printing import put, say
from vipbench.console import one_line
from vipbench.errors import RunError

if TYPE_CHECKING:
    from vipbench.report.names import Called
    from vipbench.runfolder.summary import Row

COLUMNS = 80
"""Width in a file or a pipe."""
WIDEST = (12, 25, 11)
"""Of step, score and time, in characters; names and states have the rest."""
SHORT_NAME, SHORT_STATE = 20, 10
"""Characters that a name leaves to a state, and a state to a name, where there are few."""
GAP, INDENT = "  ", "    "
NONE = "-"


class _Listed(NamedTuple):
    """One run of a list, in words."""

    called: "Called"
    score: str
    state: str
    changed: str
    """When: UTC, ISO 8601."""
    tasks: str
    """What the score is of: task and metric."""


def list_runs(folder: Path | None) -> None:
    """Print the runs in a folder and in the folders there that are none, last changed first.

    One that cannot be read is named on stderr.

    Raises:
        RunError: There is no such folder.
    """
    from vipbench.run.claim import RUNS

    root = RUNS if folder is None else folder
    if folder is not None and not folder.is_dir():
        raise RunError(f"{folder}: no such folder · expected one that holds run folders · list one")
    found: list[tuple[Path, _Listed]] = []
    for path in _run_folders(root):
        try:
            found.append((path, _listed(path)))
        except RunError as error:
            say(str(error))
    if not found:
        put(f"no runs in {root}")
        return
    found.sort(key=lambda each: each[1].changed, reverse=True)  # stable: by name within a second
    put(f"runs in {root}, last changed first:")
    _print(found)


def _run_folders(root: Path) -> Iterator[Path]:
    """Yield the folder itself where it is a run, else those in it, and those in folders in it."""
    from vipbench.runfolder.folder import MANIFEST

    def is_run(path: Path) -> bool:
        # Not by the file alone: a link that leads nowhere is to be named.
        return os.path.lexists(path / MANIFEST)

    if is_run(root):
        yield root
        return
    for path in sorted(root.glob("*")):
        if is_run(path):
            yield path
        elif path.is_dir():
            yield from (inside for inside in sorted(path.glob("*")) if is_run(inside))


def _listed(folder: Path) -> _Listed:
    from vipbench.report.names import called
    from vipbench.runfolder import manifest as manifests
    from vipbench.runfolder.progress import last_change, progress, states
    from vipbench.runfolder.summary import read_headlines

    manifest = manifests.read(folder)
    known = progress(folder, manifest)
    headlines: dict[str, Row] = {}
    if known.is_finished and manifest.shard is None:
        try:
            headlines = read_headlines(folder, manifest)
        except RunError as error:  # the run is listed, without a number
            say(str(error))
    identity = manifest.identity
    is_subset = identity.limit is not None or bool(identity.ids)
    is_subset |= any(row.n_asked < row.n_expected for row in headlines.values())
    return _Listed(
        called=called(folder, manifest),
        score=_score(next(iter(headlines.values()), None)),
        state=", ".join(states(manifest, known, is_subset=is_subset)),
        changed=last_change(folder, manifest),
        tasks=_tasks([*headlines] or list(manifest.tasks), next(iter(headlines.values()), None)),
    )


def _score(row: "Row | None") -> str:
    """Write the headline number of a run's first task, with its style: some show no marks."""
    from vipbench.report.text import percent

    if row is None or row.accuracy is None:
        return NONE
    return f"{row.style} {percent(row.accuracy)}"


def _tasks(names: Sequence[str], row: "Row | None") -> str:
    """Name the task and the metric that the number is of, and count the other tasks."""
    metric = f" {row.metric}" if row is not None and row.accuracy is not None else ""
    return f"{names[0]}{metric}" + (f" +{len(names) - 1}" if len(names) > 1 else "")


def _print(found: Sequence[tuple[Path, _Listed]]) -> None:
    """Print two lines a run: what it is called and what came of it; below, where it lies.

    Nothing is cut off: what is too wide goes on in the next line.
    """
    from vipbench.report.names import display_names

    total = shutil.get_terminal_size().columns if sys.stdout.isatty() else COLUMNS
    names = display_names([run.called for _, run in found])
    newest = found[0][1].changed
    cells = [("name", "step", "score", "changed", "state")]
    for name, (_, run) in zip(names, found, strict=True):
        step = NONE if run.called.step is None else str(run.called.step)
        cells.append((name, step, run.score, _minute(run.changed, newest), run.state))
    table = [tuple(map(one_line, row)) for row in cells]
    widths = _widths([max(map(len, column)) for column in zip(*table, strict=True)], total)
    wheres = ["", *(f"{path} · {run.tasks}" for path, run in found)]
    for cells_of_run, where in zip(table, wheres, strict=True):
        wrapped = [_wrapped(cell, width) for cell, width in zip(cells_of_run, widths, strict=True)]
        for line in zip_longest(*wrapped, fillvalue=""):
            padded = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
            put(GAP.join(padded).rstrip())
        for below in _wrapped(one_line(where), total - len(INDENT)) if where else ():
            put(INDENT + below)


def _widths(longest: Sequence[int], total: int) -> list[int]:
    """Return the widths of the columns, so that a line has at most `total` characters."""
    name, *middle, state = longest
    middle = [min(have, most) for have, most in zip(middle, WIDEST, strict=True)]
    room = total - sum(middle) - len(GAP) * (len(longest) - 1)
    state = min(state, max(SHORT_STATE, room - min(name, SHORT_NAME)))
    return [min(name, max(1, room - state)), *middle, state]


def _wrapped(text: str, width: int) -> list[str]:
    """Break a text into lines, at spaces as far as there are any."""
    return textwrap.wrap(text, width, break_on_hyphens=False) or [""]


def _minute(time: str, newest: str) -> str:
    """Write a time of ISO 8601 short: of another year than the newest, the day alone."""
    return time[5:16].replace("T", " ") if time[:4] == newest[:4] else time[:10]
