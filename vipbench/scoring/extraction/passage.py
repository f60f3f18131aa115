"""A cleaned text, cut into the lines and sentences that rule `stated` reads."""

import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from vipbench.scoring.extraction.cleaning import REMEMBERED

_LISTED_OPTION = re.compile(r"(?i:option |image |select )?[(\[]?([A-Z])(?:[)\].:]|$| - )")
_ENDS = ".!?:;)]}\"'\u3002"
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[\"'(\[A-Z])")


@dataclass(frozen=True)
class Passage:
    """A text in lines and sentences; none of them is empty."""

    lines: tuple[str, ...]
    in_list: tuple[bool, ...]
    """Of each line: whether it and a neighbour begin with different letters, as options do."""
    enumerated: bool
    """There is such a list anywhere."""
    sentences: tuple[str, ...]
    origin: tuple[int, ...]
    """Of each sentence: the line that it begins in."""
    completed: Mapping[int, tuple[str, str]]
    """Sentence -> the line that ends without its end, and the line that it took with it."""

    def is_listed(self, place: int) -> bool:
        """Say whether a sentence stands in a list of options, or before the end of one.

        What stands there repeats the question, or looks at one option after the other. A last
        sentence that does not open its line concludes.
        """
        line = self.origin[place]
        is_last = place > 0 and place == len(self.sentences) - 1
        concludes = is_last and self.origin[place - 1] == line and self.is_whole(place)
        return any(self.in_list[line:]) and not concludes

    def is_whole(self, place: int) -> bool:
        """Say whether a sentence has an end, or breaks off where the answer was cut."""
        return self.sentences[place][-1] in _ENDS


@lru_cache(maxsize=REMEMBERED)
def split(text: str) -> Passage:
    """Cut a text into lines and sentences.

    A sentence that ends with a colon, or in the middle, takes the next line with it, unless a list
    follows: "The correct answer is:" is nothing without "(B)".
    """
    lines = [line for raw in text.split("\n") if (line := raw.strip())]
    labels = [match[1] if (match := _LISTED_OPTION.match(line)) else None for line in lines]
    pairs = itertools.pairwise(labels)
    differs = [bool(first and second and first != second) for first, second in pairs]
    neighbours = zip([*differs, False], [False, *differs], strict=True)
    sentences: list[str] = []
    origin: list[int] = []
    completed: dict[int, tuple[str, str]] = {}
    place = 0
    while place < len(lines):
        line, start = lines[place], place
        follows_list = labels[place + 1 : place + 3].count(None) == 0 and place + 2 < len(lines)
        takes_next = line.endswith((":", " is")) and place + 1 < len(lines) and not follows_list
        if takes_next:
            line = f"{line} {lines[place + 1]}"
            place += 1
        parts = [part for raw in _SENTENCE_END.split(line) if (part := raw.strip())]
        sentences += parts
        if takes_next:
            completed[len(sentences) - 1] = (lines[place - 1], lines[place])
        origin += [start] * len(parts)
        place += 1
    return Passage(
        lines=tuple(lines),
        in_list=tuple(before or after for before, after in neighbours),
        enumerated=any(differs),
        sentences=tuple(sentences),
        origin=tuple(origin),
        completed=completed,
    )


def first_sentence(text: str) -> str:
    """Return the first sentence of a text; empty for an empty one."""
    return _SENTENCE_END.split(text)[0] if text else ""


def last_sentence(text: str) -> str:
    """Return the last sentence of a text; empty for an empty one."""
    return _SENTENCE_END.split(text)[-1] if text else ""
