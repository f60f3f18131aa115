"""`responses.jsonl`: answers, appended a batch at a time, resumed and read."""

import os
from array import array
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError
from pydantic_core import SchemaValidator, core_schema

from vipbench.errors import RunError
from vipbench.files import RawLine, parse_line, raw_lines, sync, write_error
from vipbench.runfolder.bound import hashed
from vipbench.runfolder.folder import RUN_ADVICE
from vipbench.runfolder.lines import ResponseLine, TrialId, is_wanted, trial_id
from vipbench.runfolder.manifest import Written
from vipbench.runfolder.trials_file import Trials
from vipbench.schema import Trial

_NO_ANSWER = -1
"""Stands for the byte at which an answer begins, where there is none."""


class Span(NamedTuple):
    """The bytes of some lines in a file."""

    begin: int
    end: int
    """The byte behind the last."""


class WrittenBatch(NamedTuple):
    """A batch in `responses.jsonl`."""

    indices: tuple[int, ...]
    """Of its requests among the trials of the run, in the order of its lines."""
    span: Span


def append_responses(path: Path, lines: Sequence[ResponseLine]) -> bytes:
    """Append the answers of one batch, and return their bytes, which are on the disk then."""
    content = "".join(line.model_dump_json() + "\n" for line in lines).encode()
    try:
        with path.open("ab") as file:
            file.write(content)
            sync(file)
    except OSError as error:
        raise write_error(path, error, RUN_ADVICE) from error
    return content


class Appending:
    """`responses.jsonl` while it grows: its digest grows along, so that no byte is read again."""

    def __init__(self, path: Path) -> None:
        """Digest what is there of whole batches; RunError where it cannot be read."""
        self._path = path
        self._digest, self._n_bytes = hashed(path)

    def append(self, lines: Sequence[ResponseLine]) -> None:
        """Append the answers of one batch; they are on the disk when this returns."""
        content = append_responses(self._path, lines)
        self._digest.update(content)
        self._n_bytes += len(content)

    @property
    def written(self) -> Written:
        """The part of the file that holds whole batches."""
        return Written(bytes=self._n_bytes, sha256=self._digest.hexdigest())


