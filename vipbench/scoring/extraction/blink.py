"""Rule `blink`: the part of BLINK's official extraction that needs no language model.

The official code (`analyze_answer` of BLINK_Benchmark) asks a language model for what this rule
leaves unread; here that stays unread.
"""

import re
from collections.abc import Mapping

EXAMPLES = (
    ("B", "B"),
    ("(B)", "B"),
    ("The answer is (B) the cup", "B"),
    ("It is (A) or (B).\n\nI take (B) then", "B"),  # after the last blank line
    ("(B).", None),  # is no token
    ("**(B)**", None),
    ("b", None),
    ("(A) or (B) fits", None),
)
"""Text -> answer, of options A to D."""


def extract(text: str, options: Mapping[str, str]) -> str | None:
    """Return the letter that the text is, or the only one that stands in it as a token `(B)`.

    A token is what stands between white space. Those after the last blank line come first.
    """
    whole = text.strip()
    for letter in options:
        if whole in (letter, f"({letter})"):
            return letter
    for part in (re.split(r"\n\n", text)[-1], text):
        tokens = set(part.split())
        found = [letter for letter in options if f"({letter})" in tokens]
        if len(found) == 1:
            return found[0]
    return None
