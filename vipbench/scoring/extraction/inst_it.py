"""Rule `inst_it`: how Inst-It-Bench reads choices, the first capital A to D after some prefixes.

The benchmark divides by the answers that it could read; a row here divides by all samples, and says
in `n_unparsed` how many were unread.
"""

import re
from collections.abc import Mapping

PREFIXES = (
    "The best answer is",
    "The correct answer is",
    "The answer is",
    "The answer",
    "Answer:",
    "Answer",
    "answer:",
    "Option:",
)
"""Dropped wherever they stand. The official list lacks two commas, so that "The best option is",
"The correct option is", "Best answer:" and "Best option:" are never dropped, nor are they here."""

EXAMPLES = (
    ("D", "D"),
    ("Answer: D", "D"),
    ("The best option is C", "C"),
    ("Best option: C", "B"),  # of "Best", as officially
    ("Based on the image, the answer is C", "B"),
    ("A red car, so (C)", "A"),
    ("yes", None),
)
"""Text -> answer, of options A to D."""

_LETTER = re.compile(r"[ABCD]")


def extract(text: str, options: Mapping[str, str]) -> str | None:
    """Return the first capital A, B, C or D without the prefixes, if it is an option."""
    rest = text.strip()
    for prefix in PREFIXES:
        rest = rest.replace(prefix, "")
    match = _LETTER.search(rest)
    return match[0] if match and match[0] in options else None
