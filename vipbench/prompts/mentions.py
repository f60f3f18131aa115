"""How texts mention regions: `<r0>` in a question or a choice, `{mark}` in a template."""

import re
from collections.abc import Iterator

from vipbench.schema import Sample

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
"""Letters of the options, in order."""
MENTION = re.compile(r"<r([0-9]{1,9})>")
"""Where a text mentions a region; the number is its index in `Sample.regions`."""
FIELD = re.compile(r"\{(\w+)\}")
"""What a template has filled in."""


def mentions(sample: Sample) -> Iterator[int]:
    """Yield the index of each region that the texts of a sample mention, in reading order."""
    for text in mentioning(sample):
        for match in MENTION.finditer(text):
            yield int(match[1])


def mentioning(sample: Sample) -> tuple[str, ...]:
    """Return the texts that may mention regions, in reading order."""
    return (sample.question, *sample.given_choices, sample.given_answer, *sample.choices)
