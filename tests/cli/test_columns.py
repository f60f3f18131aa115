"""Tables in a terminal: as wide as it is, and nothing of them is cut off."""

import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Vipbench
from tests.cli.test_printing import Terminal
from vipbench.cli.columns import fold, wrap

Shown = Callable[..., list[str]]


@pytest.fixture
def shown(vipbench: Vipbench, monkeypatch: pytest.MonkeyPatch) -> Shown:
    """Run a command in a terminal of 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")

    def run(*arguments: str) -> list[str]:
        terminal = Terminal()
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", terminal)
            vipbench(*arguments)
        return terminal.getvalue().splitlines()

    return run


@pytest.mark.parametrize("what", ["tasks", "styles", "runners", "suites", "runs"])
def test_every_list_fits_a_terminal(done: Path, shown: Shown, what: str) -> None:
    lines = shown("ls", what, *(("--runs", ".") if what == "runs" else ()))
    assert len(lines) > 1
    assert max(map(len, lines)) <= 80


def test_a_name_that_is_folded_is_whole(shown: Shown) -> None:
    lines = shown("ls", "styles")
    width = re.match(r"style +", lines[0])
    assert width is not None
    names = "".join(line[: width.end()].strip() for line in lines)
    assert "vpbench_no_caption_color_red_yellow" in names
    assert "vpbench_no_marker_text_label_numbers" in names


def test_in_a_pipe_each_row_is_one_line(
    vipbench: Vipbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = vipbench("ls", "styles").out.splitlines()
    assert [line.split()[0] for line in lines].count("vpbench_no_caption_color_red_yellow") == 1
    assert max(map(len, lines)) > 80


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
    ],
)
def test_lines_end_between_words_or_behind_a_mark_in_a_name(
    text: str, width: int, lines: list[str]
) -> None:
    assert list(wrap(text, width)) == lines
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")


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
