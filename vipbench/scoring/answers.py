"""Text of a model -> parsed answer, or None. Knows nothing about tasks, models or files."""

import re
import unicodedata
from collections.abc import Sequence

AND = "<AND>"
OR = "<OR>"
"""The two words of the answer language of ViP-Bench (its `vip-bench-meta-data.json`)."""

_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30fa\u30fc-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uf900-\ufaff\U00020000-\U0003ffff"
)
"""Thai, Lao, Burmese, Khmer, Chinese and Japanese: nothing stands between their words."""

# Each sign of a script without spaces is a word. A number keeps its sign and what stands between
# its digits (-5, 3.5, 1,000, 10:30), so that 42 does not hold in "42.5"; any other word is a run of
# letters and digits.
_BEFORE, _BEHIND = rf"(?<![^\W{_UNSPACED}])", rf"(?![^\W{_UNSPACED}])"
_WORD = re.compile(
    rf"[{_UNSPACED}]|{_BEFORE}-?\d+(?:[.,:]\d+)+{_BEHIND}|{_BEFORE}-\d+{_BEHIND}"
    rf"|[^\W_{_UNSPACED}]+"
)


def parse_choice(text: str, letters: Sequence[str]) -> str | None:
    """Return the letter that the whole text is, or None.

    Strict, as the official loader of ViP-LLaVA compares (`model_vqa_loader_vip.py`): only white
    space around the letter and its case are ignored, so `A.` and `A. The cup` are not answers.
    """
    stripped = text.strip().lower()
    return next((letter for letter in letters if letter.lower() == stripped), None)


def parse_short(text: str) -> str | None:
    """Return the text without the white space around it, or None where nothing is left."""
    return text.strip() or None


def matches_short(answer: str, target: str) -> bool:
    """Say whether a short answer is the target, apart from case and the white space around both.

    The official comparison (`outputs.strip().lower() == target.lower()`): the whole string, so
    `two` is not `2`. It does not strip the target; the official targets have no such space.
    """
    return answer.strip().lower() == target.strip().lower()


def matches_graded(text: str, target: str) -> bool:
    """Say whether a free answer holds all that a ViP-Bench target asks for.

    The target is split at `<AND>`; every part must hold, and a part holds if any of its `<OR>`
    alternatives occurs in the text as a sequence of whole words; in scripts without spaces between
    words, as a sequence of signs. Case, punctuation and repeated
    spaces are ignored. An alternative without any word (`+`) must occur literally; an empty one
    never holds. White space counts on neither side of an alternative without words.
    """
    return all(
        any(_occurs(alternative, text) for alternative in part.split(OR))
        for part in target.split(AND)
    )


def _occurs(phrase: str, text: str) -> bool:
    wanted, given = words(phrase), words(text)
    if not wanted:
        symbols = "".join(phrase.split())
        return bool(symbols) and symbols in "".join(text.split())
    length = len(wanted)
    return any(given[i : i + length] == wanted for i in range(len(given) - length + 1))


def words(text: str) -> list[str]:
    """Case-folded words, in which full-width letters and the typographic minus are plain."""
    plain = unicodedata.normalize("NFKC", text).replace("\N{MINUS SIGN}", "-").casefold()
    # 1,000 and 1000 are one number.
    return [re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", word) for word in _WORD.findall(plain)]
