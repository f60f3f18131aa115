"""The options of a question, and where a text names one of them."""

import functools
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from vipbench.scoring.extraction.numbers import numbers, value

NOUNS = (
    r"option|choice|answer|letter|labell?ed(?: as| with)?|point|box|picture|image|figure|marked"
    r"|circle|object|region|number"
)
"""A capital letter after one of these is no article and no initial."""

_PAREN = re.compile(r"[(\[] ?([A-Z]) ?[)\]]")
_AFTER_NOUN = re.compile(rf"\b(?i:{NOUNS}) ?[\"'(\[]{{0,3}} ?([A-Z])\b(?!'[a-z])")
# "B is right", "C seems to be the correct one"
_JUDGED = re.compile(
    r"(?<![\w'.])([A-Z])\b(?= (?:is|seems|appears|looks)(?: to be)?(?: the)?"
    r" (?:correct|right|best (?:answer|choice|option))\b)"
)
# "the answer is b", where a sentence ends
_SMALL = re.compile(r"\b(?i:answer|option|choice)(?: is:?|:) ?[(\[]?([a-z])[)\]]?(?=\W*$)")
_QUOTED = re.compile(r"[\"'] ?[(\[]?([A-Z])[)\]]? ?[.,]?[\"']")
_AFTER_IS = re.compile(
    r"(?:\bis|\bbe|:|=|\bchoose|\bselect|\bpick|\banswer) ?[:=]? ?([A-Z])"
    r"(?=\s?(?:[.,;:!)\]]|$|-|\())"
)
# "A, B and C", "A than B": letters that explain each other.
_LISTED = re.compile(
    r"(?<![\w'])([A-Z])(?:, ?(?:and |or )?| (?:and|or|than|to|with) (?:(?i:point|box|option|picture"
    r"|image) )?)(?=[(\"']?([A-Z])(?![\w']))"
)
STANDING = re.compile(r"(?<![\w'.])([A-Z])(?![\w'])(?! [a-z])")
"""A capital letter that is a word, before no plain word, where it would be an article."""
_ONLY_LETTER = re.compile(
    r"(?:(?:option|choice|answer|point|box|picture) ?:? ?)?[(\[]? ?([A-Za-z]) ?[)\].:]*",
    re.IGNORECASE,
)
_LETTER_AND_TEXT = re.compile(r"[(\[]? ?([A-Z]) ?[)\].:,]+ ?(\S.*)", re.DOTALL)
TRANSLATIONS = {
    **dict.fromkeys(
        ("\u662f", "\u662f\u7684", "\u5bf9", "\u306f\u3044", "\ub124", "\uc608"), "yes"
    ),
    **dict.fromkeys(
        ("\u5426", "\u4e0d", "\u4e0d\u662f", "\u3044\u3044\u3048", "\uc544\ub2c8\uc694"), "no"
    ),
    **dict.fromkeys(("\u5de6", "\u5de6\u8fb9", "\u5de6\u4fa7", "\uc67c\ucabd"), "left"),
    **dict.fromkeys(("\u53f3", "\u53f3\u8fb9", "\u53f3\u4fa7", "\uc624\ub978\ucabd"), "right"),
}
"""Whole answers in Chinese, Japanese and Korean, which models fall back to."""
_LABELLED = re.compile(
    r"\b((?i:first|second|third|fourth|fifth|sixth)) (\w{1,20}) [(\[]([A-Z])[)\]]"
)
_THE_NTH = re.compile(r"the (\w+) (\w+)")
_ASCII_CASES = str.maketrans("\u0130\u0131\u017f\u212a", "iisk")
"""The letters beyond ASCII that `re.IGNORECASE` takes for letters of it."""
LONGEST_UNKNOWN = 60
"""Characters of an option's text, where its text is not known."""
_EDGES = ".!,;:\"' \n\u3002"


class Read(NamedTuple):
    """What a short string is: an option, or (None) a letter beside the text of another option."""

    letter: str | None


CONFLICT = Read(None)


class Mentions(NamedTuple):
    """The options that a passage names."""

    letters: frozenset[str]
    odd: frozenset[str]
    """Capital letters that stand where an option would, but are none."""


