"""A run folder: append, resume, read.

`manifest.json`: what was run. `requests.jsonl`: one Trial a line, in request order.
`responses.jsonl`: one answer a line, appended a batch at a time. `scores.jsonl`: one score a line,
in request order. `summary.json`: rows of metrics. `judge.json`: who graded it, where anybody did.
Only one process writes.
"""

import contextlib
import errno
import json
import os
import sys
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, NamedTuple, NoReturn, TypeVar, overload

from pydantic import ValidationError

from vipbench.errors import RunError
from vipbench.runfolder.plan import prompt_length
from vipbench.schema import Record, Request, Response, Tags, Trial, Visibility

MANIFEST = "manifest.json"
REQUESTS = "requests.jsonl"
RESPONSES = "responses.jsonl"
SCORES = "scores.jsonl"
SUMMARY = "summary.json"
FILES = (MANIFEST, REQUESTS, RESPONSES, SCORES, SUMMARY)
JUDGE = "judge.json"
"""In the folder of a run that was judged, beside its ledger of grades."""

LineT = TypeVar("LineT", bound=Record)

START_OVER = "use --fresh to start over"

_NOWHERE = -1
"""In place of the byte at which an answer begins, where there is none."""
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class TrialId(NamedTuple):
    """What names one line in each file of a run."""

    task: str
    style: str
    id: str


class _Named(Record):
    task: str
    style: str
    id: str
    key: str
    """Of the request that was answered."""
    batch: int
    """Place of its batch in the plan."""


class ResponseLine(Response, _Named):
    """One line of `responses.jsonl`: which request was answered, and how."""

    visibility: tuple[Visibility, ...] | None = None
    """What was left of each mark in the image that the model saw; None where it saw none."""


class ScoreLine(Record):
    """One line of `scores.jsonl`: all that a table, a test or a comparison needs."""

    task: str
    style: str
    id: str
    metric: str
    """The headline metric, or another one: each has its line."""
    value: float | None
    """0-1; None where the sample is an error, or has no grade."""
    answer: str | None
    """As parsed; None where it could not be, or where the sample is an error."""
    target: str
    group: str
    """The cluster of the sample: its image."""
    tags: Tags
    truncated: bool
    """The text ended because `max_new_tokens` was reached."""
    error: str | None
    ungraded: str | None = None
    """Why a judge has given no grade, or the runner no probabilities of options; the answer itself
    is no error then."""
    margin: float | None = None
    """Of metric `option_argmax`: how far the likeliest option is ahead of the second, as the
    difference of natural logarithms, 2 decimals; in a joint task the smallest of its parts. None:
    another metric, not known, or the second is impossible."""
    agrees: bool | None = None
    """Of metric `option_argmax`: whether the text answers with the likeliest option; in a joint
    task in all of its parts. None as above."""
    n_marks_lost: int | None = None
    """Marks of which the model saw nothing, and below those of which it saw a part; in a joint task
    those of all parts. None: not known, since no image was loaded."""
    n_marks_cut: int | None = None


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
                trials.append(_parse(Trial, file.readline(), self.path, place + 1))
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
        raise _refused(path, error) from error
    return Trials(path, entries)


def move_trials(trials: Trials, path: Path) -> Trials:
    """Give the file of trials another name on the same disk; RunError where the disk refuses."""
    try:
        trials.path.replace(path)
    except OSError as error:
        raise _refused(path, error) from error
    return Trials(path, trials.entries)


def open_trials(path: Path, length: Callable[[Request], int] = prompt_length) -> Trials:
    """Open the `requests.jsonl` of an earlier run."""
    lines = _lines(path)
    return Trials(path, [_entry(_parse(Trial, raw, path, n), at, length) for n, at, raw in lines])


def _entry(trial: Trial, offset: int, length: Callable[[Request], int]) -> Entry:
    request = trial.request
    if request is None:
        return Entry(trial_id(trial), None, 0, offset)
    return Entry(trial_id(trial), request.key, length(request), offset)


def trial_id(record: Trial | ResponseLine | ScoreLine) -> TrialId:
    """Return what names a trial, its response and its score."""
    return TrialId(record.task, record.style, record.id)


def append_responses(path: Path, lines: Sequence[ResponseLine]) -> None:
    """Append the answers of one batch; they are on the disk when this returns."""
    try:
        with path.open("a", encoding="utf-8", newline="\n") as file:
            file.write("".join(line.model_dump_json() + "\n" for line in lines))
            _sync(file)
    except OSError as error:
        raise _refused(path, error) from error


