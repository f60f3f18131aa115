"""Messages and bars: silent unless somebody asks, short in a log, whole on a terminal."""

import sys
from collections.abc import Iterator
from typing import Any

import pytest
from huggingface_hub.utils.tqdm import are_progress_bars_disabled

from vipbench.console import QUIET, STDERR, Console, columns_of, folded, hub_bars, visible


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


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("as wide as it may be", ["as wide as it may be"]),
        ("one word more than there is", ["one word more than", "  there is"]),
        ("  below a heading: one more", ["  below a heading:", "    one more"]),
        ("one (`vipbench show RUN ID` tells)", ["one", "  (`vipbench show RUN ID`", "  tells)"]),
        ("next: vipbench run --model a/b -o c", ["next:", "  vipbench run --model a/b -o c"]),
        ("a vipbench that is older than it", ["a vipbench that is", "  older than it"]),
        ("error: /a folder/b c/d e: holds no run", ["error: /a folder/b c/d e:", "  holds no run"]),
        ("time    unknown so far, at least", ["time    unknown so", "  far, at least"]),
        ("of it (vipbench data fetch vcr)", ["of it", "  (vipbench data fetch vcr)"]),
        ("a_word_that_is_longer_than_20", ["a_word_that_is_longer_than_20"]),
    ],
)
def test_a_message_is_folded_between_words(text: str, lines: list[str]) -> None:
    assert folded(text, 20).split("\n") == lines
    assert folded(text, None) == text


def test_a_terminal_says_how_wide_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    STDERR.say("out of memory with 8 requests at once\nanother")
    assert terminal.text == "out of memory with 8 requests\n  at once\nanother\n"
    assert columns_of(terminal) == 30  # type: ignore[arg-type]
    monkeypatch.setenv("COLUMNS", "")
    assert columns_of(terminal) == 80  # type: ignore[arg-type]


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


