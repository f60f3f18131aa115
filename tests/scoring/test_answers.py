from collections.abc import Callable

import pytest

from vipbench.scoring.answers import (
    matches_graded,
    matches_short,
    parse_choice,
    parse_short,
)
from vipbench.scoring.extraction import short


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("A", "A"),
        (" b \n", "B"),
        ("A.", None),
        ("A. The cup", None),
        ("(A)", None),
        ("AB", None),
        ("E", None),
        ("the answer is A", None),
        ("", None),
        (" ", None),
    ],
)
def test_a_choice_is_the_letter_and_nothing_else(text: str, answer: str | None) -> None:
    assert parse_choice(text, "ABCD") == answer


@pytest.mark.parametrize(
    ("text", "answer"), [(" 3\n", "3"), ("two", "two"), ("", None), (" ", None)]
)
def test_a_short_answer_is_whatever_is_there(text: str, answer: str | None) -> None:
    assert parse_short(text) == answer


@pytest.mark.parametrize(
    ("answer", "target", "right"),
    [
        (" Red ", "red", True),
        ("red", "RED", True),
        ("2", "2", True),
        ("two", "2", False),
        ("2 people", "2", False),
        ("2.", "2", False),
        # The official code strips the answer only; its targets have no white space to strip.
        ("red", "red ", True),
    ],
)
def test_a_short_answer_is_compared_as_a_whole(answer: str, target: str, right: bool) -> None:
    assert matches_short(answer, target) is right


@pytest.mark.parametrize(
    ("text", "target", "right"),
    [
        ("The number is 42.", "42<OR>forty-two", True),
        ("It says FORTY TWO!", "42<OR>forty-two", True),
        ("forty and two", "42<OR>forty-two", False),
        ("a red car and a dog", "red car<AND>dog", True),
        ("a red car", "red car<AND>dog", False),
        ("a car that is red", "red car", False),
        ("a cat", "cat<OR>dog<AND>bird", False),
        ("a dog, a bird", "cat<OR>dog<AND>bird", True),
        # Whole words: neither a part of a word nor a part of a number.
        ("category", "cat", False),
        ("42.5", "42", False),
        ("142", "42", False),
        ("-5", "5", False),
        ("x = \u22125", "-5", True),
        ("it costs $1,000", "1000", True),
        ("1,000", "000", False),
        ("from 3-5", "5", True),
        # Case, punctuation and repeated spaces.
        ("Stra\u00dfe", "STRASSE", True),
        ("tic-tac   toe", "Tic, Tac, Toe", True),
        ("\uff21\uff22", "ab", True),
        ("don't", "dont", False),
        # Nothing but symbols is sought as it stands; nothing at all never holds.
        ("a + b", "+", True),
        ("a - b", "+", False),
        ("anything", "", False),
        ("anything", "cup<OR>", False),
        ("cup", "cup<AND>", False),
        ("", "cup", False),
        # In scripts without spaces between words, signs; Latin words beside them stay whole.
        ("\u5b83\u662f\u7ea2\u8272\u7684", "\u7ea2\u8272", True),
        ("\u7ea2\u7684\u8272", "\u7ea2\u8272", False),
        ("\u306f\u3044\u3001\u8d64\u3044\u3067\u3059", "\u8d64", True),
        ("\u0e41\u0e21\u0e27\u0e2a\u0e35\u0e14\u0e33", "\u0e41\u0e21\u0e27", True),
        ("\u4e00\u4ef6T\u6064\u886b", "T\u6064", True),
        ("AT\u6064", "T\u6064", False),
        ("Hallo\u7ea2", "allo", False),
        ("Hallo\u7ea2", "hallo", True),
        ("\u5171 3\u53ea", "3", True),
        ("\u517113\u53ea", "3", False),
        ("\u51713.5\u7c73", "3", False),
    ],
)
def test_a_graded_target_is_sought_as_whole_words(text: str, target: str, right: bool) -> None:
    assert matches_graded(text, target) is right


def matches_as_stated(text: str, target: str) -> bool:
    answer = short.read(text, target)
    return answer is not None and short.matches(answer, target)


@pytest.mark.parametrize("target", ["red ", "red\n", " red", "\u00a0Red\t", "\u0130x ", "ΟΔΟΣ "])
@pytest.mark.parametrize("matches", [matches_short, matches_as_stated, matches_graded])
def test_white_space_around_a_target_is_not_part_of_it(
    matches: Callable[[str, str], bool], target: str
) -> None:
    assert matches(target, target)
    assert matches(target.strip(), target)


def test_white_space_in_a_symbol_counts_on_neither_side() -> None:
    assert matches_graded("it says + +", "+ +")
    assert not matches_graded("it says +", "+ +")
