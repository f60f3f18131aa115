"""The ledger of an extractor: what it was asked, what it replied, and what that took."""

from contextlib import AbstractContextManager
from pathlib import Path

from pydantic import Field, field_validator

from vipbench import files
from vipbench.endpoints import ledger as ledgers
from vipbench.runfolder.judge_file import Judge
from vipbench.schema import Record

EXTRACTIONS = "extractions.jsonl"
"""The ledger's name in a run folder."""
_ADVICE = files.Advice(
    full="nothing that was read is lost · make room, then give the same command again to resume",
    broken="remove the line: what it says is asked again",
)


class Extraction(Record):
    """One line: what an extractor was asked once, and what came of it."""

    key: str
    """sha256 of the extractor, the question, the options and the text that is read."""
    answer: str | None
    """A letter, or words of the text; `none`: it states no answer; None: no such reply."""
    reason: str | None = None
    """Why there is no answer; None where there is one, or `none`."""
    reply: str | None = None
    """Cut short; None: there was none, so that it is asked again by the next command."""
    model: str | None = None
    """As the server named itself."""
    finish: str | None = None
    """How the reply ended; None: there is none."""
    extractor: Judge
    task: str
    style: str
    id: str
    """Of the sample that was asked; the same question, options and text elsewhere have its key."""
    n_calls: int = Field(ge=0)
    """Requests that were sent, those without a reply included."""
    n_prompt_tokens: int = Field(ge=0)
    n_completion_tokens: int = Field(ge=0)
    n_estimated: int = Field(ge=0)
    """Calls whose tokens the server did not tell; they are estimated."""

    @field_validator("answer", "reason", "reply", "model", mode="before")
    @classmethod
    def _writable(cls, text: object) -> object:
        """Escape what could not be written: what is paid for is never lost."""
        return files.writable(text) if isinstance(text, str) else text

    @property
    def slot(self) -> tuple[str, int]:
        """What it is the outcome of."""
        return self.key, 1

    @property
    def is_complete(self) -> bool:
        """Whether there was a reply, whatever it says: at temperature 0 it would be the same."""
        return self.reply is not None

    @property
    def who(self) -> Judge:
        """Who was asked."""
        return self.extractor

    @property
    def replies(self) -> tuple[str, ...]:
        """The reply, if there was one."""
        return () if self.reply is None else (self.reply,)


Ledger = ledgers.Ledger[Extraction]


def read(path: Path) -> Ledger:
    """Read a ledger without changing it; it may be missing. RunError names a broken line."""
    lines = files.read_lines(path, Extraction, _ADVICE) if path.exists() else ()
    return Ledger(path, lines, _ADVICE)


def opened(path: Path) -> AbstractContextManager[Ledger]:
    """Open a ledger to add to it; see `endpoints.ledger.opened`."""
    return ledgers.opened(path, read)
