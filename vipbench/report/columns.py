"""Columns of text in a terminal: what is too wide is folded, and nothing is cut."""

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import zip_longest

GAP = "  "
"""Between two columns."""
NARROWEST = 8
"""Characters that a column keeps, where it has as many."""
BREAKS = "_/:=+-"
"""Signs behind which a name may be broken."""
_PART = re.compile(rf"[{BREAKS}]*[^{BREAKS}]+[{BREAKS}]*|[{BREAKS}]+")
"""What of a word stays together; a sign that it begins with is that of a number, or of a path."""


def fold(table: Sequence[Sequence[str]], width: int) -> Iterator[str]:
    """Yield the lines of a table that is no wider than `width`, if it has room for its columns.

    Columns are made narrower in such a way that as few lines as possible are added.
    """
    columns = [*zip(*table, strict=True)]
    widths = fitted(columns, width - len(GAP) * (len(columns) - 1))
    for row in table:
        wrapped = [wrap(cell, room) for cell, room in zip(row, widths, strict=True)]
        for line in zip_longest(*wrapped, fillvalue=""):
            padded = (part.ljust(room) for part, room in zip(line, widths, strict=True))
            yield GAP.join(padded).rstrip()


def fitted(
    columns: Sequence[Sequence[str]], room: int, least: Sequence[int] | None = None
) -> list[int]:
    """Return how wide each column is, narrower than its text where all have more than `room`.

    Step by step the column is made narrower that this costs the fewest lines; no word is broken as
    long as that is enough, and no column is narrower than `least` (None: than its longest word).
    """
    widths = [natural_width(column) for column in columns]
    least = [longest_part(column) for column in columns] if least is None else least
    heights = [[cell.count("\n") + 1 for cell in column] for column in columns]
    while sum(widths) > room:
        wide = [index for index, each in enumerate(widths) if each > least[index]]
        if not wide and max(least, default=0) <= NARROWEST:
            break
        if not wide:
            least = [NARROWEST] * len(columns)
            continue
        steps = [_step(columns, widths, heights, index, least[index]) for index in wide]
        _, _, index, narrower, lines = min(steps)
        widths[index], heights[index] = narrower, lines
    return _tightened(columns, widths, room)


def _tightened(columns: Sequence[Sequence[str]], widths: Sequence[int], room: int) -> list[int]:
    """Take from each column what its lines leave free; give it to those that are whole then."""
    tight = [
        max((len(line) for cell in column for line in wrap(cell, width)), default=0)
        for column, width in zip(columns, widths, strict=True)
    ]
    for index, column in enumerate(columns):
        natural = natural_width(column)
        if sum(tight) - tight[index] + natural <= room:
            tight[index] = natural
    return tight


def _step(
    columns: Sequence[Sequence[str]],
    widths: Sequence[int],
    heights: Sequence[list[int]],
    index: int,
    least: int,
) -> tuple[int, int, int, int, list[int]]:
    """Return the table's lines with one column made narrower, and by what to choose among such."""
    longest = max(len(part) for cell in columns[index] for part in wrap(cell, widths[index]))
    narrower = max(min(longest, widths[index] - 1), least)
    lines = [len(wrap(cell, narrower)) for cell in columns[index]]
    others = [each for place, each in enumerate(heights) if place != index]
    n_lines = sum(map(max, zip(lines, *others, strict=True))) if others else sum(lines)
    return n_lines, -widths[index], index, narrower, lines


def parts_of(name: str) -> list[str]:
    """Return the parts behind which a name may be broken; together they are the name."""
    return _PART.findall(name)


def natural_width(column: Sequence[str]) -> int:
    """Return how many characters the longest line has."""
    return max((len(line) for cell in column for line in cell.split("\n")), default=0)


def longest_part(column: Sequence[str]) -> int:
    """Return how many characters the longest thing has that is broken for want of room only."""
    parts = (part for cell in column for word in cell.split() for part in parts_of(word))
    return max(map(len, parts), default=0)


@lru_cache(maxsize=20_000)
def wrap(text: str, width: int) -> tuple[str, ...]:
    """Break a text into lines, between words; within one that is longer, behind one of `BREAKS`."""
    return tuple(line for whole in text.split("\n") for line in _wrap(whole, width))


def _wrap(text: str, width: int) -> list[str]:
    if len(text) <= width:
        return [text]  # with the blanks that it begins with
    lines = [""]
    for word in text.split(" "):
        joined = f"{lines[-1]} {word}" if lines[-1] else word
        if len(joined) <= width:
            lines[-1] = joined
            continue
        lines += [""] if lines[-1] else []
        for part in parts_of(word):
            for start in range(0, len(part), width):
                piece = part[start : start + width]
                if len(lines[-1] + piece) > width:
                    lines.append("")
                lines[-1] += piece
    return lines
