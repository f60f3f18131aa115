"""mentions: part of what was vipbench/data/tasks.py."""

import re
from collections.abc import Iterator

from vipbench.schema import Sample

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
MENTION = re.compile(r"<r([0-9]{1,9})>")
"""Where a text mentions a region; the number is its place in `Sample.regions`."""
FIELD = re.compile(r"\{(\w+)\}")
"""What a template has filled in."""


def mentions(sample: Sample) -> Iterator[int]:
    """Yield the place of each region that the texts of a sample mention, in reading order."""
    for text in mentioning(sample):
        for match in MENTION.finditer(text):
            yield int(match[1])


def mentioning(sample: Sample) -> tuple[str, ...]:
    """Return the texts that may mention regions, in reading order."""
    return (sample.question, *sample.given_choices, sample.given_answer, *sample.choices)
