"""Rule `stated` for short answers: a count, yes or no, or a word or phrase that a text states.

What is asked is seen from the right answer: a number is a count, yes and no are themselves, and all
else is a phrase. What is undecided is unread, as with choices.
"""

import re

from vipbench.scoring import answers
from vipbench.scoring.extraction import wording
from vipbench.scoring.extraction.cleaning import clean
from vipbench.scoring.extraction.numbers import numbers, value
from vipbench.scoring.extraction.passage import split

EXAMPLES = (
    # text, target, answer as it is read, whether it is right
    ("There are three of them.", "3", "3", True),
    ("3", "3", "3", True),
    ("Two people and a dog, so 3 in total.", "3", "3", True),
    ("two thousand", "2", "2000", False),
    ("2 or 3", "2", None, False),
    ("There are more than 2.", "2", None, False),
    ("There are no dogs.", "0", "0", True),
    ("The one on the left.", "1", None, False),
    ("Yes, it is.", "yes", "yes", True),
    ("It isn't.", "no", "no", True),
    ("Yes and no.", "yes", None, False),
    ("Red.", "red", "Red.", True),
    ("The car is red.", "red", "red", True),
    ("The car is not red.", "red", None, False),
    ("It is red or blue.", "red", None, False),
    ("<think>Blue? No.</think> The answer is **red**.", "red", "red", True),
)

# "2 or 3", "2-3", "between 2 and 3", "2 to 3", "more than 2": no single count.
_RANGE = re.compile(
    r"\b(?:or|between|more than|less than|fewer than|at least|at most|over|under|up to|not|never"
    r"|without|except|several|many)\b|n't\b|\d ?[-\u2013~] ?\d|\bto (?=\d|two|three|four|five)",
    re.IGNORECASE,
)
_TOTAL = re.compile(
    r"\b(?:in total|total (?:of|is|number)|altogether|in all|answer is|answer:|therefore|so)\b",
    re.IGNORECASE,
)
_NONE = re.compile(
    r"^\W*(?:none|no one|nobody|nothing)\W*$"
    r"|\b(?:there|it|they|the \w+|i)\s(?:is|are|was|were|has|have|see)\s(?:no|none)\b"
    r"|\b(?:there)\s(?:isn't|aren't|is not|are not|was not|were not)\s(?:an?|any)\b",
    re.IGNORECASE,
)
_LIST_MARK = re.compile(r"^\s*\d{1,2}[.)]\s", re.MULTILINE)

_YES_NO = re.compile(r"\W*(yes|yeah|yep|no|nope)\b", re.IGNORECASE)
_BOTH = re.compile(
    r"\byes\b.{0,20}\bno\b|\bno\b.{0,20}\byes\b|\bmaybe\b", re.IGNORECASE | re.DOTALL
)
_SAID_YES_NO = re.compile(
    r"\b(?:answer|it|response)(?: to the question)?(?: is|:)\s\W?(yes|no)\b", re.IGNORECASE
)
_BRIEF = re.compile(
    r"\W*(?:it|he|she|they|there|this|that|these|those|i|we|you)\s"
    r"(?:is|are|was|were|does|do|did|has|have|can|will|would|could|should)"
    r"(n't|\snot)?(?:\s(?:indeed|there|so))?\W*",
    re.IGNORECASE,
)
_YES = frozenset(("yes", "yeah", "yep"))

_SAID = re.compile(
    r"\b(?:answer|colou?r|name|word)\b[^.\n:]{0,60}?(?:\bis\b|:)\s?|\b(?:it|that|this)(?: is|'s)\s",
    re.IGNORECASE,
)
_PREDICATE = re.compile(r"\b(?:is|are|was|were)\s", re.IGNORECASE)
_UNDECIDED = re.compile(r"\b(?:or|either|maybe|perhaps|might|may|could)\b", re.IGNORECASE)
_ARTICLES = frozenset(("a", "an", "the"))


