"""What a person hears of work while it is done: messages, and bars that show how far it is."""

import io
import math
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, TextIO, TypeVar

if TYPE_CHECKING:
    from tqdm import tqdm

T = TypeVar("T")

LOG_SECONDS = 10.0
"""Least time between two lines of a log that say how far something is, so that it stays short."""
LOG_SHARE = 0.1
"""Least part of the whole between two such lines, unless a long time has passed."""
LOG_SILENCE = 60.0
"""s; who reads a log of something slow should not take it for dead."""
_STEERING = re.compile(
    r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
"""Controls; signs that turn the direction of a line or break it; lone surrogates."""
_WHOLE = re.compile(
    r"\A *(?:error: )?(?:--?\w[\w-]* )?[~.]{0,2}/[^:]*:(?= )"  # a path, which may hold blanks
    r"|(?:`[^`]*`"
    r"|\bvipbench (?:data fetch \w+|(?:data|demo|judge|ls) [a-z]+|[a-z]+)"
    r"(?: (?:--?\w[\w-]*(?: [^\s-]\S*)?|[A-Z]\S*))*"
    r"|\S)+"
)
"""What stays in one line: words, and what people copy, which is paths and commands."""
INDENT = 2
"""Blanks before the second line of a message, and those below it."""
USUAL_COLUMNS = 80
"""Of a terminal that does not say."""


def visible(text: str) -> str:
    """Show by their numbers the signs that steer a terminal, which data may hold; keep lines.

    So are those that turn the direction of a line, which can make one text look like another, and
    lone surrogates, which no terminal can be sent.
    """
    return _STEERING.sub(lambda match: ascii(match[0])[1:-1], text)


def one_line(text: str) -> str:
    """Show a text in one line."""
    return visible(text).replace("\n", r"\n")


def columns_of(stream: TextIO) -> int | None:
    """Return how wide a terminal is; None: it is none, and lines are as long as they are."""
    if not stream.isatty():
        return None
    told = os.environ.get("COLUMNS", "")
    if told.isdecimal() and int(told):
        return int(told)
    try:
        return os.get_terminal_size(stream.fileno()).columns or USUAL_COLUMNS
    except (OSError, ValueError, AttributeError):
        return USUAL_COLUMNS


def folded(text: str, columns: int | None, *, indent: int = INDENT) -> str:
    """Break a line that is longer than `columns` between words; paths and commands stay whole.

    Args:
        text: One line.
        columns: As `columns_of` returns them.
        indent: Blanks before what follows the first line, beside those that it begins with.
    """
    if columns is None or len(text) <= columns:
        return text
    start = len(text) - len(text.lstrip(" "))
    lines, line, end = [], "", 0
    for match in _WHOLE.finditer(text):
        joined = line + text[end : match.end()]
        if line and len(joined) > columns:
            lines.append(line)
            joined = " " * (start + indent) + match[0]
        line, end = joined, match.end()
    return "\n".join([*lines, line])


def duration(seconds: float) -> str:
    """Write seconds in words."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _ignore(message: str) -> None:
    """Say nothing."""


def _to_stderr(message: str) -> None:
    lines = (folded(line, columns_of(sys.stderr)) for line in visible(message).split("\n"))
    sys.stderr.write("\n".join(lines) + "\n")
    sys.stderr.flush()


class LogBar(Generic[T]):
    """Says how far something is where no terminal shows a bar; is used as tqdm's bars are."""

    is_told = True
    """Whether the last line is written although it is the first one."""

    def __init__(
        self,
        what: str,
        loop: Iterable[T] | None = None,
        *,
        total: int | None = None,
        initial: int = 0,
        unit: str = " samples",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin to count the time; see `Console.bar`."""
        if total is None and isinstance(loop, Sized):
            total = len(loop)
        self.total: int | float | None = total
        self.n: int | float = initial
        self.initial: int | float = initial
        self._what, self._loop, self._unit, self._clock = one_line(what), loop, unit, clock
        self._begin = self._counted_from = self._said_at = clock()
        self._said_n: int | float = initial
        self._more = ""
        self._has_said = self._has_ended = False

    def __enter__(self) -> "LogBar[T]":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[T]:
        with self:
            for item in self._loop or ():
                yield item
                self.update()

    def update(self, n: float = 1) -> None:
        """Count steps, and write a line where it is time."""
        self.n += n
        passed = self._clock() - self._said_at
        share = (self.n - self._said_n) / self.total if self.total else 0
        if passed >= LOG_SILENCE or (passed >= LOG_SECONDS and share >= LOG_SHARE):
            self.refresh()

    def refresh(self) -> None:
        """Write a line, unless nothing has been counted or it is the last one."""
        self._said_at, self._said_n = self._clock(), self.n
        if self.n == self.initial:  # the rate is that of what comes
            self._counted_from = self._said_at
        if self.n != self.initial and not (self.total and self.n >= self.total):
            self._has_said = True
            _to_stderr(self._line("left"))

    def reset(self, total: float | None = None) -> None:
        """Begin again, with another number of steps."""
        self.total, self.n, self.initial = total, 0, 0
        self._begin = self._counted_from = self._said_at = self._clock()
        self._said_n = 0

    def set_postfix(self, values: Mapping[str, object]) -> None:
        """Say this too, at the end of each line."""
        self._more = "".join(f", {one_line(str(key))} {value}" for key, value in values.items())

    def close(self) -> None:
        """Write the last line."""
        if not self._has_ended and (self.is_told or self._has_said):
            _to_stderr(self._line("taken"))
        self._has_ended = True

    def _line(self, time_of: str) -> str:
        now = self._clock()
        passed, done = now - self._counted_from, self.n - self.initial
        parts = [f"{self._what}: {_amount(self.n, self._unit)}"]
        if self.total:
            n = f"{self.n:,}" if self._unit != "B" else _amount(self.n, "B")
            part = int(100 * self.n / self.total)
            parts = [f"{self._what}: {n} of {_amount(self.total, self._unit)} ({part} %)"]
        if passed > 0 and done > 0:
            parts.append(f"{_amount(done / passed, self._unit)}/s")
            if time_of == "left" and self.total:
                left = (self.total - self.n) * passed / done
                parts.append(f"{duration(left)} left")
        if time_of == "taken":
            parts.append(duration(now - self._begin))
        return ", ".join(parts) + self._more


def _amount(n: float, unit: str) -> str:
    """Write `1,250 samples`, `2.5 samples` or `1.2 MB`."""
    if unit != "B":
        return f"{n:,.1f}{unit}" if n % 1 else f"{n:,.0f}{unit}"
    power = min(int(math.log10(n)) // 3, 4) if n >= 1000 else 0
    return f"{n / 1000**power:,.{1 if power else 0}f} {' kMGT'[power].strip()}B"


@dataclass(frozen=True, slots=True)
class Console:
    """Takes messages, and shows bars on stderr if it is asked to; silent by default."""

    say: Callable[[str], None] = _ignore
    """Takes one message, without a line break at its end; from any thread."""
    shows_bars: bool = False
    clock: Callable[[], float] = time.monotonic
    """In seconds; times the lines of a log."""

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

        On a terminal it is a bar. Elsewhere it is a line now and then, and one at the end, so that
        logs hold whole lines and few of them.

        Args:
            what: is done.
            loop: is gone through; None: the caller counts, with `update`.
            total: steps in all; None: those of the loop, or not known.
            initial: steps that were done before.
            unit: of a step; `B` is scaled to kB, MB, and so on.
            leave: whether the bar stays when it is done.
            in_logs: whether a log has its last line however quick it was; not without `leave`.
        """
        if self.shows_bars and not sys.stderr.isatty():
            log = LogBar(what, loop, total=total, initial=initial, unit=unit, clock=self.clock)
            log.is_told = leave and in_logs
            return log  # used as tqdm is
        from tqdm import tqdm  # not needed where there is nothing to show

        return tqdm(
            loop,
            desc=one_line(what),
            total=total,
            initial=initial,
            unit=unit,
            unit_scale=unit == "B",
            leave=leave,
            disable=not self.shows_bars,
            mininterval=0.2,
            dynamic_ncols=True,
        )


STDERR = Console(_to_stderr)
"""Writes lines to stderr: what a worker process takes, which has no other way to be heard."""
QUIET = Console()
"""Says and shows nothing: what functions of Python take where nothing else is given."""


@contextmanager
def hub_bars(what: str, console: Console, total: int | None = None) -> Iterator[dict[str, Any]]:
    """Yield what the library's `snapshot_download` is told about bars.

    On a terminal it draws its own. In a log it counts what arrives, and `console` writes lines.

    Args:
        what: is loaded.
        console: says whether anything is shown.
        total: bytes in all; None: as the library finds out.
    """
    from huggingface_hub.utils.tqdm import disable_progress_bars, enable_progress_bars

    if not console.shows_bars:
        disable_progress_bars()
        try:
            yield {}
        finally:
            enable_progress_bars()
    elif sys.stderr.isatty():
        yield {}
    else:
        bar = console.bar(what, total=total, unit="B", in_logs=False)
        assert isinstance(bar, LogBar)  # not a terminal
        with bar:
            yield {"tqdm_class": _counting(bar)}


def _counting(log: LogBar[Any]) -> type[Any]:
    """Return a class of bars that draw nothing, and move `log` by the bytes that they count.

    Several of them may count the same bytes, on the way and on the disk: the first one leads.
    """
    from tqdm.auto import tqdm

    lock = threading.Lock()
    is_told = log.total is not None

    class Counting(tqdm):  # type: ignore[misc]  # untyped library
        def __init__(self, *args: Any, **options: Any) -> None:
            options.pop("name", None)
            super().__init__(*args, **{**options, "file": io.StringIO(), "disable": False})

        def display(self, *args: Any, **options: Any) -> None:
            """Draw nothing."""

        def update(self, n: float | None = 1) -> bool | None:
            drawn: bool | None = super().update(n)
            with lock:
                if self.unit == "B" and self.n > log.n:
                    log.total = log.total if is_told else self.total
                    log.update(self.n - log.n)
            return drawn

    return Counting
