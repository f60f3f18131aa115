"""How a judge's reply is read: as a grade if the whole of it is one, and else as none.

A number is never picked out of a sentence. What a grade may be wrapped in is listed here, and what
is not listed is no grade: it is asked for again.

1. A reply that was cut, filtered or refused is none, whatever stands in it.
2. Reasoning before it is taken off: `<think>…</think>` and its like, also where the prompt has
   opened it, and all channels of gpt-oss but the final one. Without an end of it there is no grade.
3. Then code fences, emphasis and quotation marks around all of it.
4. What is left is a JSON object with one grade, under one of `NAMES`, and texts beside it at most;
   or a number, which one of `NAMES` may precede (`Score: 0.8`), and which the scale that was asked
   for may follow (`0.8/1`, `0.8 out of 1`), or the end of the table's line (`0.8 |`).
5. The number is from 0 to 1, with a decimal point and ASCII digits. `0.` and `1.` are none: so
   begins a grade whose rest is missing. `8/10`, `80%` and `0,8` are none: the scale is a guess.
"""

import json
import re

from vipbench.endpoints.replies import Reply, is_cut
from vipbench.scoring.extraction.reasoning import last_spoken, unwrapped

NAMES = ("score", "grade", "correctness", "correctness score", "final score", "final grade")
"""What a reply may call a grade, in lower case."""
OTHER_SCALE = "on another scale"
"""Why a number is no grade that is above 1, or that says of how many or of a hundred."""
LONGEST = 2_000
"""Characters of what is left of a reply without its reasoning; a longer one is no grade."""
NUMBER = r"[+-]?(?:\d+(?:\.\d+)?|\.\d+)"
_GRADE = re.compile(
    rf"[*_]*(?:(?P<name>[a-z ]{{1,20}}?)[*_ ]*[:=][*_ ]*)?(?P<number>{NUMBER})"
    r"[*_]*(?:\s?/\s?1(?:\.0)?|\s+out of\s+1(?:\.0)?)?(?P<end>\s?\||\.)?",
    re.ASCII | re.IGNORECASE,
)
_NUMBER = re.compile(NUMBER, re.ASCII)
_SCALE = re.compile(r"(?![01]\.$)\d+(?:\.\d+)?(?:\s?%|\s?/\s?\d+|\s+out of\s+\d+)?\.?", re.ASCII)


def read_grade(reply: Reply) -> float | None:
    """Return the grade 0-1 that a reply is, or None where it is none."""
    if reply.text is None or is_cut(reply) or reply.finish not in ("stop", "unknown"):
        return None
    return parse_grade(reply.text)


def parse_grade(text: str) -> float | None:
    """Return the grade 0-1 that a whole text is, or None; see the rule above."""
    said = last_spoken(text)
    if said is None:
        return None
    said = unwrapped(said)
    if len(said) > LONGEST:
        return None
    return _in_object(said) if said.startswith("{") else _alone(said)


def _alone(text: str) -> float | None:
    found = _GRADE.fullmatch(text)
    if not found or (found["name"] and found["name"].strip().lower() not in NAMES):
        return None
    if found["end"] == "." and "." not in found["number"]:
        return None  # `0.` may have been `0.8`
    return _grade(found["number"])


def _in_object(text: str) -> float | None:
    """Return the grade of a JSON object; None where it holds another number, or a grade twice."""
    try:
        pairs = json.loads(text, object_pairs_hook=list, parse_float=_Number, parse_int=_Number)
    except (ValueError, RecursionError):
        return None
    names = [name.strip().lower().replace("_", " ") for name, _ in pairs]
    grades = [value for name, (_, value) in zip(names, pairs, strict=True) if name in NAMES]
    others = [value for name, (_, value) in zip(names, pairs, strict=True) if name not in NAMES]
    if len(grades) != 1 or any(type(value) is not str for value in others):
        return None
    return _grade(grades[0]) if isinstance(grades[0], str) else None


class _Number(str):
    """A number of a JSON object, as it is written there."""

    __slots__ = ()


def _grade(text: str) -> float | None:
    """Return the number that a text is, where it is one from 0 to 1."""
    text = text.strip()
    if len(text) > 30 or not _NUMBER.fullmatch(text) or not 0 <= float(text) <= 1:
        return None
    return abs(float(text))  # -0.0


def why_none(reply: Reply) -> str:
    """Say in a few words why a reply is no grade."""
    if is_cut(reply):
        used = reply.used
        after = f" after {used.n_completion:,} tokens" if used else ""
        return f"cut{after}"
    if reply.finish == "filter":
        return "filtered"
    if reply.finish == "refusal" or (reply.refusal and not reply.text):
        return "refused"
    if not (reply.text or "").strip():
        return "empty"
    if _SCALE.fullmatch((last_spoken(reply.text or "") or "").strip()):
        return OTHER_SCALE
    return "not a grade alone"
