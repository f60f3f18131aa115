"""`requests.jsonl`: the trials of a run, written once and read where they lie."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple, overload

from pydantic import ValidationError
from pydantic_core import SchemaValidator, core_schema

from vipbench.environment import without_collection
from vipbench.files import RawLine, parse_line, raw_lines, read_lines, sync, write_error
from vipbench.runfolder.folder import RUN_ADVICE
from vipbench.runfolder.lines import TrialId, trial_id
from vipbench.runfolder.plan import prompt_length
from vipbench.runfolder.sharing import Beginnings
from vipbench.schema import Request, Trial


class Entry(NamedTuple):
    """What is kept in memory of one line of `requests.jsonl`."""

    name: TrialId
    key: str | None
    """None where the sample cannot be asked."""
    length: int
    """Of the prompt: in characters, or as whoever wrote or opened the file measures it."""
    offset: int
    """Byte at which the line begins."""
    segment: int = 0
    """As in the trial."""
    group: int = -1
    """What `Beginnings` calls what it has in common with others; -1: it is not known."""


class RawTrials(NamedTuple):
    """Some lines of `requests.jsonl` as they stand there, which any process can understand."""

    path: Path
    lines: list[RawLine]

    def parse(self) -> list[Trial]:
        """Return the trials; RunError where a line is broken."""
        return [parse_line(Trial, line, self.path, RUN_ADVICE) for line in self.lines]


class Trials(Sequence[Trial]):
    """The trials of a run, in request order; they stay on the disk, being too many for memory."""

    def __init__(
        self, path: Path, entries: Sequence[Entry], beginnings: Beginnings | None = None
    ) -> None:
        self.path = path
        self.entries = entries
        self.beginnings = beginnings
        """What they have in common; None: that is not known."""

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[Trial]:
        return self.span(0, len(self))

    def span(self, begin: int, end: int) -> Iterator[Trial]:
        """Yield the trials from one index on, and before another one."""
        if begin >= end:
            return iter(())
        offset = self.entries[begin].offset
        trials = read_lines(self.path, Trial, RUN_ADVICE, first=begin + 1, offset=offset)
        return islice(trials, end - begin)

    @overload
    def __getitem__(self, index: int) -> Trial: ...

    @overload
    def __getitem__(self, index: slice) -> list[Trial]: ...

    def __getitem__(self, index: int | slice) -> Trial | list[Trial]:
        indices = range(len(self))[index]
        return self.read([indices])[0] if isinstance(indices, int) else self.read(indices)

    def read(self, indices: Sequence[int]) -> list[Trial]:
        """Read some trials by their indices; safe to call from several threads."""
        return self.read_raw(indices).parse()

    def read_raw(self, indices: Sequence[int]) -> RawTrials:
        """Read the lines of some trials by their indices; safe to call from several threads."""
        lines = []
        with self.path.open("rb") as file:
            for index in indices:
                offset = self.entries[index].offset
                file.seek(offset)
                lines.append(RawLine(index + 1, offset, file.readline()))
        return RawTrials(self.path, lines)


def write_trials(
    path: Path,
    trials: Iterable[Trial],
    length: Callable[[Request], int] = prompt_length,
    group: Callable[[Trial, Request], int] | None = None,
    beginnings: Beginnings | None = None,
) -> Trials:
    """Write `requests.jsonl`.

    Args:
        path: of the file.
        trials: of a run.
        length: measures a prompt.
        group: counts what a trial has in common with others; None: that is not looked for.
        beginnings: where it is counted.

    Raises:
        RunError: The disk refuses.
    """
    entries: list[Entry] = []
    offset = 0
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            for trial in trials:
                line = trial.model_dump_json().encode() + b"\n"
                file.write(line)
                entry = _entry(trial, offset, length)
                if group is not None and trial.request is not None:
                    entry = entry._replace(group=group(trial, trial.request))
                entries.append(entry)
                offset += len(line)
            sync(file)
    except OSError as error:
        raise write_error(path, error, RUN_ADVICE) from error
    return Trials(path, entries, beginnings)


def move_trials(trials: Trials, path: Path) -> Trials:
    """Give the file of trials another name on the same disk; RunError where the disk refuses."""
    try:
        trials.path.replace(path)
    except OSError as error:
        raise write_error(path, error, RUN_ADVICE) from error
    return Trials(path, trials.entries, trials.beginnings)


def open_trials(path: Path, length: Callable[[Request], int] = prompt_length) -> Trials:
    """Open the `requests.jsonl` of an earlier run."""
    entries = []
    for line in raw_lines(path, RUN_ADVICE):
        entries.append(_entry(parse_line(Trial, line, path, RUN_ADVICE), line.offset, length))
    return Trials(path, entries)


_NAMES = SchemaValidator(
    core_schema.typed_dict_schema(
        {
            **{
                name: core_schema.typed_dict_field(core_schema.str_schema())
                for name in TrialId._fields
            },
            "request": core_schema.typed_dict_field(
                core_schema.nullable_schema(
                    core_schema.typed_dict_schema(
                        {"key": core_schema.typed_dict_field(core_schema.str_schema())}
                    )
                ),
                required=False,
            ),
        }
    )
)
"""Reads what names a trial, and passes over the rest in a fraction of the time that it takes."""


def open_names(path: Path) -> Trials:
    """Open the `requests.jsonl` of an earlier run for somebody who reads all of its trials next.

    Of a line only the names and the key are looked at; the rest is when it is read. The entries
    tell neither a length nor a segment.

    Raises:
        RunError: A line has no names, or no key where it has a request.
    """
    with without_collection():
        return Trials(path, list(_named_entries(path)))


def _named_entries(path: Path) -> Iterator[Entry]:
    for line in raw_lines(path, RUN_ADVICE):
        try:
            found = _NAMES.validate_json(line.content)
        except ValidationError:
            trial = parse_line(Trial, line, path, RUN_ADVICE)  # says what is wrong
            yield _entry(trial, line.offset, prompt_length)
            continue
        request = found.get("request")
        name = TrialId(found["task"], found["style"], found["id"])
        yield Entry(name, request and request["key"], 0, line.offset)


def _entry(trial: Trial, offset: int, length: Callable[[Request], int]) -> Entry:
    request = trial.request
    if request is None:
        return Entry(trial_id(trial), None, 0, offset, trial.segment)
    return Entry(trial_id(trial), request.key, length(request), offset, trial.segment)
