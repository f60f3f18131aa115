"""The texts of a choice's options, as they stand in the text that the model was sent."""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from vipbench.schema import Request


def option_texts(request: Request) -> dict[str, str]:
    """Return letter -> text of a request's options; empty where the text does not list them.

    The last list counts: an earlier turn, or an earlier list, holds options of another question.
    Found in the text, since that is what the model read, and what old run folders hold too.
    """
    letters = request.options
    if not letters:
        return {}
    found = _last_list(letters, request.turns[-1])
    return dict(zip(letters, found or [""] * len(letters), strict=True))


def _last_list(letters: tuple[str, ...], text: str) -> list[str] | None:
    """Return what stands behind each letter in the last lines that begin with all of them."""
    labels = list(_labels(letters, text))
    for place in range(len(labels) - 1, -1, -1):
        if labels[place].letter != letters[0]:
            continue
        texts: list[str] = []
        end = labels[place].end
        rest = iter(labels[place + 1 :])
        for letter in letters[1:]:
            label = next((each for each in rest if each.letter == letter), None)
            if label is None:
                break
            texts.append(text[end : label.start].strip())
            end = label.end
        else:
            return [*texts, text[end:].split("\n", 1)[0].strip()]
    return None


class _Label(NamedTuple):
    """A letter that a line begins with."""

    letter: str
    start: int
    end: int


def _labels(letters: tuple[str, ...], text: str) -> Iterator[_Label]:
    """Yield the labels of a text in order."""
    pattern = _label(letters)
    place = 0
    for line in text.split("\n"):
        if match := pattern.match(line):
            yield _Label(match[1] or match[2], place, place + match.end())
        place += len(line) + 1


@lru_cache
def _label(letters: tuple[str, ...]) -> re.Pattern[str]:
    """Return the pattern of `A. `, `A) ` or `(A) ` for some letters."""
    either = "|".join(map(re.escape, letters))
    return re.compile(rf"[ \t]*(?:({either})[.):]|\(({either})\))[ \t]+")
