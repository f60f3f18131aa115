"""One line of each file of a run, and what names it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple, TypedDict, cast

from pydantic import Field, ValidationError
from pydantic_core import SchemaSerializer, SchemaValidator, core_schema

from vipbench.files import parse_line, raw_lines
from vipbench.schema import (
    AnswerState,
    Record,
    Response,
    SparseRecord,
    Tags,
    Trial,
    Visibility,
    state_of,
)

if TYPE_CHECKING:
    from pydantic_core import CoreConfig, CoreSchema

Extracted = Literal["read", "none", "unread"]
"""It named an answer, said that there is none, or gave a reply that is neither."""


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
    """Index of its batch in the plan."""


class ResponseLine(Response, _Named):
    """One line of `responses.jsonl`: which request was answered, and how."""

    visibility: tuple[Visibility, ...] | None = None
    """What was left of each mark in the image that the model saw; None where it saw none."""


class ScoreLine(SparseRecord):
    """One line of `scores.jsonl`: all that a table, a test or a comparison needs."""

    SPARSE = frozenset({"state", "extracted"})

    task: str
    style: str
    id: str
    metric: str
    """The headline metric, or another one: each has its line."""
    value: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None
    """0-1; None where the sample is an error, was filtered, or has no grade."""
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
    is not an error then."""
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
    state: AnswerState = Field(default_factory=state_of)
    """As in the response; `failed` where there is none."""
    extracted: Extracted | None = None
    """What a model that was asked for an unread answer has replied; None: it was not asked."""


def _plain_serializer() -> SchemaSerializer:
    """Return what writes score lines with all of their keys.

    Leaving some out by a function of Python's takes four times as long as writing the line.
    """
    schema = {k: v for k, v in ScoreLine.__pydantic_core_schema__.items() if k != "serialization"}
    config = cast("CoreConfig", ScoreLine.model_config)
    return SchemaSerializer(cast("CoreSchema", schema), config)


_SCORES = _plain_serializer()
_LEFT_OUT = {
    (True, True): {"state", "extracted"},
    (True, False): {"state"},
    (False, True): {"extracted"},
    (False, False): set[str](),
}
"""Keys that a line leaves out, `ScoreLine.SPARSE`, by whether `state` and `extracted` say
nothing."""


def encoded(line: ScoreLine) -> bytes:
    """Return a line as it stands in the file: what `model_dump_json` returns, with its end."""
    left_out = _LEFT_OUT[line.state == state_of(vars(line)), line.extracted is None]
    return _SCORES.to_json(line, exclude=left_out) + b"\n"


class Valued(TypedDict):
    """What tables need of a score line."""

    task: str
    style: str
    id: str
    metric: str
    value: float | None
    group: str
    tags: Tags


_STR = core_schema.str_schema()
_VALUED = SchemaValidator(
    core_schema.typed_dict_schema(
        {
            name: core_schema.typed_dict_field(schema)
            for name, schema in {
                **dict.fromkeys(("task", "style", "id", "metric", "group"), _STR),
                "value": core_schema.nullable_schema(core_schema.float_schema(ge=0, le=1)),
                "tags": core_schema.dict_schema(_STR, core_schema.tuple_variable_schema(_STR)),
            }.items()
        }
    )
)


def read_values(path: Path) -> Iterator[Valued]:
    """Yield what tables need of each line of a `scores.jsonl` that was found to be the run's.

    In half of the time that all of a line takes. RunError names a line that cannot be read.
    """
    for raw in raw_lines(path):
        try:
            yield _VALUED.validate_json(raw.content)
        except ValidationError:
            line = parse_line(ScoreLine, raw, path)
            yield Valued(
                task=line.task,
                style=line.style,
                id=line.id,
                metric=line.metric,
                value=line.value,
                group=line.group,
                tags=line.tags,
            )


_ID = SchemaValidator(
    core_schema.typed_dict_schema({"id": core_schema.typed_dict_field(core_schema.str_schema())})
)
"""Reads the id of a line and passes over the rest, in a fifth of the time that all of it takes."""


def is_wanted(line: bytes, wanted: Callable[[str], bool]) -> bool:
    """Say by its id whether a line is wanted; one without is, so that its reader refuses it."""
    try:
        return wanted(_ID.validate_json(line)["id"])
    except ValidationError:
        return True


def trial_id(record: Trial | ResponseLine | ScoreLine) -> TrialId:
    """Return what names a trial, its response and its score."""
    return TrialId(record.task, record.style, record.id)


class Sharing:
    """Makes score lines that are kept in memory share what is equal in them: a third is left.

    That is their texts but the ids, their tags, and pydantic's notes of which keys they had.
    """

    _TEXTS = ("task", "style", "metric", "answer", "target", "group", "error", "ungraded")

    def __init__(self) -> None:
        self._texts: dict[str | None, str | None] = {}
        self._tags: dict[tuple[tuple[str, tuple[str, ...]], ...], Tags] = {}
        self._keys: dict[frozenset[str], set[str]] = {}

    def kept(self, line: ScoreLine) -> ScoreLine:
        """Return a line, which nobody else has seen yet, to be kept."""
        fields = vars(line)
        for name in self._TEXTS:
            fields[name] = self._texts.setdefault(fields[name], fields[name])
        fields["tags"] = self._tags.setdefault(tuple(line.tags.items()), line.tags)
        keys = line.__pydantic_fields_set__
        object.__setattr__(
            line, "__pydantic_fields_set__", self._keys.setdefault(frozenset(keys), keys)
        )
        return line
