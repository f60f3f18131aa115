"""A ledger of questions that were paid for: append-only, on the disk before the next is asked."""

import contextlib
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from pydantic import Field

from vipbench import files
from vipbench.endpoints.meter import Limits
from vipbench.schema import Record


class Paid(Protocol):
    """One line: what a question was, who was asked, what came of it and what it took."""

    @property
    def key(self) -> str:
        """Digest of all that the outcome depends on."""

    @property
    def slot(self) -> tuple[str, int]:
        """What it is the outcome of: a key, and how many times it was asked for on purpose."""

    @property
    def is_complete(self) -> bool:
        """Whether it is not asked for again."""

    @property
    def who(self) -> Any:
        """A record of who was asked, whose `omitted` are the parameters that the server refuses."""

    @property
    def replies(self) -> Sequence[str]:
        """All replies in order, cut short."""

    @property
    def n_calls(self) -> int:
        """Requests that were sent."""

    @property
    def n_prompt_tokens(self) -> int:
        """Tokens, like the next one."""

    @property
    def n_completion_tokens(self) -> int:
        """Reasoning included."""

    @property
    def n_estimated(self) -> int:
        """Calls whose tokens the server did not tell."""


Line = TypeVar("Line", bound=Paid)
Who = TypeVar("Who", bound=Record)


class Ledger(Generic[Line]):
    """The lines of a file, in memory and on the disk; safe to append to from several threads."""

    def __init__(self, path: Path, lines: Iterable[Line], advice: files.Advice) -> None:
        """Take over the lines that are there; the first complete one of a slot counts."""
        self.path = path
        self._advice = advice
        self._append = threading.Lock()
        self._at: dict[tuple[str, int], Line] = {}
        self._lines: list[Line] = []
        for line in lines:
            self._keep(line)

    def add(self, line: Line) -> None:
        """Append a line; it is on the disk when this returns. RunError where the disk refuses."""
        with self._append:
            files.append_lines(self.path, [line], self._advice)  # type: ignore[list-item]
            self._keep(line)

    def at(self, slot: tuple[str, int]) -> Line | None:
        """Return the complete line of a slot, or else why the last try gave none."""
        return self._at.get(slot)

    def lines(self, keys: Collection[str]) -> list[Line]:
        """Return all lines of some keys, in the order in which they were written."""
        return [line for line in self._lines if line.key in keys]

    def as_asked(self, who: Who) -> Who:
        """Return who is asked, without the parameters that the server refused the last time."""
        for line in reversed(self._lines):
            if line.replies and line.who.model_copy(update={"omitted": ()}) == who:
                known: Who = line.who
                return known
        return who

    def has_result_of(self, who: Record) -> bool:
        """Say whether somebody has given any complete line."""
        return any(line.is_complete and line.who == who for line in self._at.values())

    def _keep(self, line: Line) -> None:
        self._lines.append(line)
        known = self._at.get(line.slot)
        if known is None or not known.is_complete:
            self._at[line.slot] = line


Book = TypeVar("Book")


@contextlib.contextmanager
def opened(path: Path, read: Callable[[Path], Book]) -> Iterator[Book]:
    """Open a ledger to add to it, and keep other processes from doing so meanwhile.

    What a crash left of a last line is cut off.

    Raises:
        RunError: Another process adds to it, a line that is not the last is broken, or the disk
            refuses.
    """
    with files.locked_file(path):
        files.cut_torn_line(path)
        yield read(path)


class Spent(Record):
    """Calls, tokens and money."""

    n_calls: int = 0
    n_retries: int = 0
    """Calls beyond the first for the same sample and judge run."""
    n_prompt_tokens: int = 0
    n_completion_tokens: int = 0
    n_estimated: int = 0
    """Calls whose tokens the server did not tell; they are estimated."""
    dollars: float | None = Field(default=None)
    """None without a price."""


def spent(lines: Sequence[Paid], limits: Limits) -> Spent:
    """Add up what lines have taken, at the prices of some limits."""
    n_prompt = sum(line.n_prompt_tokens for line in lines)
    n_completion = sum(line.n_completion_tokens for line in lines)
    n_calls = sum(line.n_calls for line in lines)
    asked = {line.slot for line in lines if line.n_calls}
    return Spent(
        n_calls=n_calls,
        n_retries=n_calls - len(asked),
        n_prompt_tokens=n_prompt,
        n_completion_tokens=n_completion,
        n_estimated=sum(line.n_estimated for line in lines),
        dollars=limits.cost(n_prompt, n_completion),
    )
