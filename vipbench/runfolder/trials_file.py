"""trials_file: part of what was vipbench/runfolder/folder.py."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, overload

from vipbench.files import _lines, parse, read_lines, refused
from vipbench.runfolder.lines import TrialId, trial_id
from vipbench.runfolder.plan import prompt_length
from vipbench.schema import Request, Trial


class Entry(NamedTuple):
    """What is kept in memory of one line of `requests.jsonl`."""

    name: TrialId
    key: str | None
    """None where the sample cannot be asked."""
    length: int
    """Of the prompt: in characters, or as who wrote or opened the file measures it."""
    offset: int
    """Byte at which the line begins."""


class Trials(Sequence[Trial]):
    """The trials of a run, in request order; they stay on the disk, being too many for memory."""

    def __init__(self, path: Path, entries: Sequence[Entry]) -> None:
        self.path = path
        self.entries = entries

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[Trial]:
        return read_lines(self.path, Trial)

    @overload
    def __getitem__(self, place: int) -> Trial: ...

    @overload
    def __getitem__(self, place: slice) -> list[Trial]: ...

    def __getitem__(self, place: int | slice) -> Trial | list[Trial]:
        places = range(len(self))[place]
        return self.read([places])[0] if isinstance(places, int) else self.read(places)

    def read(self, places: Sequence[int]) -> list[Trial]:
        """Read the trials at some places; safe to call from several threads."""
        with self.path.open("rb") as file:
            trials = []
            for place in places:
                file.seek(self.entries[place].offset)
                trials.append(parse(Trial, file.readline(), self.path, place + 1))
        return trials


def write_trials(
    path: Path, trials: Iterable[Trial], length: Callable[[Request], int] = prompt_length
) -> Trials:
    """Write `requests.jsonl`; RunError where the disk refuses."""
    entries: list[Entry] = []
    offset = 0
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            for trial in trials:
                line = trial.model_dump_json().encode() + b"\n"
                file.write(line)
                entries.append(_entry(trial, offset, length))
                offset += len(line)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise refused(path, error) from error
    return Trials(path, entries)


def move_trials(trials: Trials, path: Path) -> Trials:
    """Give the file of trials another name on the same disk; RunError where the disk refuses."""
    try:
        trials.path.replace(path)
    except OSError as error:
        raise refused(path, error) from error
    return Trials(path, trials.entries)


def open_trials(path: Path, length: Callable[[Request], int] = prompt_length) -> Trials:
    """Open the `requests.jsonl` of an earlier run."""
    lines = _lines(path)
    return Trials(path, [_entry(parse(Trial, raw, path, n), at, length) for n, at, raw in lines])


def _entry(trial: Trial, offset: int, length: Callable[[Request], int]) -> Entry:
    request = trial.request
    if request is None:
        return Entry(trial_id(trial), None, 0, offset)
    return Entry(trial_id(trial), request.key, length(request), offset)