def append_lines(path: Path, records: Sequence[Record]) -> None:
    """Append records as JSON lines, all or none; they are on the disk when this returns."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        size = path.stat().st_size if path.exists() else 0
        try:
            with path.open("a", encoding="utf-8", newline="\n") as file:
                file.write("".join(record.model_dump_json() + "\n" for record in records))
                _sync(file)
        except OSError:
            os.truncate(path, size)  # or the next line would begin within this one
            raise
    except OSError as error:
        raise _refused(path, error) from error


def cut_torn_line(path: Path) -> None:
    """Remove what a crash left of a last line; a missing file is left missing."""
    if not path.exists():
        return
    whole = 0
    for _, offset, raw in _lines(path):
        whole = offset + len(raw)
    try:
        if whole < path.stat().st_size:
            os.truncate(path, whole)
    except OSError as error:
        raise _refused(path, error) from error


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
        raise _refused(path, error) from error
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
        line = _parse(ResponseLine, raw, path, number)
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
        line = _parse(ResponseLine, raw, path, number)
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
            line = _parse(ResponseLine, raw, path, number)
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
                    answer = _parse(ResponseLine, file.readline(), self._path, place + 1)
                yield trial, answer


def read_responses(path: Path) -> dict[TrialId, ResponseLine]:
    """Read the answers written so far; empty where there are none."""
    if not path.exists():
        return {}
    return {trial_id(line): line for line in read_lines(path, ResponseLine)}


def read_lines(path: Path, kind: type[LineT], advice: str = START_OVER) -> Iterator[LineT]:
    """Yield the records of a JSON-lines file but a torn last one; RunError names a broken line."""
    return (_parse(kind, raw, path, number, advice) for number, _, raw in _lines(path))


def read_json(path: Path) -> object:
    """Read a JSON file; RunError where it is missing or broken."""

    def refuse(constant: str) -> NoReturn:
        raise ValueError(f"{constant} is no number in JSON")

    try:
        value: object = json.loads(path.read_bytes(), parse_constant=refuse)
    except OSError as error:
        raise _unreadable(path, error) from error
    except (ValueError, RecursionError) as error:  # the latter for thousands of brackets
        raise RunError(f"{path}: not JSON ({error}); use --fresh to start over") from error
    return value


def write_lines(path: Path, records: Iterable[Record]) -> None:
    """Write records as JSON lines, all or none: a crash leaves the former file."""
    write_text(path, (record.model_dump_json() + "\n" for record in records))


def write_json(path: Path, value: object) -> None:
    """Write plain data as indented JSON, all or none."""
    write_text(path, (json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False), "\n"))


def write_text(path: Path, parts: Iterable[str]) -> None:
    """Write text in UTF-8, all or none; RunError where the disk refuses."""
    write_bytes(path, (part.encode() for part in parts))


def write_bytes(path: Path, parts: Iterable[bytes]) -> None:
    """Write a file, all or none; RunError where the disk refuses."""
    draft = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with draft.open("wb") as file:
            file.writelines(parts)
            _sync(file)
        draft.replace(path)
    except OSError as error:
        raise _refused(path, error) from error
    finally:
        with contextlib.suppress(OSError):
            draft.unlink()  # unless it has its name


def remove_run(folder: Path) -> None:
    """Remove the files of a run from its folder, and nothing else.

    The ledger of grades stays: each of them was paid for, and is valid for its answer only.
    """
    check_own(folder)
    try:
        for name in (*FILES, JUDGE):
            (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise _refused(folder, error) from error


def check_own(folder: Path) -> None:
    """Refuse a folder whose `manifest.json` is not that of a run, such as a web page's."""
    path = folder / MANIFEST
    if not path.is_file():
        return
    try:
        content = read_json(path)
    except RunError:
        return  # a broken one may be a run's
    if not (isinstance(content, dict) and "run_id" in content):
        raise RunError(f"{path}: is not the manifest of a run; give another -o")


@contextlib.contextmanager
def made(folder: Path) -> Iterator[None]:
    """Make a folder and its parents; those that are still empty at the end are removed again."""
    missing: list[Path] = []
    try:
        try:
            missing = [each for each in (folder, *folder.parents) if not each.exists()]
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _refused(folder, error) from error
        yield
    finally:
        for each in missing:
            with contextlib.suppress(OSError):  # it holds something
                each.rmdir()


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep a second process out of a run folder, until this one ends; RunError if there is one.

    A folder that does not exist is made, as by `made`.
    """
    with made(folder), _lock(folder):
        yield


@contextlib.contextmanager
def locked_file(path: Path) -> Iterator[None]:
    """Keep a second process from appending to a file, which is made where it is missing.

    RunError if there is one, or where the disk refuses.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.open("a").close()
    except OSError as error:
        raise _refused(path, error) from error
    with _lock(path):
        yield


@contextlib.contextmanager
def _lock(place: Path) -> Iterator[None]:
    """Lock a folder or a file."""
    if sys.platform == "win32":
        yield
        return
    import fcntl  # not on Windows

    try:
        handle = os.open(place, os.O_RDONLY)
    except OSError as error:
        raise _refused(place, error) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(handle)
        raise RunError(f"{place}: another process runs in it; wait for its end") from error
    except OSError:
        pass  # a network disk without locks
    try:
        yield
    finally:
        os.close(handle)


def _lines(path: Path) -> Iterator[tuple[int, int, bytes]]:
    """Yield number, offset and bytes of each line that was written to its end."""
    offset = 0
    try:
        with path.open("rb") as file:
            for number, raw in enumerate(file, 1):
                if not raw.endswith(b"\n"):
                    return
                yield number, offset, raw
                offset += len(raw)
    except OSError as error:
        raise _unreadable(path, error) from error


def _parse(
    kind: type[LineT], line: bytes, path: Path, number: int, advice: str = START_OVER
) -> LineT:
    try:
        return kind.model_validate_json(line)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(map(str, first["loc"]))
        raise RunError(
            f"{path}:{number}: {key + ': ' if key else ''}{first['msg']}; expected a "
            f"{kind.__name__}; {advice}"
        ) from error


def _sync(file: IO[str] | IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())


def _unreadable(path: Path, error: OSError) -> RunError:
    if isinstance(error, FileNotFoundError):
        return RunError(f"{path}: does not exist; expected the folder of a started run")
    return RunError(f"{path}: cannot be read ({error.strerror})")


def _refused(path: Path, error: OSError) -> RunError:
    if error.errno in _FULL:
        return RunError(
            f"{path}: cannot be written ({error.strerror}); nothing that was answered is lost: "
            "make room, then give the same command again to go on"
        )
    if isinstance(error, FileExistsError | NotADirectoryError):
        file = next((each for each in (path, *path.parents) if each.is_file()), path)
        return RunError(f"{file}: is no folder; expected one, or a new name")
    return RunError(
        f"{path}: cannot be written ({error.strerror}); expected a folder that takes new files; "
        "name another"
    )
