"""Text of a model -> parsed answer, or None. Knows nothing about tasks, models or files."""

import re
import unicodedata
from collections.abc import Sequence

AND = "<AND>"
OR = "<OR>"
"""The two words of the answer language of ViP-Bench (its `vip-bench-meta-data.json`)."""

# A number keeps its sign and what stands between its digits (-5, 3.5, 1,000, 10:30), so that 42
# does not hold in "42.5"; any other word is a run of letters and digits.
_WORD = re.compile(r"(?<!\w)-?\d+(?:[.,:]\d+)+(?!\w)|(?<!\w)-\d+(?!\w)|[^\W_]+")


def parse_choice(text: str, letters: Sequence[str]) -> str | None:
    """Return the letter that the whole text is, or None.

    Strict, as the official loader of ViP-LLaVA compares (`model_vqa_loader_vip.py`): only white
    space around the letter and its case are ignored, so `A.` and `A. The cup` are not answers.
    """
    stripped = text.strip().lower()
    return next((letter for letter in letters if letter.lower() == stripped), None)


def find_choice(text: str, letters: Sequence[str]) -> str | None:
    """Return the one letter that a text answers with, or None: the lenient reading.

    In addition to what `parse_choice` takes: a letter that opens the text and is set off (`B.`,
    `(B)`, `B: the cup`, or alone on its line), and one that the text names as the answer (`The
    answer is B.`, `Option B`). Several different letters are not an answer. A letter before a plain
    word is not taken, since `A` is an article too. These rules are ours; no published number rests
    on them.
    """
    strict = parse_choice(text, letters)
    if strict is not None:
        return strict
    opening = _OPENING.match(text)
    named = set(_NAMED.findall(text))
    if opening:
        named.add((opening[1] or opening[2]).upper())
    options = [letter for letter in letters if letter in named]
    return options[0] if len(options) == 1 and len(named) == 1 else None


_OPENING = re.compile(r"\s*(?:[(\[]([A-Za-z])[)\]]|([A-Za-z])(?:[.:,)]|\s*$))", re.MULTILINE)
_NAMED = re.compile(
    r"\b(?i:answer|option|choice)(?i:\s+is|\s*:)?(?i:\s+option|\s+choice)?\s*[(\[]?"
    r"([A-Z])\b(?!'|\s+[a-z])"
)


def parse_short(text: str) -> str | None:
    """Return the text without the white space around it, or None where nothing is left."""
    return text.strip() or None


def matches_short(answer: str, target: str) -> bool:
    """Say whether a short answer is the target, apart from case and the white space around both.

    The official comparison (`outputs.strip().lower() == target.lower()`): the whole string, so
    `two` is not `2`. It does not strip the target; the official targets have no such space.
    """
    return answer.strip().lower() == target.strip().lower()


def matches_leniently(answer: str, target: str) -> bool:
    """Say whether a short answer means the target: the lenient reading.

    A number is right if it is the only one in the answer, as digits or as a word up to twenty (`two
    people` for 2); another target if the answer has the same words, apart from case, punctuation
    and articles. Whatever matches strictly matches here too, such as a target of an article or a
    symbol alone. These rules are ours; no published number rests on them.
    """
    if matches_short(answer, target):
        return True
    words, target_words = _plain_words(answer), _plain_words(target)
    if len(target_words) == 1 and target_words[0].isdecimal():
        return {word for word in words if word.isdecimal()} == set(target_words)
    return bool(target_words) and words == target_words


def _plain_words(text: str) -> list[str]:
    """Words without articles, with number words as digits."""
    return [_NUMBERS.get(word, word) for word in _words(text) if word not in _ARTICLES]


_ARTICLES = frozenset(("a", "an", "the"))
_NUMBERS = {
    word: str(number)
    for number, word in enumerate(
        (
            *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
            *("ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen"),
            *("seventeen", "eighteen", "nineteen", "twenty"),
        )
    )
}


def matches_graded(text: str, target: str) -> bool:
    """Say whether a free answer holds all that a ViP-Bench target asks for.

    The target is split at `<AND>`; every part must hold, and a part holds if any of its `<OR>`
    alternatives occurs in the text as a sequence of whole words. Case, punctuation and repeated
    spaces are ignored. An alternative without any word (`+`) must occur literally; an empty one
    never holds. White space counts on neither side of an alternative without words.
    """
    return all(
        any(_occurs(alternative, text) for alternative in part.split(OR))
        for part in target.split(AND)
    )


def _occurs(phrase: str, text: str) -> bool:
    phrase_words, words = _words(phrase), _words(text)
    if not phrase_words:
        symbols = "".join(phrase.split())
        return bool(symbols) and symbols in "".join(text.split())
    length = len(phrase_words)
    return any(words[i : i + length] == phrase_words for i in range(len(words) - length + 1))


def _words(text: str) -> list[str]:
    """Case-folded words, in which full-width letters and the typographic minus are plain."""
    plain = unicodedata.normalize("NFKC", text).replace("\N{MINUS SIGN}", "-").casefold()
    # 1,000 and 1000 are one number.
    return [re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", word) for word in _WORD.findall(plain)]
