"""A ledger of grades: append-only, keyed by all that a judge was asked, locked while in use."""

import contextlib
import threading
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path

from pydantic import Field, field_validator

from vipbench import files
from vipbench.digests import digest, facts
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


class Ledger:
    """The grades of a file, in memory and on the disk; safe to append to from several threads."""

    def __init__(self, path: Path, grades: Iterator[Grade]) -> None:
        """Take over the lines that are there; the first complete grade of a run counts."""
        self.path = path
        self._append = threading.Lock()
        self._grades: dict[tuple[str, int], Grade] = {}
        self._lines: list[Grade] = []
        for grade in grades:
            self._keep(grade)

    def add(self, grade: Grade) -> None:
        """Append a line; it is on the disk when this returns. RunError where the disk refuses."""
        with self._append:
            files.append_lines(self.path, [grade], _ADVICE)
            self._keep(grade)

    def get(self, key: str, run: int) -> Grade | None:
        """Return the complete grade of a judge run, or else why the last try gave none."""
        return self._grades.get((key, run))

    def lines(self, keys: Collection[str]) -> list[Grade]:
        """Return all lines of some keys, in the order in which they were written."""
        return [grade for grade in self._lines if grade.key in keys]

    def as_asked(self, judge: Judge) -> Judge:
        """Return a judge with the parameters left out that its server refused the last time."""
        for grade in reversed(self._lines):
            if grade.replies and grade.judge.model_copy(update={"omitted": ()}) == judge:
                return grade.judge
        return judge

    def has_grade_of(self, judge: Judge) -> bool:
        """Say whether a judge has given any grade at all."""
        return any(g.score is not None and g.judge == judge for g in self._grades.values())

    def unused(self, keys: Collection[str], judge: Judge) -> dict[str, int]:
        """Count the grades that are not valid for `keys`, by what they were given for."""
        counts: Counter[str] = Counter()
        for grade in self._grades.values():
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

    def _keep(self, grade: Grade) -> None:
        grade = _read_again(grade)
        self._lines.append(grade)
        known = self._grades.get((grade.key, grade.run))
        if known is None or known.score is None:
            self._grades[grade.key, grade.run] = grade


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


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Ledger]:
    """Open a ledger to add to it, and keep other processes from doing so meanwhile.

    What a crash left of a last line is cut off.

    Raises:
        RunError: Another process grades into it, a line that is not the last is broken, or the
            disk refuses.
    """
    with files.locked_file(path):
        files.cut_torn_line(path)
        yield read(path)
