"""One line of each file of a run, and what names it."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from vipbench import files
from vipbench.runfolder.folder import RUN_ADVICE, SCORES
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


def trial_id(record: Trial | ResponseLine | ScoreLine) -> TrialId:
    """Return what names a trial, its response and its score."""
    return TrialId(record.task, record.style, record.id)


def write_scores(folder: Path, lines: Iterable[ScoreLine]) -> None:
    """Write `scores.jsonl` of a run, all or none; RunError where the disk refuses."""
    files.write_lines(folder / SCORES, lines, RUN_ADVICE)
