import time
from typing import get_args

import pytest

import vipbench
from vipbench.errors import RunError
from vipbench.schema import Rule
from vipbench.scoring.extraction.rules import RULES

OPTIONS = {"A": "the red cup", "B": "yes", "C": "3", "D": "the first image"}
ODD_TEXTS = (
    "",
    " ",
    "\n",
    "\ud800",
    "\udfff B",
    "\x00",
    "\u202eB",
    "\U0001f600",
    "\ufdfa" * 9,
    "A" * 99,
)


def test_each_rule_has_a_name_of_the_schema() -> None:
    assert set(RULES) == set(get_args(Rule))


def test_the_public_function_reads_by_rule() -> None:
    text, options = "The answer is (B)", {"A": "", "B": ""}
    assert vipbench.extract_answer(text, options) == "B"
    assert vipbench.extract_answer(text, options, rule="exact") is None
    assert vipbench.extract_answer(text, options, rule="vp_bench") == "A"
    assert vipbench.extract_answer("H", dict.fromkeys("ABCDEFGH", "")) == "H"


@pytest.mark.parametrize("rule", ["state", "lenient"])
def test_an_unknown_rule_names_those_that_there_are(rule: str) -> None:
    with pytest.raises(RunError, match=f"rule '{rule}' is unknown.*blink, exact.*stated"):
        vipbench.extract_answer("A", {"A": ""}, rule=rule)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("text", ODD_TEXTS)
def test_any_text_is_read_or_not(rule: str, text: str) -> None:
    for options in ({}, OPTIONS, dict.fromkeys("ABCDEFGHIJ", ""), {"A": "\ud800", "B": "((("}):
        assert vipbench.extract_answer(text, options, rule) in {None, *options}


MEGABYTE = 1_000_000


@pytest.mark.parametrize(
    "part",
    [
        *("(", "[", "is ", "A,", "A and ", "<think>", "\\boxed{", "<answer>", "A\n", " ", "\ud800"),
        *(
            "the answer is A. ",
            "option (A) is ",
            "the first or ",
            "therefore, ",
            "if I ",
            "1,",
            "*",
        ),
    ],
)
def test_a_long_text_is_read_in_no_time(part: str) -> None:
    text = part * (MEGABYTE // len(part))
    begun = time.process_time()
    vipbench.extract_answer(text, OPTIONS)
    assert time.process_time() - begun < 1
