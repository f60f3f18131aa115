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
SAMPLE_FIELDS = (
    *("question", "choices", "choices_in_brackets", "given_answer", "given_choices"),
    *("given_target", "mark"),
)
MARK_FIELDS = ("marker", "markers", "marked", "tags", "tag", "color")
"""Fields that a template may hold: of the sample, and of the marks that the style draws; a number
behind `tag` and `color` is the region's, from 0."""


def is_field(name: str) -> bool:
    """Say whether a template may hold a field."""
    return name in (*SAMPLE_FIELDS, *MARK_FIELDS) or bool(re.fullmatch(r"(tag|color)\d{1,3}", name))


def mentions(sample: Sample) -> Iterator[int]:
    """Yield the index of each region that the texts of a sample mention, in reading order."""
    for text in mentioning(sample):
        for match in MENTION.finditer(text):
            yield int(match[1])


def mentioning(sample: Sample) -> tuple[str, ...]:
    """Return the texts that may mention regions, in reading order."""
    return (sample.question, *sample.given_choices, sample.given_answer, *sample.choices)
