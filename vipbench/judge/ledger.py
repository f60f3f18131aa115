"""A ledger of grades: append-only, keyed by all that a judge was asked, locked while in use."""

from collections import Counter
from collections.abc import Collection, Iterable
from contextlib import AbstractContextManager
from pathlib import Path

from pydantic import Field, field_validator

from vipbench import files
from vipbench.digests import digest, facts
from vipbench.endpoints import ledger as ledgers
from vipbench.judge.reading import parse_grade
from vipbench.runfolder.judge_file import GradedBy, Judge, judge_labels
from vipbench.schema import Record

GRADES = "grades.jsonl"
"""The ledger's name in a run folder."""
NO_LONGER = "no grade by the rule of today:"
"""What the reason of a grade begins with that an earlier version took a reply for."""
_ADVICE = files.Advice(
    full="nothing that was graded is lost · make room, then give the same command again to resume",
    broken="remove the line: what it graded is asked again",
)


class Grade(Record):
    """One line: how often one sample was asked in one judge run, and what came of it."""

    key: str
    """sha256 of judge, question, answer and prediction."""
    run: int = Field(ge=1)
    """Number of the judge run."""
    score: float | None = Field(ge=0, le=1)
    """None: no grade, so that it is asked again by the next command that names the judge."""
    reason: str | None = None
    """Why there is no grade; None where there is one."""
    replies: tuple[str, ...] = ()
    """All replies in order, cut short; the last one holds the score."""
    model: str | None = None
    """As the server named itself in the last reply."""
    finish: str | None = None
    """How the last reply ended, as `Reply.finish`; None: there is none, or it was not written
    down."""
    judge: Judge
    task: str
    style: str
    id: str
    """Of the sample that was asked; the same question, answer and prediction elsewhere has the
    same key."""
    n_calls: int = Field(ge=0)
    """Requests that were sent, those without a reply included."""
    n_prompt_tokens: int = Field(ge=0)
    n_completion_tokens: int = Field(ge=0)
    n_estimated: int = Field(ge=0)
    """Calls whose tokens the server did not tell; they are estimated."""

    @property
    def slot(self) -> tuple[str, int]:
        """What the grade is for: a key and a judge run."""
        return self.key, self.run

    @property
    def is_complete(self) -> bool:
        """Whether there is a grade."""
        return self.score is not None

    @property
    def who(self) -> Judge:
        """Who graded."""
        return self.judge

    @field_validator("reason", "model", mode="before")
    @classmethod
    def _writable(cls, text: object) -> object:
        """Escape what could not be written: a grade that is paid for is never lost."""
        return files.writable(text) if isinstance(text, str) else text

    @field_validator("replies", mode="before")
    @classmethod
    def _writable_replies(cls, replies: object) -> object:
        """Escape what could not be written, in each reply."""
        return tuple(map(cls._writable, replies)) if isinstance(replies, tuple) else replies


def grade_key(judge: Judge, question: str, answer: str, prediction: str) -> str:
    """Return what a grade is valid for."""
    return digest([facts(judge), question, answer, prediction])


class Ledger(ledgers.Ledger[Grade]):
    """The grades of a file; the first complete grade of a judge run counts."""

    def __init__(self, path: Path, grades: Iterable[Grade]) -> None:
        """Take over the lines that are there."""
        super().__init__(path, grades, _ADVICE)

    def get(self, key: str, run: int) -> Grade | None:
        """Return the complete grade of a judge run, or else why the last try gave none."""
        return self.at((key, run))

    def unused(self, keys: Collection[str], judge: Judge) -> dict[str, int]:
        """Count the grades that are not valid for `keys`, by what they were given for."""
        counts: Counter[str] = Counter()
        for grade in self._at.values():
            if grade.key in keys or grade.score is None:
                continue
            if grade.judge.model != judge.model:
                counts[f"judge {grade.judge.model}"] += 1
            elif grade.judge.prompt_digest != judge.prompt_digest:
                counts[f"prompt {grade.judge.prompt_digest[:12]}"] += 1
            elif grade.judge != judge:
                labels = judge_labels([GradedBy(each, ("",)) for each in (judge, grade.judge)])
                named = labels[GradedBy(grade.judge, ("",))].removeprefix(", ")
                counts[f"other parameters ({named})"] += 1
            else:
                counts["other questions, answers or predictions"] += 1
        return dict(sorted(counts.items()))

    def _keep(self, line: Grade) -> None:
        super()._keep(_read_again(line))


def _read_again(grade: Grade) -> Grade:
    """Return a line without its grade where its reply is none by the rule that is in force now.

    Lines without `finish` were written when a number at the start of a reply was a grade, and one
    that was cut was not told from one that was whole.
    """
    if grade.score is None or grade.finish is not None or not grade.replies:
        return grade
    last = grade.replies[-1]
    is_full = grade.n_completion_tokens >= grade.n_calls * grade.judge.max_tokens
    is_started = is_full and last.strip() in ("0", "1")
    if parse_grade(last) == grade.score and not is_started:
        return grade
    return grade.model_copy(update={"score": None, "reason": f"{NO_LONGER} {last!r}"})


def read(path: Path) -> Ledger:
    """Read a ledger without changing it; it may be missing. RunError names a broken line."""
    lines = files.read_lines(path, Grade, _ADVICE) if path.exists() else iter(())
    return Ledger(path, lines)


def opened(path: Path) -> AbstractContextManager[Ledger]:
    """Open a ledger to add to it; see `endpoints.ledger.opened`."""
    return ledgers.opened(path, read)
