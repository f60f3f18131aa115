"""Rule `vp_bench`: how VP-Bench reads choices, the first A, B, C or D whatever it belongs to."""

from collections.abc import Mapping

LETTERS = "ABCD"

EXAMPLES = (
    ("D", "D"),
    ("(d)", "D"),
    ("Answer: D", "A"),  # of "Answer", as officially
    ("I think C", "C"),
    ("Both", "B"),
    ("Yes", None),
)
"""Text -> answer, of options A to D."""


def extract(text: str, options: Mapping[str, str]) -> str | None:
    """Return the first A, B, C or D of the text in capitals, if it is an option.

    Source: class `VPBench` of VP-Bench's copy of VLMEvalKit. Where there is none, it compares whole
    strings, which no letter equals.
    """
    first = next((sign for sign in text.upper() if sign in LETTERS), None)
    return first if first in options else None
