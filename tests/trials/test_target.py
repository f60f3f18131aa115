"""What a target asks for, as text: an answer that the scorer of its kind takes."""

import pytest

from vipbench.schema import Kind
from vipbench.scoring.scorers import score_text
from vipbench.trials.target import right_text


@pytest.mark.parametrize(
    ("kind", "target", "text"),
    [
        ("choice", "B", "B"),
        ("short_answer", " red \n", "red"),
        ("short_answer", "a<OR>b", "a<OR>b"),
        ("graded", "a red car", "a red car"),
        ("graded", "red<OR>crimson<AND> two <OR>2", "red two"),
        ("graded", "<OR>crimson<AND>two", "crimson two"),
        ("graded", "<OR>", ""),
    ],
)
def test_the_text_is_the_first_alternative_of_each_part(kind: Kind, target: str, text: str) -> None:
    assert right_text(kind, target) == text


@pytest.mark.parametrize(
    ("kind", "target"),
    [("choice", "C"), ("short_answer", "ﬁve "), ("graded", "<OR>crimson<AND> two <OR>2")],
)
def test_the_scorer_of_its_kind_takes_it(kind: Kind, target: str) -> None:
    assert score_text(kind, right_text(kind, target), target, dict.fromkeys("ABCD", "")).value == 1