@dataclass(frozen=True)
class Options:
    """The options of a question with their compiled patterns; see `compile_options`."""

    letters: tuple[str, ...]
    texts: Mapping[str, str]
    """Letter -> text, case-folded; without those whose text is unknown."""
    numbers: Mapping[float, str]
    """Value -> letter, where all options are numbers; else empty."""

    @cached_property
    def _patterns(self) -> dict[str, re.Pattern[str]]:
        return {}

    @cached_property
    def _needed(self) -> dict[str, str]:
        """Letter -> what stands in every passage in which the text of the option does."""
        return {letter: _needed(text) for letter, text in self.texts.items()}

    def pattern(self, letter: str) -> re.Pattern[str] | None:
        """Return where the text of an option occurs; None where it is not known.

        Compiled when it is first looked for: most answers name no option by its text.
        """
        if letter not in self.texts:
            return None
        if letter not in self._patterns:
            self._patterns[letter] = _pattern(self.texts[letter])
        return self._patterns[letter]

    def parenthesised(self, passage: str) -> frozenset[str]:
        """Return the capital letters in parentheses or brackets, options or not."""
        return frozenset(_PAREN.findall(passage))

    def by_text(self, passage: str) -> frozenset[str]:
        """Return the options whose text stands in a passage; a longer text hides one inside it."""
        if self.numbers:
            values = {number.value for number in numbers(passage)}
            # A number that is no option may be the one that is meant.
            is_known = values <= self.numbers.keys()
            return frozenset(self.numbers[each] for each in values if is_known)
        plain = passage if passage.isascii() else passage.translate(_ASCII_CASES)
        plain = plain.lower()
        hits = sorted(
            (match.start(), -match.end(), letter)
            for letter, needed in self._needed.items()
            if needed in plain and (pattern := self.pattern(letter))
            for match in pattern.finditer(passage)
        )
        found: set[str] = set()
        outer_start, outer_end = 0, 0
        for start, minus_end, letter in hits:
            inside = -minus_end <= outer_end and outer_end - outer_start > -minus_end - start
            if not inside:
                found.add(letter)
            if -minus_end > outer_end:
                outer_start, outer_end = start, -minus_end
        return frozenset(found)

    def mentions(self, passage: str) -> Mentions:
        """Return the options that a passage names by letter or text."""
        by_letter = _lettered(passage)
        found = by_letter.letters - self.labels_of_others(by_letter.labelled)
        by_text = self.by_text(passage)
        for pair in by_letter.pairs:
            # "points A and B are about the same": the pair is what the third option is said of.
            said_of = len(by_text) == 1 and not by_text & pair
            if pair <= set(self.letters) and not said_of:
                found |= pair
        odd = found.difference(self.letters)
        return Mentions(frozenset(found - odd) | by_text, frozenset(odd))

    def labels_of_others(self, labelled: Sequence[tuple[str, str, str]]) -> frozenset[str]:
        """Return the letters that label a thing that no option is: "the first image (A)".

        The option (A) is then another one of such things: "the second image". `labelled` are
        ordinal, noun and letter of each thing with a label.
        """
        things = {f"the {ordinal} {noun}".casefold() for ordinal, noun, _ in labelled}
        if not things or not things.isdisjoint(self.texts.values()):
            return frozenset()
        return frozenset(
            letter
            for _, noun, letter in labelled
            if re.fullmatch(rf"the \w+ {re.escape(noun.casefold())}", self.texts.get(letter, ""))
        )

    def named(self, passage: str) -> frozenset[str]:
        """Return the letters in parentheses or after a noun, options or not."""
        return self.parenthesised(passage) | frozenset(_AFTER_NOUN.findall(passage))

    def read_text(self, passage: str) -> str | None:
        """Return the option whose text a passage is."""
        plain = normalise(passage)
        if self.numbers:
            number = value(plain)
            return None if number is None else self.numbers.get(number)
        found = [
            letter
            for letter, text in self.texts.items()
            if plain in (text, f"the {text}") or f"the {plain}" == text
        ]
        return found[0] if len(found) == 1 else None

    def read(self, passage: str) -> Read | None:
        """Read a passage that is nothing but an option: its letter, its text, or both."""
        core = passage.strip(_EDGES)
        match = _ONLY_LETTER.fullmatch(core)
        if match and match[1].upper() in self.letters:
            return Read(match[1].upper())
        by_text = self.read_text(TRANSLATIONS.get(core, core))
        if by_text is not None:
            return Read(by_text)
        if match := _LETTER_AND_TEXT.fullmatch(core):
            by_text = self.read_text(match[2])
            if by_text is not None and match[1] in self.letters and match[1] != by_text:
                return CONFLICT
            if by_text is not None:
                return Read(by_text)
        return None

    def read_unknown(self, passage: str) -> str | None:
        """Return the letter before a few words, where nothing is known of the option's text.

        "(C) 3" is an option behind "the number is:"; elsewhere the words may say anything.
        """
        match = _LETTER_AND_TEXT.fullmatch(passage.strip(_EDGES))
        if not match or match[1] not in self.letters or match[1] in self.texts:
            return None
        is_short = len(match[2]) <= LONGEST_UNKNOWN and "\n" not in match[2]
        return match[1] if is_short and not any(self.mentions(match[2])) else None

    def at(self, passage: str, start: int, letter: str) -> list[int]:
        """Return where an option ends that begins at a place: by its letter, or by its text."""
        lettered = re.compile(
            r"(?i:(?:the )?(?:point|box|picture|option)(?: labell?ed)? )?[(\"']{0,2}"
            rf"{re.escape(letter)}[)\"']{{0,2}}(?=\s)"
        )
        patterns = (lettered, self.pattern(letter))
        found = [pattern.match(passage, start) for pattern in patterns if pattern]
        return [match.end() for match in found if match]

    def cut_off(self, passage: str) -> str | None:
        """Return the only option whose text begins with a passage of two words or more."""
        plain = normalise(passage)  # single spaces, as the texts of the options
        if " " not in plain:
            return None
        found = [k for k, text in self.texts.items() if f"{text} ".startswith(f"{plain} ")]
        return found[0] if len(found) == 1 else None


