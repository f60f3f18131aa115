"""Messages and bars: silent unless somebody asks, short in a log, whole on a terminal."""

import sys

import pytest

from vipbench.console import QUIET, STDERR, Console, visible


class Terminal:
    """A stderr that says it is one, and keeps what is written."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None:
        pass

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    "sign", ["\x1b", "\t", "\x9b", "\u202e", "\u2066", "\u200f", "\u061c", "\u2028", "\ud83d"]
)
def test_signs_that_steer_a_terminal_are_shown_by_their_number(sign: str) -> None:
    assert visible(f"a{sign}b\nc") == f"a{ascii(sign)[1:-1]}b\nc"


def test_letters_of_all_scripts_stay() -> None:
    text = "שלום 左 é 👩\u200d🚀"
    assert visible(text) == text


def test_by_default_nothing_is_said_or_shown(capfd: pytest.CaptureFixture[str]) -> None:
    QUIET.say("hello")
    assert list(QUIET.bar("steps", range(3))) == [0, 1, 2]
    assert capfd.readouterr() == ("", "")


def test_messages_go_where_they_are_taken(capfd: pytest.CaptureFixture[str]) -> None:
    said: list[str] = []
    Console(said.append).say("hello")
    STDERR.say("2 lines")
    assert said == ["hello"]
    assert capfd.readouterr() == ("", "2 lines\n")


def test_a_bar_counts_what_was_done_before(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with Console(shows_bars=True).bar("answering", total=10, initial=8) as bar:
        bar.update(2)
    assert "answering" in terminal.text
    assert "10/10" in terminal.text


def test_bytes_are_scaled(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with Console(shows_bars=True).bar("file", total=2_000_000, unit="B") as bar:
        bar.update(2_000_000)
    assert "2.00M/2.00M" in terminal.text


@pytest.mark.parametrize(("in_logs", "shown"), [(True, True), (False, False)])
def test_a_bar_can_be_kept_out_of_logs(
    in_logs: bool, shown: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    assert len(list(Console(shows_bars=True).bar("steps", range(3), in_logs=in_logs))) == 3
    assert ("steps" in capfd.readouterr().err) == shown