def resume_responses(path: Path, plan: Sequence[Sequence[int]], trials: Trials) -> set[int]:
    """Return the batches that are answered as a whole, and cut off what a crash left after them.

    Batches are appended one after another, so only the last one can be torn; it is asked again as
    a whole, because in 16 bit an answer depends on its batch.

    Args:
        path: `responses.jsonl`; may be missing.
        plan: the indices of the trials that each batch holds.
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
        raise write_error(path, error, RUN_ADVICE) from error
    return set(spans)


def answered_batches(path: Path, plan: Sequence[Sequence[int]], trials: Trials) -> dict[int, Span]:
    """Return where each batch lies that is answered as a whole, in any order.

    Args:
        path: `responses.jsonl`.
        plan: the indices of the trials that each batch holds.
        trials: of the run.

    Raises:
        RunError: A line that is not the last is broken, answers no request of this run, or stands
            apart from the rest of its batch.
    """
    entries = trials.entries
    spans: dict[int, Span] = {}
    missing: dict[TrialId, str | None] = {}
    batch, begin = -1, 0
    for raw in raw_lines(path, RUN_ADVICE):
        answer = _parse(raw, path)
        if answer.batch != batch and not missing and answer.batch not in spans:
            batch, begin = answer.batch, raw.offset
            indices = plan[batch] if 0 <= batch < len(plan) else ()
            missing = {entries[i].name: entries[i].key for i in indices}
        if answer.batch != batch or missing.pop(trial_id(answer), None) != answer.key:
            raise _foreign(path, raw.number, answer)
        if not missing:
            spans[batch] = Span(begin, raw.offset + len(raw.content))
    return spans


def written_batches(path: Path, trials: Trials, most: int | None = None) -> dict[int, WrittenBatch]:
    """Return what each batch holds, of a run or shard that is finished, in any order.

    Args:
        path: `responses.jsonl`.
        trials: of the run.
        most: only the first so many batches of the plan, which are finished; None: all.

    Raises:
        RunError: A line is broken, answers no request of this run, or stands apart from the rest of
            its batch.
    """
    indices = {entry.name: index for index, entry in enumerate(trials.entries)}
    batches: dict[int, WrittenBatch] = {}
    batch = -1
    for raw in raw_lines(path, RUN_ADVICE):
        answer = _parse(raw, path)
        if most is not None and answer.batch >= most:
            continue
        index = indices.get(trial_id(answer))
        is_asked = index is not None and trials.entries[index].key == answer.key
        is_apart = answer.batch != batch and answer.batch in batches
        if index is None or not is_asked or is_apart:
            raise _foreign(path, raw.number, answer)
        batch, end = answer.batch, raw.offset + len(raw.content)
        begun = batches.get(batch, WrittenBatch((), Span(raw.offset, end)))
        batches[batch] = WrittenBatch((*begun.indices, index), Span(begun.span.begin, end))
    return batches


def _parse(raw: RawLine, path: Path) -> ResponseLine:
    """Read a line; RunError where it is broken, or has not one of text and error."""
    answer = parse_line(ResponseLine, raw, path, RUN_ADVICE)
    if (answer.text is None) == (answer.error is None):
        what = "text and error" if answer.error is not None else "neither text nor error"
        raise RunError(
            f"{path}:{raw.number}: the answer to {' '.join(trial_id(answer))} has {what} · "
            f"expected exactly one of them · {RUN_ADVICE.broken}"
        )
    return answer


def _foreign(path: Path, number: int, answer: ResponseLine) -> RunError:
    return RunError(
        f"{path}:{number}: holds an answer to {' '.join(trial_id(answer))}, which this run does "
        f"not ask in batch {answer.batch}, or not there · {RUN_ADVICE.broken}"
    )


def _twice(path: Path, raw: RawLine) -> RunError:
    """Make the error for a second answer to a request."""
    here = _parse(raw, path)
    earlier = ((other.number, _parse(other, path)) for other in raw_lines(path, RUN_ADVICE))
    number, there = next(each for each in earlier if trial_id(each[1]) == trial_id(here))
    how = "the same text as" if here.text == there.text else "another text than"
    return RunError(
        f"{path}:{raw.number}: answers {' '.join(trial_id(here))} again, with {how} line "
        f"{number} · expected one answer to each request · {RUN_ADVICE.broken}"
    )


class _Found(NamedTuple):
    """What a line answers."""

    name: TrialId
    key: str
    has_option_logprobs: bool


def _found(answer: ResponseLine) -> _Found:
    return _Found(trial_id(answer), answer.key, answer.option_logprobs is not None)


_NAMES = ("task", "style", "id", "key")
_MAY_LACK = ("text", "error", "option_logprobs")
_GLANCE = SchemaValidator(
    core_schema.typed_dict_schema(
        {name: core_schema.typed_dict_field(core_schema.str_schema()) for name in _NAMES}
        | {
            name: core_schema.typed_dict_field(core_schema.any_schema(), required=False)
            for name in _MAY_LACK
        }
    )
)


def _glance(raw: RawLine, path: Path) -> _Found:
    """Look at what a line answers; RunError as by `_parse`, where that cannot be seen."""
    try:
        plain = _GLANCE.validate_json(raw.content)
    except ValidationError:
        return _found(_parse(raw, path))
    text, error, logprobs = (plain.get(name) for name in _MAY_LACK)
    if (text is None) == (error is None):
        return _found(_parse(raw, path))
    name = TrialId(plain["task"], plain["style"], plain["id"])
    return _Found(name, plain["key"], logprobs is not None)


class Located(NamedTuple):
    """Where the answers of a run lie, as this process and its copies tell them apart."""

    numbers: "array[int]"
    """What stands for the request that each line answers; see `_number`."""
    offsets: "array[int]"
    """Byte at which each line begins."""
    has_option_logprobs: bool
    """Whether some answer has them."""


def locate(path: Path) -> Located:
    """Look at what each line of `responses.jsonl` answers, in a process that knows no request yet.

    Raises:
        RunError: A line is broken.
    """
    numbers, offsets = array("q"), array("q")
    has_option_logprobs = False
    for raw in raw_lines(path, RUN_ADVICE):
        found = _glance(raw, path)
        numbers.append(_number(found.name, found.key))
        offsets.append(raw.offset)
        has_option_logprobs |= found.has_option_logprobs
    return Located(numbers, offsets, has_option_logprobs)


def _number(name: TrialId, key: str | None) -> int:
    """Return 64 bits, of this process and its copies only, that stand for a request."""
    return hash((*name, key))


class Answered:
    """The trials of a run with their answers; each loop over them reads both from the disk."""

    def __init__(
        self,
        trials: Trials,
        path: Path,
        *,
        are_read: bool = False,
        is_stopped: bool = False,
        located: Located | None = None,
    ) -> None:
        """Find the answers in `responses.jsonl`.

        Args:
            trials: of the run.
            path: `responses.jsonl`.
            are_read: All answers are read next, so that what is in a line can be looked at then:
                now only which request it answers, and whether it has a text, an error and
                probabilities.
            is_stopped: What has no answer was left out on purpose; a loop over the trials passes
                it over.
            located: What `locate` has found, if that is known; None: the file is looked through.

        Raises:
            RunError: A line is broken, stands twice, or answers no request of this run.
        """
        self.trials = trials
        self.n_missing = 0
        """Requests without an answer."""
        self.has_option_logprobs = False
        """Whether some answer has them."""
        self._path, self._is_stopped = path, is_stopped
        self._offsets = array("q", [_NO_ANSWER]) * len(trials)
        if located is None or not self._place(located):
            self._find(are_read=are_read)
        self.n_missing = sum(
            entry.key is not None and offset == _NO_ANSWER
            for entry, offset in zip(trials.entries, self._offsets, strict=True)
        )

    def _find(self, *, are_read: bool) -> None:
        """Look through the file for the answer to each trial."""
        entries = self.trials.entries
        self._offsets = array("q", [_NO_ANSWER]) * len(entries)
        indices = {entry.name: index for index, entry in enumerate(entries)}
        for raw in raw_lines(self._path, RUN_ADVICE) if self._path.exists() else ():
            found = _glance(raw, self._path) if are_read else _found(_parse(raw, self._path))
            index = indices.get(found.name)
            if index is None or found.key != entries[index].key:
                raise _foreign(self._path, raw.number, _parse(raw, self._path))
            if self._offsets[index] != _NO_ANSWER:
                raise _twice(self._path, raw)
            self._offsets[index] = raw.offset
            self.has_option_logprobs |= found.has_option_logprobs

    def _place(self, located: Located) -> bool:
        """Take what was found; False where anything is not as it should be, which `_find` names."""
        entries = self.trials.entries
        indices = {_number(entry.name, entry.key): index for index, entry in enumerate(entries)}
        if len(indices) < len(entries):
            return False
        for number, offset in zip(located.numbers, located.offsets, strict=True):
            index = indices.get(number)
            if index is None or self._offsets[index] != _NO_ANSWER:
                return False
            self._offsets[index] = offset
        self.has_option_logprobs = located.has_option_logprobs
        return True

    def __iter__(self) -> Iterator[tuple[Trial, ResponseLine | None]]:
        """Yield them in request order; a trial that cannot be asked has no answer."""
        return self.span(0, len(self.trials))

    def span(self, begin: int, end: int) -> Iterator[tuple[Trial, ResponseLine | None]]:
        """Yield those of the trials from one index on, and before another one."""
        trials = self.trials.span(begin, end)
        if not self._path.exists():
            yield from ((trial, None) for trial in trials)
            return
        with self._path.open("rb") as file:
            place = 0
            for index, trial in enumerate(trials, begin):
                offset, answer = self._offsets[index], None
                if self._is_stopped and offset == _NO_ANSWER:
                    continue
                if offset != _NO_ANSWER:
                    if offset != place:  # seeking would read what is in memory already again
                        file.seek(offset)
                    content = file.readline()
                    place = offset + len(content)
                    try:
                        answer = ResponseLine.model_validate_json(content)
                    except ValidationError:
                        answer = self._parsed(offset)
                yield trial, answer

    def _parsed(self, offset: int) -> ResponseLine:
        """Read the line at an offset; RunError, with its number, where it is broken."""
        lines = raw_lines(self._path, RUN_ADVICE)
        return _parse(next(raw for raw in lines if raw.offset == offset), self._path)


def read_responses(
    path: Path, wanted: Callable[[str], bool] | None = None
) -> dict[TrialId, ResponseLine]:
    """Read the answers written so far; empty where there are none.

    Args:
        path: `responses.jsonl`.
        wanted: says by the id of a sample whether its answers are; None: all are.

    Raises:
        RunError: A line is broken, or stands twice.
    """
    answers: dict[TrialId, ResponseLine] = {}
    for raw in raw_lines(path, RUN_ADVICE) if path.exists() else ():
        if wanted is not None and not is_wanted(raw.content, wanted):
            continue
        answer = _parse(raw, path)
        name = trial_id(answer)
        if name in answers:
            raise _twice(path, raw)
        answers[name] = answer
    return answers
