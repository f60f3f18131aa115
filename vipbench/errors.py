"""The errors that vipbench raises on purpose; the command line prints their message and exits.

Every message is one line: where · what is wrong, with the value · what was expected · what to do.
"""

import difflib
import re
import reprlib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails


class VipbenchError(Exception):
    """The user's input is wrong, or the run cannot continue; the program returns `exit_code`."""

    exit_code = 2


class TaskError(VipbenchError):
    """A task, suite or style file is broken, or an unknown one was named."""


class DataError(VipbenchError):
    """Benchmark data are missing, broken or unsafe."""


class DataNotFound(DataError):
    """Benchmark data are nowhere that was looked at."""


class RunnerError(VipbenchError):
    """A runner cannot be built, a checkpoint cannot be used, or a runner broke its contract."""


class RunError(VipbenchError):
    """A run folder cannot be made, resumed or read."""


class TrackerError(VipbenchError):
    """A tracker of experiments cannot be used, or has not taken what it was told."""


class JudgeError(VipbenchError):
    """The judge cannot be used, or nothing has been graded."""


class JudgeStopped(JudgeError):
    """Grading has stopped before its end, after it gave grades; they are kept.

    The same command may ask for the rest.
    """

    exit_code = 3


class ExtractorError(VipbenchError):
    """The model that reads unread answers cannot be used, or has read nothing."""


class ExtractorStopped(ExtractorError):
    """The model that reads unread answers has stopped before its end; what it read is kept.

    The same command may ask for the rest.
    """

    exit_code = 3


class EndpointStopped(VipbenchError):
    """An endpoint that has answered does so no more, or no longer as before; what it said is kept.

    The same command may ask for the rest.
    """

    exit_code = 3


class TooManyErrors(VipbenchError):
    """More samples failed than `--max-errors` allows."""

    exit_code = 3


class CheckFailed(VipbenchError):
    """A gate or a check of published numbers found a failure; not a mistake of the user."""

    exit_code = 1


class RunInterrupted(VipbenchError):
    """The user stopped the run; what is done is kept."""

    exit_code = 130


MOST_NEAREST = 3
"""Names that a message suggests at most."""
LONGEST_LIST = 320
"""Characters of all known names that a message still lists; of more, it lists the nearest few."""
MOST_KNOWN = 6
"""How many."""
LEAST_ALIKE = 0.4
"""Likeness, 0 to 1, below which a name is not near."""


def nearest(name: str, known: Iterable[str], listing: str = "") -> str:
    """Say which known names `name` may have meant: ` · did you mean 'x'?` or ` · known: a, b`.

    Several that are equally near are all named, unless one has the same letters in another order.

    Args:
        name: that is not known.
        known: names; where there are many, and none is near, only the most alike are listed.
        listing: command that lists all of them.
    """
    names = sorted(known)
    by_folded = {each.casefold(): each for each in names}
    folded = name.casefold()
    close = difflib.get_close_matches(folded, by_folded, n=MOST_NEAREST, cutoff=0.6)
    if close:
        likeness = {each: _likeness(each, folded) for each in close}
        best = [each for each in close if likeness[each] == likeness[close[0]]]
        swapped = [each for each in best if sorted(each) == sorted(folded)]
        meant = " or ".join(repr(by_folded[each]) for each in sorted(swapped or best))
        return f" · did you mean {meant}?"
    if len(", ".join(names)) <= LONGEST_LIST:
        return f" · known: {', '.join(names)}" if names else ""
    alike = {each: _likeness(each.casefold(), folded) for each in names}
    near = sorted((each for each in names if alike[each] >= LEAST_ALIKE), key=lambda n: -alike[n])
    how = f" · `{listing}` lists them" if listing else ""
    if near and how:
        return f" · nearest: {', '.join(near[:MOST_KNOWN])}{how}"
    first = list(dict.fromkeys((*near, *names)))[:MOST_KNOWN]
    return how or f" · known: {', '.join(first)} and {len(names) - len(first):,} more"


def suggested(name: str, known: Iterable[str]) -> str:
    """Say which known names `name` may have meant, as `nearest` does; empty where none is near."""
    hint = nearest(name, known)
    return hint if hint.startswith(" · did you mean") else ""


def _likeness(known: str, name: str) -> float:
    """Return how alike two names are, 0 to 1."""
    return difflib.SequenceMatcher(None, known, name).ratio()


_REPR = reprlib.Repr()
_REPR.maxlevel, _REPR.maxlist, _REPR.maxtuple, _REPR.maxdict = 2, 4, 4, 4
_REPR.maxstring, _REPR.maxother = 60, 60


