"""answers_file: part of what was vipbench/runfolder/folder.py."""

import os
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from vipbench.errors import RunError
from vipbench.files import _lines, parse, read_lines, refused, sync
from vipbench.runfolder.lines import ResponseLine, TrialId, trial_id
from vipbench.runfolder.trials_file import Trials
from vipbench.schema import Trial

_NOWHERE = -1
"""In place of the byte at which an answer begins, where there is none."""


class Span(NamedTuple):
    """The bytes of some lines in a file."""

    begin: int
    end: int
    """The byte behind the last."""


class WrittenBatch(NamedTuple):
    """A batch in `responses.jsonl`."""

    places: tuple[int, ...]
    """Of its requests in the run, in order."""
    span: Span


def append_responses(path: Path, lines: Sequence[ResponseLine]) -> None:
    """Append the answers of one batch; they are on the disk when this returns."""
    try:
        with path.open("a", encoding="utf-8", newline="\n") as file:
            file.write("".join(line.model_dump_json() + "\n" for line in lines))
            sync(file)
    except OSError as error:
        raise refused(path, error) from error


def resume_responses(path: Path, plan: Sequence[Sequence[int]], trials: Trials) -> set[int]:
    """Return the batches that are answered as a whole, and cut off what a crash left after them.

    Batches are appended one after another, so only the last one can be torn; it is asked again as
    a whole, because in 16 bit an answer depends on its batch.

    Args:
        path: `responses.jsonl`; may be missing.
        plan: the places in `trials` that each batch holds.
        trials: of the run.

    Raises:
        RunError: A line that is not the last is broken, or answers no request of this run.
    """
    if not path.exists():
        return set()
    spans = answered_batches(path, plan, trials)
    end_of_whole = max((span.end for span in spans.values()), default=0)
    try:
        if end_of_whole < path.stat().st_size:
            os.truncate(path, end_of_whole)
    except OSError as error:
        raise refused(path, error) from error
    return set(spans)


def answered_batches(path: Path, plan: Sequence[Sequence[int]], trials: Trials) -> dict[int, Span]:
    """Return where each batch lies that is answered as a whole, in any order.

    Args:
        path: `responses.jsonl`.
        plan: the places in `trials` that each batch holds.
        trials: of the run.

    Raises:
        RunError: A line that is not the last is broken, answers no request of this run, or stands
            apart from the rest of its batch.
    """
    entries = trials.entries
    spans: dict[int, Span] = {}
    missing: dict[TrialId, str | None] = {}
    now, begin = -1, 0
    for number, offset, raw in _lines(path):
        line = parse(ResponseLine, raw, path, number)
        if line.batch != now and not missing and line.batch not in spans:
            now, begin = line.batch, offset
            places = plan[now] if 0 <= now < len(plan) else ()
            missing = {entries[i].name: entries[i].key for i in places}
        if line.batch != now or missing.pop(trial_id(line), None) != line.key:
            raise _foreign(path, number, line)
        if not missing:
            spans[now] = Span(begin, offset + len(raw))
    return spans


def written_batches(path: Path, trials: Trials) -> dict[int, WrittenBatch]:
    """Return what each batch holds, of a run or shard that is finished, in any order.

    Args:
        path: `responses.jsonl`.
        trials: of the run.

    Raises:
        RunError: A line is broken, answers no request of this run, or stands apart from the rest of
            its batch.
    """
    places = {entry.name: place for place, entry in enumerate(trials.entries)}
    batches: dict[int, WrittenBatch] = {}
    now = -1
    for number, offset, raw in _lines(path):
        line = parse(ResponseLine, raw, path, number)
        place = places.get(trial_id(line))
        known = place is not None and trials.entries[place].key == line.key
        if place is None or not known or (line.batch != now and line.batch in batches):
            raise _foreign(path, number, line)
        now, end = line.batch, offset + len(raw)
        begun = batches.get(now, WrittenBatch((), Span(offset, end)))
        batches[now] = WrittenBatch((*begun.places, place), Span(begun.span.begin, end))
    return batches


def _foreign(path: Path, number: int, line: ResponseLine) -> RunError:
    return RunError(
        f"{path}:{number}: holds an answer to {' '.join(trial_id(line))}, which this run does not "
        f"ask in batch {line.batch}, or not there; use --fresh to start over"
    )


class Answered:
    """The trials of a run with their answers; each loop over them reads both from the disk."""

    def __init__(self, trials: Trials, path: Path) -> None:
        """Find the answers in `responses.jsonl`; RunError where it is broken."""
        self.trials = trials
        self.n_missing = 0
        """Requests without an answer."""
        self.has_option_logprobs = False
        """Whether some answer has them."""
        self._path = path
        self._offsets = array("q", [_NOWHERE]) * len(trials)
        places = {entry.name: place for place, entry in enumerate(trials.entries)}
        keys = [entry.key for entry in trials.entries]
        for number, offset, raw in _lines(path) if path.exists() else ():
            line = parse(ResponseLine, raw, path, number)
            place = places.get(trial_id(line))
            if place is not None:
                self._offsets[place] = offset if line.key == keys[place] else _NOWHERE
            self.has_option_logprobs |= line.option_logprobs is not None
        self.n_missing = sum(
            key is not None and offset == _NOWHERE
            for key, offset in zip(keys, self._offsets, strict=True)
        )

    def __iter__(self) -> Iterator[tuple[Trial, ResponseLine | None]]:
        """Yield them in request order; a trial that cannot be asked has no answer."""
        if not self._path.exists():
            yield from ((trial, None) for trial in self.trials)
            return
        with self._path.open("rb") as file:
            for place, trial in enumerate(self.trials):
                offset, answer = self._offsets[place], None
                if offset != _NOWHERE:
                    file.seek(offset)
                    answer = parse(ResponseLine, file.readline(), self._path, place + 1)
                yield trial, answer


def read_responses(path: Path) -> dict[TrialId, ResponseLine]:
    """Read the answers written so far; empty where there are none."""
    if not path.exists():
        return {}
    return {trial_id(line): line for line in read_lines(path, ResponseLine)}