def read(text: str, target: str) -> str | None:
    """Return the short answer that a text states to a question that `target` answers, or None."""
    if answers.matches_short(text, target):
        return answers.parse_short(text)
    plain = clean(text)
    if not plain:
        return None
    wanted = target.strip().casefold()
    if wanted in ("yes", "no"):
        return _yes_or_no(plain)
    if value(wanted) is not None:
        return _count(plain)
    return _phrase(plain, target)


def matches(answer: str, target: str) -> bool:
    """Say whether a short answer that was read means the target.

    Numbers are compared by value, all else by its words: case, punctuation and articles do not
    count.
    """
    if answers.matches_short(answer, target):
        return True
    wanted = value(target.strip())
    if wanted is not None:
        return value(answer.strip()) == wanted
    words = _plain_words(target)
    return bool(words) and _plain_words(answer) == words


def _count(plain: str) -> str | None:
    """Return the one number that a text states, in digits."""
    plain = _LIST_MARK.sub("", plain)
    found = {number.value for number in numbers(plain)}
    if not found:
        return "0" if _NONE.search(plain) else None
    if len(found) > 1 or _RANGE.search(plain):
        return _total(split(plain).sentences[-1])
    return f"{found.pop():g}"


def _total(sentence: str) -> str | None:
    """Return the number that a sentence with several sums up to: "…, so 3 in total"."""
    cues = list(_TOTAL.finditer(sentence))
    if not cues:
        return None
    rest = wording.SUBORDINATE.split(sentence[cues[-1].start() :])[0]
    behind = {number.value for number in numbers(rest)}
    before = numbers(sentence[: cues[-1].start()])
    if _RANGE.search(rest) or len(behind) > 1:
        return None
    if behind:
        return f"{behind.pop():g}"
    near = sentence[before[-1].start - 12 if before and before[-1].start > 12 else 0 :]
    return f"{before[-1].value:g}" if before and not _RANGE.search(near) else None


def _yes_or_no(plain: str) -> str | None:
    """Return yes or no, where the text opens with it, says so, or is "it is" or "it isn't"."""
    if _BOTH.search(plain[:80]) or wording.REFUSAL.search(plain):
        said = _SAID_YES_NO.findall(plain)
        return said[-1].lower() if said and len({each.lower() for each in said}) == 1 else None
    if opening := _YES_NO.match(plain):
        return "yes" if opening[1].lower() in _YES else "no"
    words = {each.lower() for each in _SAID_YES_NO.findall(plain)}
    if words:
        return words.pop() if len(words) == 1 else None
    return brief(plain)


def brief(plain: str) -> str | None:
    """Return yes for a text that is "It is" and the like, no for "It isn't", else None."""
    match = _BRIEF.fullmatch(plain)
    return ("no" if match[1] else "yes") if match else None


def _phrase(plain: str, target: str) -> str | None:
    """Return the phrase that a text is or says to be its answer; None where it is undecided.

    A text that is the target counts as it stands, whatever words it has.
    """
    if matches(plain, target):
        return plain
    sentence = split(plain).sentences[-1]
    if (
        wording.NEGATION.search(sentence)
        or _UNDECIDED.search(sentence)
        or wording.REFUSAL.search(plain)
        or wording.QUESTION.search(sentence)
    ):
        return None
    said = list(_SAID.finditer(sentence)) or list(_PREDICATE.finditer(sentence))
    if said:
        return sentence[said[-1].end() :].strip(" .!\"'") or None
    return plain if len(split(plain).sentences) == 1 else None


def _plain_words(text: str) -> list[str]:
    """Return the words without articles, number words in digits."""
    digits = {number.start: number for number in numbers(text)}
    parts, place = [], 0
    for start, number in digits.items():
        parts += [text[place:start], f"{number.value:g}"]
        place = number.end
    return [
        word for word in answers.words("".join((*parts, text[place:]))) if word not in _ARTICLES
    ]