class Clock:
    """Says the time that it is told."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def log_of(
    capfd: pytest.CaptureFixture[str], seconds: float, total: int | None, steps: int, **bar: Any
) -> list[str]:
    """Return the lines of a log of so many steps, each of which takes so long."""
    clock = Clock()
    with Console(shows_bars=True, clock=clock).bar("answering", total=total, **bar) as shown:
        for _ in range(steps):
            clock.now += seconds
            shown.update()
    text = capfd.readouterr().err
    assert not set(text) & {"\r", "\x1b"}
    return text.splitlines()


def test_a_log_has_whole_lines_now_and_then(capfd: pytest.CaptureFixture[str]) -> None:
    lines = log_of(capfd, 3.0, 100, 100)  # five minutes: each tenth takes 30 s
    assert len(lines) == 10
    assert lines[0] == "answering: 10 of 100 samples (10 %), 0.3 samples/s, 4 min 30 s left"
    assert lines[-1] == "answering: 100 of 100 samples (100 %), 0.3 samples/s, 5 min 0 s"


def test_lines_of_a_log_are_ten_seconds_apart(capfd: pytest.CaptureFixture[str]) -> None:
    assert len(log_of(capfd, 0.3, 100, 100)) == 3  # 30 s: at 10.2, 20.4 and at the end


def test_a_log_of_hours_says_something_each_minute(capfd: pytest.CaptureFixture[str]) -> None:
    lines = log_of(capfd, 30.0, 1000, 8)
    assert [line.partition("), ")[0] for line in lines] == [
        *(f"answering: {n} of 1,000 samples (0 %" for n in (2, 4, 6, 8)),
        "answering: 8 of 1,000 samples (0 %",
    ]
    assert lines[0].endswith(" left")


@pytest.mark.parametrize("quick", [{"leave": False}, {"in_logs": False}])
def test_what_is_quick_leaves_nothing_in_a_log(
    quick: dict[str, bool], capfd: pytest.CaptureFixture[str]
) -> None:
    assert log_of(capfd, 0.01, 100, 100, **quick) == []
    assert len(log_of(capfd, 1.0, 100, 100, **quick)) == 10


def test_a_log_of_bytes_of_which_some_were_there(capfd: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    bar = Console(shows_bars=True, clock=clock).bar("file", total=4_000_000, unit="B")
    bar.n = bar.initial = 1_000_000
    clock.now = 20.0
    bar.refresh()
    clock.now = 30.0
    bar.update(1_000_000)
    bar.close()
    first, last = capfd.readouterr().err.splitlines()
    assert first == "file: 2.0 MB of 4.0 MB (50 %), 100.0 kB/s, 20 s left"
    assert last == "file: 2.0 MB of 4.0 MB (50 %), 100.0 kB/s, 30 s"


def test_a_log_of_something_without_a_known_end(capfd: pytest.CaptureFixture[str]) -> None:
    lines = log_of(capfd, 20.0, None, 4)
    assert lines == [
        "answering: 3 samples, 0.1 samples/s",
        "answering: 4 samples, 0.1 samples/s, 1 min 20 s",
    ]


def test_a_log_says_where_something_stopped(capfd: pytest.CaptureFixture[str]) -> None:
    clock = Clock()

    def stopping() -> Iterator[int]:
        clock.now += 4
        yield 1
        raise KeyboardInterrupt

    console = Console(shows_bars=True, clock=clock)
    with pytest.raises(KeyboardInterrupt):
        list(console.bar("vcr\x1b", stopping(), total=8))
    assert capfd.readouterr().err == "vcr\\x1b: 1 of 8 samples (12 %), 0.2 samples/s, 4 s\n"


def test_a_log_bar_takes_what_a_bar_takes(capfd: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    bar = Console(shows_bars=True, clock=clock).bar("model", unit="B")
    bar.reset(total=10)
    bar.set_postfix({"right": "0.25"})
    clock.now += 1
    bar.update(10)
    bar.close()
    bar.close()
    assert capfd.readouterr().err == "model: 10 B of 10 B (100 %), 10 B/s, 1 s, right 0.25\n"


def load_from_hub(bars: dict[str, Any], clock: Clock) -> None:
    """Count bytes twice and files once, as the library does with its own class."""
    drawn = bars["tqdm_class"]
    sent = drawn(desc="Downloading bytes", total=0, unit="B", unit_scale=True, name="a")
    kept = drawn(desc="Reconstructing", total=0, unit="B", unit_scale=True)
    with drawn(desc="Fetching 2 files", total=2) as files:
        kept.total = sent.total = 10_000
        for size in (6_000, 4_000):
            clock.now += 15
            sent.update(size)
            kept.update(size)
            files.update()
    for bar in (sent, kept):
        bar.set_description("complete")
        bar.close()


@pytest.mark.parametrize("total", [10_000, None])
def test_what_the_hubs_library_loads_is_in_a_log(
    capfd: pytest.CaptureFixture[str], total: int | None
) -> None:
    clock = Clock()
    with hub_bars("owner/name", Console(shows_bars=True, clock=clock), total) as bars:
        load_from_hub(bars, clock)
    shown = capfd.readouterr()
    assert shown.out == ""
    lines = shown.err.splitlines()
    assert lines[-1] == "owner/name: 10.0 kB of 10.0 kB (100 %), 333 B/s, 30 s"
    assert lines[0] == "owner/name: 6.0 kB of 10.0 kB (60 %), 400 B/s, 10 s left"


def test_a_terminal_has_the_bars_of_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    with hub_bars("owner/name", Console(shows_bars=True)) as bars:
        assert bars == {}
        assert not are_progress_bars_disabled()


def test_nothing_of_the_hubs_library_is_shown_where_nobody_asks() -> None:
    with hub_bars("owner/name", QUIET) as bars:
        assert bars == {}
        assert are_progress_bars_disabled()
    assert not are_progress_bars_disabled()
