"""Rule `lmms_eval`: how lmms-eval read BLINK before its pull request 1435 (August 2026)."""

from collections.abc import Mapping

EXAMPLES = (
    ("B", "B"),
    ("(b) the cup", "B"),
    ("A red car", "A"),
    ("Answer: D", "A"),
    ("The answer is (B)", None),  # T, which is no option
    ("**C**", None),
)
"""Text -> answer, of options A to D."""


def extract(text: str, options: Mapping[str, str]) -> str | None:
    """Return the letter that the text begins with, in either case, behind any parentheses.

    Any letter is one: "The answer" begins with T, which is no option, and so is unread.
    """
    first = text.lstrip().lstrip("( \t\r\n\v\f")[:1].upper()
    return first if first in options else None
