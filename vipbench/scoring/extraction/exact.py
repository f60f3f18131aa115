"""Rule `exact`: the whole text is the letter, as the official loader of ViP-LLaVA compares."""

from collections.abc import Mapping

from vipbench.scoring.answers import parse_choice

EXAMPLES = (
    ("B", "B"),
    (" b\n", "B"),
    ("B.", None),
    ("(B)", None),
    ("The answer is B", None),
    ("", None),
)
"""Text -> answer, of options A to D."""


def extract(text: str, options: Mapping[str, str]) -> str | None:
    """Return the letter that the whole text is, apart from white space and case, or None."""
    return parse_choice(text, tuple(options))
