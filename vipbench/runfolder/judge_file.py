"""Who graded a run, as its `judge.json` says: what makes two grades comparable."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from pydantic import ConfigDict, Field, ValidationError

from vipbench import files
from vipbench.errors import RunError, first_mistake
from vipbench.runfolder.folder import JUDGE
from vipbench.schema import Record

JUDGE_METRIC = "judge"
"""Mean grade of a language model; all other metrics are computed here."""
ZEROS_METRIC = "judge_zeros"
"""The same, where replies that are no grade count 0, as in the published evaluator."""
JUDGE_METRICS = (JUDGE_METRIC, ZEROS_METRIC)
"""Those that depend on who graded."""
UNKNOWN_JUDGE = "unknown"


class Judge(Record):
    """What makes two grades comparable: a grade of one judge is never used for another."""

    FIRST_FIELDS = frozenset({"temperature", "max_tokens"})

    model: str
    """As it is asked for."""
    prompt_digest: str
    """sha256 of the prompt's text, without the sample's part."""
    temperature: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    max_tokens: int = Field(default=3, ge=1)
    """Of a reply."""
    reasoning_tokens: int = Field(default=0, ge=0)
    """Room for what a judge thinks before its reply."""
    extra_body: str | None = None
    """Further fields of each request, as canonical JSON; None: there are none."""
    omitted: tuple[str, ...] = ()
    """Parameters that the server refuses, sorted: its own defaults hold."""


class GradedBy(NamedTuple):
    """Who graded a run; grades share a column, and are subtracted, where all of it is equal."""

    judge: Judge
    names: tuple[str, ...]
    """As the server named itself, sorted; as it was asked for where it did not."""

    @property
    def label(self) -> str:
        """The judge's name for readers, which prompt and parameters are not part of."""
        return ", ".join(self.names)


class _Report(Record):
    """The keys of `judge.json` that say who graded."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    judge: Judge | None = None
    models_returned: dict[str, int] = Field(default={})


def read_graded_by(folder: Path) -> GradedBy | None:
    """Read who graded a run; None where its folder does not say. RunError if the file is broken."""
    path = folder / JUDGE
    if not path.exists():
        return None
    try:
        report = _Report.model_validate(files.read_json(path))
    except ValidationError as error:
        raise RunError(f"{path}: {first_mistake(error)} · judge the run again") from error
    if report.judge is None:
        return None
    return GradedBy(report.judge, tuple(sorted(report.models_returned)) or (report.judge.model,))


def judge_labels(graders: Iterable[GradedBy | None]) -> dict[GradedBy | None, str]:
    """Name several judges so that no two have one name; None, who is not known, among them.

    Judges of one name are told apart by what they were asked with.
    """
    unique = list(dict.fromkeys(graders))
    labels: dict[GradedBy | None, str] = {}
    for graded_by in unique:
        if graded_by is None:
            labels[None] = UNKNOWN_JUDGE
            continue
        alike = [other.judge for other in unique if other and other.label == graded_by.label]
        parts = [
            _shown(name, getattr(graded_by.judge, name))
            for name in Judge.model_fields
            if len({getattr(judge, name) for judge in alike}) > 1
        ]
        labels[graded_by] = ", ".join([graded_by.label, *parts])
    return labels


def _shown(name: str, value: object) -> str:
    if name == "prompt_digest":
        return f"prompt {str(value)[:8]}"
    if name == "omitted":
        return f"without {', '.join(value)}" if isinstance(value, tuple) and value else "with all"
    if name == "extra_body":
        return "no extra_body" if value is None else f"extra_body {value}"
    return f"asked for as {value}" if name == "model" else f"{name} {value}"
