"""What a person hears of work while it is done: messages, and bars that show how far it is."""

import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from tqdm import tqdm

T = TypeVar("T")

LOG_SECONDS = 10
"""Between two states of a bar where no terminal shows it, so that a log stays short."""
_STEERING = re.compile(
    r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
"""Controls; signs that turn the direction of a line or break it; lone surrogates."""


def visible(text: str) -> str:
    """Show by their numbers the signs that steer a terminal, which data may hold; keep lines.

    So are those that turn the direction of a line, which can make one text look like another, and
    lone surrogates, which no terminal can be sent.
    """
    return _STEERING.sub(lambda match: ascii(match[0])[1:-1], text)


def one_line(text: str) -> str:
    """Show a text in one line."""
    return visible(text).replace("\n", r"\n")


def _ignore(message: str) -> None:
    """Say nothing."""


@dataclass(frozen=True, slots=True)
class Console:
    """Takes messages, and shows bars on stderr if it is asked to; silent by default."""

    say: Callable[[str], None] = _ignore
    """Takes one message, without a line break at its end; from any thread."""
    shows_bars: bool = False

    def bar(
        self,
        what: str,
        loop: Iterable[T] | None = None,
        *,
        total: int | None = None,
        initial: int = 0,
        unit: str = " samples",
        leave: bool = True,
        in_logs: bool = True,
    ) -> "tqdm[T]":
        """Show how far a loop is, with rate and time left.

        Args:
            what: is done.
            loop: is gone through; None: the caller counts, with `update`.
            total: steps in all; None: those of the loop, or not known.
            initial: steps that were done before.
            unit: of a step; `B` is scaled to kB, MB, and so on.
            leave: whether the bar stays when it is done.
            in_logs: whether it is shown, now and then, where stderr is not a terminal.
        """
        from tqdm import tqdm  # not needed where there is nothing to show

        is_terminal = sys.stderr.isatty()
        return tqdm(
            loop,
            desc=one_line(what),
            total=total,
            initial=initial,
            unit=unit,
            unit_scale=unit == "B",
            leave=leave,
            disable=not self.shows_bars or not (in_logs or is_terminal),
            mininterval=0.2 if is_terminal else LOG_SECONDS,
            dynamic_ncols=True,
        )


def _to_stderr(message: str) -> None:
    sys.stderr.write(f"{visible(message)}\n")


STDERR = Console(_to_stderr)
"""Writes lines to stderr: what a worker process takes, which has no other way to be heard."""
QUIET = Console()
"""Says and shows nothing: what functions of Python take where nothing else is given."""
