"""Numbers in a sentence, as digits or as English words."""

import re
from collections.abc import Iterator
from typing import NamedTuple

_UNITS = {
    word: value
    for value, word in enumerate(
        (
            *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
            *("ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen"),
            *("seventeen", "eighteen", "nineteen"),
        )
    )
}
_TENS = {
    word: 10 * value
    for value, word in enumerate(
        ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"), start=2
    )
}
_SCALES = {"hundred": 100, "thousand": 1000, "million": 10**6, "dozen": 12}
_SMALL = _UNITS | _TENS

# "the one on the left", "one of them", "no one": no number.
_PRONOUN = re.compile(
    r"(?:\b(?:the|this|that|which|each|every|no|any|some|another|other|first|second|last)[ -]one\b"
    r"|\bone of\b|\bone another\b|\bone's\b)",
    re.IGNORECASE,
)
_TOKEN = re.compile(
    r"(?<![\w.])-?\d{1,3}(?:,\d{3})+(?:\.\d+)?(?![\w])"  # 1,000
    r"|(?<![\w.])-?\d+(?:\.\d+)?(?![\w])"
    rf"|\b(?:{'|'.join((*_SMALL, *_SCALES))})\b",
    re.IGNORECASE,
)


class Number(NamedTuple):
    """A number, and where in the text it stands."""

    value: float
    start: int
    end: int


def numbers(text: str) -> list[Number]:
    """Return the numbers of a text in order: `3`, `1,000`, `two`, `twenty-one`, `two thousand`."""
    text = _PRONOUN.sub(lambda match: " " * len(match[0]), text)
    found: list[Number] = []
    group: list[re.Match[str]] = []
    for match in _TOKEN.finditer(text):
        if group and not _continues(text, group[-1], match):
            found += _values(group)
            group = []
        group.append(match)
    return [*found, *_values(group)]


def value(text: str) -> float | None:
    """Return the number that a whole text is; None where it is anything else."""
    if not _TOKEN.match(text):
        return None  # without a look at all of it
    found = numbers(text)
    is_all = len(found) == 1 and (found[0].start, found[0].end) == (0, len(text))
    return found[0].value if is_all else None


def _continues(text: str, last: re.Match[str], match: re.Match[str]) -> bool:
    """Say whether a word goes on with the number of the one before: "twenty-one", "2 thousand"."""
    between = text[last.end() : match.start()]
    word, before = match[0].lower(), last[0].lower()
    if between in (" ", "-"):
        return word in _SCALES or before in _SCALES or (before in _TENS and _UNITS.get(word, 0) > 0)
    return between.lower() == " and " and before in _SCALES


def _values(group: list[re.Match[str]]) -> Iterator[Number]:
    if not group:
        return
    total, part = 0.0, 0.0
    for match in group:
        word = match[0].lower()
        if word in _SCALES:
            part = max(part, 1) * _SCALES[word]
            if _SCALES[word] >= 1000:  # "two hundred thousand and five"
                total, part = total + part, 0.0
        else:
            part += _SMALL[word] if word in _SMALL else float(word.replace(",", ""))
    yield Number(total + part, group[0].start(), group[-1].end())
