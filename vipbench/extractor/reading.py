"""How an extractor's reply is read: as a whole, or not at all.

Reasoning before it, and fences, emphasis and quotation marks around it, are taken off. What is left
is the letter of an option, which may have parentheses or a full stop; of a short answer, words that
stand so in the text that was read; or `none`. Anything else is no reply.
"""

import re
from collections.abc import Collection

from vipbench.endpoints.replies import Reply, is_cut
from vipbench.extractor.settings import NONE
from vipbench.scoring.answers import words
from vipbench.scoring.extraction.reasoning import last_spoken, unwrapped

LONGEST = 200
"""Characters of a short answer; a longer one is the text once more."""
_LETTER = re.compile(r"\(([A-Za-z])\)\.?|([A-Za-z])[.)]?")


def read_reply(reply: Reply, letters: Collection[str], text: str) -> str | None:
    """Return the letter or the words that a reply is, `NONE`, or None where it is neither.

    Args:
        reply: of the extractor.
        letters: of the options; empty: the answer is a short one.
        text: that was read.
    """
    if reply.text is None or is_cut(reply) or reply.finish not in ("stop", "unknown"):
        return None
    said = last_spoken(reply.text)
    return None if said is None else _read(unwrapped(said), letters, text)


def _read(said: str, letters: Collection[str], text: str) -> str | None:
    if said.rstrip(".").casefold() == NONE:
        return NONE
    if letters:
        match = _LETTER.fullmatch(said)
        letter = (match[1] or match[2]).casefold() if match else None
        return next((each for each in letters if each.casefold() == letter), None)
    if "\n" in said or len(said) > LONGEST or not _stands_in(said, text):
        return None
    return said


def _stands_in(said: str, text: str) -> bool:
    """Say whether the words of a reply stand in a row in a text."""
    wanted, given = words(said), words(text)
    n = len(wanted)
    return bool(n) and any(given[i : i + n] == wanted for i in range(len(given) - n + 1))
