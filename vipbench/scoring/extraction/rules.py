"""The named rules that read an answer out of a text; a number is only compared under one rule."""

from collections.abc import Callable, Mapping
from typing import get_args

from vipbench.errors import RunError, nearest
from vipbench.schema import Rule
from vipbench.scoring.extraction import blink, exact, inst_it, lmms_eval, stated, vp_bench

Extract = Callable[[str, Mapping[str, str]], str | None]

RULES: Mapping[str, Extract] = {
    "exact": exact.extract,
    "stated": stated.extract,
    "blink": blink.extract,
    "vp_bench": vp_bench.extract,
    "inst_it": inst_it.extract,
    "lmms_eval": lmms_eval.extract,
}


def extract_answer(text: str, options: Mapping[str, str], rule: str = "stated") -> str | None:
    """Return the letter of the option that a text answers with, or None where it is unread.

    Args:
        text: as the model wrote it.
        options: letter -> text of the option, empty where that is not known.
        rule: `stated`, what the text states; `exact`, `blink`, `vp_bench`, `inst_it` or
            `lmms_eval`, as these benchmarks publish their numbers.

    Raises:
        RunError: There is no such rule.
    """
    known = get_args(Rule)
    if rule not in known:
        hint = nearest(rule, known)
        listed = f" · known: {', '.join(sorted(known))}"
        raise RunError(f"rule {rule!r} is unknown{hint if hint == listed else hint + listed}")
    return RULES[rule](text, options)
