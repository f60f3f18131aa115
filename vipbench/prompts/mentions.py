"""How texts mention regions: `<r0>` in a question or a choice, `{mark}` in a template."""

import re
from collections.abc import Iterator

from vipbench.errors import nearest
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
MARK_FIELDS = ("marker", "markers", "marked", "colored", "tags", "tag", "color")
"""Fields that a template may hold: of the sample, and of the marks that the style draws; a number
behind `tag` and `color` is the region's, from 0."""

REFER = {
    "bracket": "[{tag}]",
    "tag": "{tag}",
    "point": "point {tag}",
    "marked": "the {label} marked {tag}",
    "by_marker": "the point marked by the {color} {marker}",
}
"""Name -> how a text refers to a region, with REFER_FIELDS."""
REFER_FIELDS = ("tag", "label", "color", "marker", "markers", "marked")


def refer_mistakes(form: object, where: str) -> list[str]:
    """Return what is wrong with a way to refer to a region: a name of REFER, or a phrase."""
    if not isinstance(form, str) or not form or form in REFER:
        return []
    fields = FIELD.findall(form)
    mistakes = [
        f"{where} holds {{{field}}}{nearest(field, REFER_FIELDS)}"
        for field in fields
        if field not in REFER_FIELDS
    ]
    if not fields and not form.strip().count(" "):
        mistakes.append(f"{where} {form!r} is unknown{nearest(form, REFER)}")
    return mistakes


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
