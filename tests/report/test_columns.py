"""Columns of text: as wide as they may be, and nothing of them is cut off."""

import pytest

from vipbench.report.columns import fitted, fold, wrap


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        ("one two three", 8, ["one two", "three"]),
        ("one two", 7, ["one two"]),
        ("a vpbench_no_caption_radius_10", 12, ["a", "vpbench_no_", "caption_", "radius_10"]),
        ("runs/abc-def", 5, ["runs/", "abc-", "def"]),
        ("abcdefghij", 4, ["abcd", "efgh", "ij"]),
        ("abcdefghijk lm", 6, ["abcdef", "ghijk", "lm"]),
        ("", 5, [""]),
        ("rectangle:red:width=3", 14, ["rectangle:red:", "width=3"]),
        ("crop+full", 6, ["crop+", "full"]),
        ("about -10.25 points", 6, ["about", "-10.25", "points"]),
        ("task\n(a metric)", 7, ["task", "(a", "metric)"]),
        ("  5.0", 5, ["  5.0"]),
    ],
)
def test_lines_end_between_words_or_behind_a_mark_in_a_name(
    text: str, width: int, lines: list[str]
) -> None:
    assert list(wrap(text, width)) == lines
    assert "".join(lines).replace(" ", "") == "".join(text.split())


def test_no_word_is_broken_while_others_give_room() -> None:
    table = [("name", "title"), ("unbreakable", "some words of no importance")]
    assert list(fold(table, 24)) == [
        "name         title",
        "unbreakable  some words",
        "             of no",
        "             importance",
    ]


def test_a_terminal_that_is_too_narrow_gets_all_the_same() -> None:
    lines = list(fold([("abcdefghijkl", "mnopqrstuvwx", "yz")], 10))
    assert lines == ["abcdefgh  mnopqrst  yz", "ijkl      uvwx"]
    assert list(fold([("a", "b")], 80)) == ["a  b"]
    assert list(fold([], 80)) == []


def test_room_that_is_left_makes_a_column_whole() -> None:
    columns = [["group", "shape=mask contour"], ["a_long_name", "1"], ["another_name", "1"]]
    assert fitted(columns, 100) == [18, 11, 12]
    assert fitted(columns, 33) == [10, 11, 12]