def shown(value: object) -> str:
    """Return a value as it is put into a message: cut short, however large or nested it is."""
    return _REPR.repr(value)


# --- what pydantic finds, in our words

_LIST = "a list"
_MAPPING = "a mapping of keys to values"
_EXPECTED = {
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "date_type": "a date, as 2026-01-31",
    "date_parsing": "a date, as 2026-01-31",
    "date_from_datetime_parsing": "a date, as 2026-01-31",
    "date_from_datetime_inexact": "a date without a time of day, as 2026-01-31",
    "dataclass_type": _MAPPING,
    "dict_type": _MAPPING,
    "finite_number": "a finite number",
    "float_parsing": "a number",
    "float_type": "a number",
    "frozen_set_type": _LIST,
    "greater_than": "a number above {gt}",
    "greater_than_equal": "a number from {ge}",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "int_parsing_size": "a whole number of fewer digits",
    "int_type": "a whole number",
    "invalid_key": "a key that is text",
    "is_instance_of": "an object of {class}",
    "json_invalid": "JSON that is not broken ({error})",
    "json_type": "JSON",
    "less_than": "a number below {lt}",
    "less_than_equal": "a number up to {le}",
    "list_type": _LIST,
    "literal_error": "{expected}",
    "mapping_type": _MAPPING,
    "model_attributes_type": _MAPPING,
    "model_type": _MAPPING,
    "named_tuple_type": _LIST,
    "none_required": "null",
    "path_type": "a path",
    "set_type": _LIST,
    "string_pattern_mismatch": "text that matches {pattern}",
    "string_sub_type": "text",
    "string_too_long": "text of at most {max_length} characters",
    "string_too_short": "text of {min_length} or more characters",
    "string_type": "text",
    "string_unicode": "text without halves of characters",
    "too_long": "at most {max_length} entries",
    "too_short": "{min_length} or more entries",
    "tuple_type": _LIST,
    "unexpected_keyword_argument": "a key that there is",
}
"""Type of an error of pydantic -> what was expected, made of its `ctx`."""


def details(error: "ValidationError") -> "list[ErrorDetails]":
    """List what pydantic found, without what only follows from it: a default that was not made."""
    found = error.errors(include_url=False)
    return [each for each in found if each["type"] != "default_factory_not_called"]


def expected(kind: str, context: Mapping[str, Any]) -> str:
    """Say what a value should have been, by the type and the `ctx` of an error of pydantic.

    Empty where the error says nothing of the kind: a key that is missing or unknown, and an error
    of our own, whose words are `own_words`.
    """
    if kind in ("missing", "extra_forbidden", "value_error", "assertion_error"):
        return ""
    numbers = {
        name: f"{value:g}" if isinstance(value, float) and abs(value) < 1e6 else value
        for name, value in context.items()
    }
    phrase = _EXPECTED.get(kind, f"another kind of value ({kind})")
    return phrase.format(**numbers)


def own_words(kind: str, context: Mapping[str, Any]) -> str:
    """Return what a validator of ours has said; empty for errors of pydantic."""
    return str(context["error"]) if kind in ("value_error", "assertion_error") else ""


def alternatives(phrases: Iterable[str]) -> str:
    """Write ` · expected A, B or C`, each of them once; empty where there is nothing."""
    unique = list(dict.fromkeys(phrase for phrase in phrases if phrase))
    if not unique:
        return ""
    *first, last = unique
    return f" · expected {', '.join(first)}{' or ' if first else ''}{last}"


def closest_choice(value: object, expectation: str) -> str:
    """Return ` · did you mean 'x'?` where a text is near a choice that is expected."""
    if not isinstance(value, str):
        return ""
    hint = nearest(value, re.findall("'([^']+)'", expectation))
    return hint if "did you mean" in hint else ""


def first_mistake(error: "ValidationError", whole: str = "the file") -> str:
    """Say the first thing that pydantic found: `key = value · expected …`.

    Args:
        error: of pydantic.
        whole: what is called so where the mistake is not at a key.
    """
    first, *others = details(error)
    kind, context = first["type"], first.get("ctx", {})
    key = ".".join(map(str, first["loc"]))
    if kind == "missing":
        return f"key {key!r} is missing"
    if kind == "extra_forbidden":
        return f"unknown key {key!r}"
    if kind == "json_invalid":
        return f"{whole}: broken JSON ({context['error']})"
    if words := own_words(kind, context):
        return f"{key or whole}: {words}"
    subject = (
        f"{key} = {shown(first['input'])}" if key else f"{whole} holds {shown(first['input'])}"
    )
    same = [other for other in others if other["loc"] == first["loc"]]
    return subject + alternatives(
        expected(each["type"], each.get("ctx", {})) for each in (first, *same)
    )