def normalise(text: str) -> str:
    """Return a text in one case and with single spaces, without full stops around it."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split()).strip(" .!\"'\u3002")


def compile_options(options: Mapping[str, str]) -> Options:
    """Compile the patterns of a question's options: letter -> text, empty where not known."""
    return _compiled(tuple(options.items()))


@functools.lru_cache(maxsize=256)
def _compiled(options: tuple[tuple[str, str], ...]) -> Options:
    texts = {letter: plain for letter, text in options if (plain := normalise(text))}
    letters = tuple(letter for letter, _ in options)
    values: dict[float, str] = {}
    for letter, text in texts.items():
        number = value(text)
        if number is None:
            return Options(letters, texts, {})
        values[number] = letter
    return Options(letters, texts, values if len(values) == len(options) else {})


class _Lettered(NamedTuple):
    """What a passage names by letters, whatever the options are."""

    letters: frozenset[str]
    pairs: tuple[frozenset[str], ...]
    """Letters that explain each other."""
    labelled: tuple[tuple[str, str, str], ...]
    """Ordinal, noun and letter of each thing that has a letter for its label."""


@functools.lru_cache(maxsize=256)
def _lettered(passage: str) -> _Lettered:
    """Look for letters in a passage; remembered, for a sentence is asked several times."""
    stripped = passage.strip()
    return _Lettered(
        frozenset(
            letter.upper()
            for pattern in (_PAREN, _AFTER_NOUN, _QUOTED, _AFTER_IS, _JUDGED, _SMALL)
            for letter in pattern.findall(stripped)
        ),
        tuple(map(frozenset, _LISTED.findall(passage))),
        tuple(_LABELLED.findall(passage)),
    )


def _needed(text: str) -> str:
    """Return what stands in every passage, in small letters, in which the pattern of a text occurs.

    Empty where the text is not of ASCII alone, whose small letters are those of `re.IGNORECASE`.
    """
    if not text.isascii():
        return ""
    ordinal = _THE_NTH.fullmatch(text)
    return max((ordinal[1] if ordinal else text.removeprefix("the ")).split(), key=len, default="")


def _pattern(text: str) -> re.Pattern[str]:
    """Return the pattern of an option text inside a passage.

    - A word of up to three letters (yes, no, dog) counts only where an answer may stand.
    - An ordinal with its noun (the second image) is also found where it shares the noun with
      another one (the second or third image).
    """
    body = re.escape(text).replace(r"\ ", r"\s+")
    if re.fullmatch(r"[a-z]{1,3}", text):
        return re.compile(
            r"(?:(?<=^)|(?<=is )|(?<=be )|(?<=: )|(?<=answer )|(?<=\) )|(?<=[(\"']))"
            rf"[\"'(]{{0,2}}{body}"
            r"(?![\w'-])(?! [a-z])",
            re.IGNORECASE,
        )
    if match := _THE_NTH.fullmatch(text):
        word, noun = re.escape(match[1]), re.escape(match[2])
        shared = rf"\s?(?:,|and\b|or\b|nor\b)[^.]{{0,30}}\b{noun}s?\b"
        return re.compile(
            rf"(?<![\w'-])(?:the )?{word}(?:(?={shared})|\s+{noun}s?(?![\w'-]))", re.IGNORECASE
        )
    if text.startswith("the "):
        body = rf"(?:the\s+)?{body.removeprefix('the').removeprefix(chr(92) + 's+')}"
    return re.compile(rf"(?<![\w'-]){body}(?![\w'-])", re.IGNORECASE)
