"""What differs between two runs, in words for readers: the fields of their identities, told."""

import re
from collections.abc import Iterable

SHOWN_DIFFERENCES = 8
"""That a message names before it counts the others."""
_WORDS = {
    "settings.template_date": "date that the chat template is told",
    "settings.prompt_format": "prompt format",
    "settings.processor": "tokenizer and processor",
}
_OF_TASK = {
    "requests": "requests of",
    "fits": "fit of",
    "tasks": "version of",
    "exif": "EXIF orientation of",
}
_STYLE = re.compile(r"styles\.(?P<task>[^.]+)\.(?P<style>.+)")


def in_words(difference: str, weights: str = "weights") -> str:
    """Return `field: previous → current`, as an identity names the field, in plain words.

    Args:
        difference: of `manifest.differences`.
        weights: what the digest of weights stands for; `answers`, where these were imported.
    """
    field, colon, values = difference.partition(": ")
    first, _, rest = field.partition(".")
    if field == "settings.weights":
        field = weights
    elif field in _WORDS:
        field = _WORDS[field]
    elif found := _STYLE.fullmatch(field):
        field = f"style {found['style']} of {found['task']}"
    elif first in _OF_TASK and rest:
        field = f"{_OF_TASK[first]} {rest}"
    elif first == "settings":
        field = rest.replace(".", " ").replace("_", " ")
    return f"{field}{colon}{values}"


def told(differences: Iterable[str], weights: str = "weights") -> str:
    """Join differences in words; where there are many, count those behind the first few.

    A style that only one of the two runs has is one difference.
    """
    found = list(differences)
    lone = [
        style.rpartition(".name")[0]
        for style, _, _ in (each.partition(": ") for each in found)
        if style.startswith("styles.") and style.endswith(".name")
    ]
    words: dict[str, None] = {}
    for each in found:
        style = next((style for style in lone if each.startswith(f"{style}.")), None)
        if style is None:
            words[in_words(each, weights)] = None
        else:
            words[f"{in_words(style)}: in one of them only"] = None
    more = len(words) - SHOWN_DIFFERENCES
    shown = "; ".join(list(words)[:SHOWN_DIFFERENCES])
    return shown + (f"; and {more} more" if more > 0 else "")
