import pytest

from vipbench.endpoints.meter import Tokens
from vipbench.endpoints.replies import Reply, told_cut
from vipbench.judge.reading import parse_grade, read_grade, why_none


@pytest.mark.parametrize(
    ("reply", "grade"),
    [
        ("1.0", 1.0),
        ("0", 0.0),
        ("1", 1.0),
        ("0.5\n", 0.5),
        (" 0.3", 0.3),
        (".5", 0.5),
        ("+0.5", 0.5),
        ("-0.0", 0.0),
        ("0.55", 0.55),
        ("\ufeff\u200b0.8", 0.8),
        # what it is wrapped in
        ("**0.8**", 0.8),
        ("`0.8`", 0.8),
        ('"0.8"', 0.8),
        ("```\n0.8\n```", 0.8),
        ('```json\n{"score": 0.8}\n```', 0.8),
        ('{"score": 0.8}', 0.8),
        ('{"Grade": "0.8"}', 0.8),
        ('{"correctness_score": 1}', 1.0),
        ('{"reasoning": "They agree: 1 of 2.", "score": 0.5}', 0.5),
        ("<think>\nOkay, 0.2 or 0.3?\n</think>\n\n0.8", 0.8),
        ("0.2 it may be.\n</think>\n0.8", 0.8),
        ("[THINK]Well.[/THINK]0.8", 0.8),
        ("<think>\n\n</think>\n\n**Score:** 0.8", 0.8),
        ("<|channel|>analysis<|message|>0.2?<|end|><|channel|>final<|message|>0.8<|return|>", 0.8),
        # what may stand before and behind it
        ("Score: 0.8", 0.8),
        ("score = 0.8", 0.8),
        ("**Final grade:** 0.8", 0.8),
        ("**Grade: 0.8**", 0.8),
        ("0.8/1", 0.8),
        ("0.8 / 1.0", 0.8),
        ("0.8 out of 1", 0.8),
        ("1/1", 1.0),
        ("0.8 |", 0.8),
        ("0.8.", 0.8),
        # a part of a grade
        ("0.", None),
        ("1.", None),
        (".", None),
        ("<think>\nOkay", None),
        ("<think>0.8", None),
        ("0.8 <think>or 0.3</think>", None),
        ('{"score', None),
        ("```json\n{", None),
        # another scale, another notation
        ("8/10", None),
        ("1/10", None),
        ("0.8/10", None),
        ("1 out of 10", None),
        ("80%", None),
        ("0.8%", None),
        ("8", None),
        ("1.1", None),
        ("-0.1", None),
        ("0,8", None),
        ("nan", None),
        ("inf", None),
        ("1e-1", None),
        ("0_1", None),
        ("\u0660.\u0665", None),
        ("\uff10.\uff18", None),
        ("9" * 5000, None),
        ('{"score": 8, "max": 10}', None),
        ('{"score": 1, "out_of": 10}', None),
        ('{"score": 0.8, "grade": 0.2}', None),
        ('{"score": 0.8, "score": 0.2}', None),
        ('{"score": true}', None),
        ('{"score": NaN}', None),
        ('{"score": [0.8]}', None),
        ('{"score": 1e-1}', None),
        ('{"confidence": 0.8}', None),
        ('{"score": 0.8} or so', None),
        ("[0.8]", None),
        ("{" * 3000, None),
        # a number in a sentence
        ("0.5 because", None),
        ("0.5 | 0.6", None),
        ("0.8\n\nThe answer names both.", None),
        ("The score is 0.8", None),
        ("1. The answer", None),
        ("Confidence: 0.8", None),
        ("Score: 0.8, Confidence: 0.9", None),
        ("0.8 or 0.9", None),
        ("between 0.0 and 1.0: 0.8", None),
        ("", None),
        ("   ", None),
        ("**", None),
        ("``````", None),
    ],
)
def test_a_reply_is_a_grade_as_a_whole_or_not_at_all(reply: str, grade: float | None) -> None:
    assert parse_grade(reply) == grade


def test_no_grade_is_below_zero() -> None:
    assert str(parse_grade("-0")) == "0.0"


def test_a_reply_that_was_cut_or_taken_away_is_no_grade() -> None:
    assert read_grade(Reply("0.8", finish="stop")) == 0.8
    assert read_grade(Reply("0.8")) == 0.8
    for finish in ("length", "filter", "refusal", "tool"):
        assert read_grade(Reply("0.8", finish=finish)) is None
    assert read_grade(Reply(None, finish="stop")) is None


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (Reply("0.", finish="length", used=Tokens(9, 3)), "cut after 3 tokens"),
        (Reply("0.", finish="length"), "cut"),
        (Reply(None, refusal="I can't help", finish="refusal"), "refused"),
        (Reply(None, refusal="HTTP 400: no", finish="filter"), "filtered"),
        (Reply(" ", finish="stop"), "empty"),
        (Reply("Well", finish="stop"), "not a grade alone"),
        (Reply("7", finish="stop"), "on another scale"),
        (Reply("80%", finish="stop"), "on another scale"),
        (Reply("<think>8?</think> 8/10", finish="stop"), "on another scale"),
        (Reply("0.", finish="stop"), "not a grade alone"),
    ],
)
def test_why_a_reply_is_no_grade(reply: Reply, why: str) -> None:
    assert why_none(reply) == why


def test_a_reply_that_fills_its_limit_was_cut_unless_the_server_says_otherwise() -> None:
    used = Tokens(9, 3)
    assert read_grade(told_cut(Reply("0", used=used), 3)) is None
    assert read_grade(told_cut(Reply("0", used=used), 4)) == 0
    assert read_grade(told_cut(Reply("0", used=used, finish="stop"), 3)) == 0
    assert read_grade(told_cut(Reply("0"), 3)) == 0
