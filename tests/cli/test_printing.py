import io
import json
import logging
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tqdm import tqdm

from tests import results
from tests.cli.conftest import Vipbench
from vipbench import cli
from vipbench.cli import printing
from vipbench.cli.printing import (
    CONSOLE,
    print_columns,
    print_tables,
    put,
    put_json,
    put_sentence,
    say,
)
from vipbench.report.terminal import BreakdownTable, grid_table, plain_table, run_table
from vipbench.report.text import Grid


class Terminal(io.StringIO):
    """Shows a bar, as a file does not."""

    def isatty(self) -> bool:
        return True

    def lines(self) -> list[str]:
        """Return what can be read at the end: after a return, a line is written over."""
        shown = []
        for line in self.getvalue().split("\n"):
            seen = ""
            for part in line.split("\r"):
                seen = part + seen[len(part) :]
            shown.append(seen.rstrip())
        return shown


def test_what_is_said_under_way_has_lines_of_its_own_above_the_bar(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(sys, "argv", ["vipbench", "--version"])
    with pytest.raises(SystemExit):
        cli.main()
    with tqdm(total=4, desc="answering", disable=None) as bar:
        bar.update(1)
        say("worker 2 was killed\nin batch 3")
        logging.getLogger("vipbench.runners.hf").warning("out of memory with %d requests", 8)
        bar.update(3)
    first, second, last, end = terminal.lines()
    assert first == r"worker 2 was killed\nin batch 3"
    assert second == "out of memory with 8 requests"
    assert last.startswith("answering: 100%")
    assert end == ""


def test_without_a_bar_it_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    say("done\x1b[2J")
    assert capsys.readouterr() == ("", "done\\x1b[2J\n")


HOSTILE = "a\x1b[2J\x1b]0;b\x07\x9b31m\x7f\ud800"
SHOWN = r"a\x1b[2J\x1b]0;b\x07\x9b31m\x7f\ud800"


def test_nothing_that_is_printed_steers_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    put(f"{HOSTILE}\nend")
    print_columns([(HOSTILE, HOSTILE)])
    put_json({HOSTILE: HOSTILE})
    grid = Grid(HOSTILE, (HOSTILE,), [(HOSTILE,)])
    print_tables(grid_table(grid), plain_table(grid))
    name = HOSTILE[:-1]
    whole = results.row("vcr_qa", 0.5, 9, model=name, style=name)
    whole = whole.model_copy(update={"task": name})
    group = whole.model_copy(update={"group": f"shape={name}"})
    print_tables(run_table([whole]), BreakdownTable([group]))
    shown = capsys.readouterr().out
    assert not set(shown) & set(HOSTILE) - set(SHOWN)
    lines = shown.splitlines()
    assert lines[:3] == [SHOWN, "end", f"{SHOWN}  {SHOWN}"]
    end = shown.index("}") + 1
    assert json.loads(shown[shown.index("{") : end]) == {HOSTILE: HOSTILE}


def test_a_bar_does_not_steer_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with CONSOLE.bar("a\x1b[2J", total=1) as bar:
        bar.update(1)
    assert r"a\x1b[2J: 100%" in terminal.getvalue()
    assert "\x1b[2J" not in terminal.getvalue()


def test_commands_print_through_one_gate() -> None:
    """`put` and its kin show what steers a terminal; `print` is for a picture of ours alone."""
    bare = {
        (path.name, line.strip())
        for path in Path(printing.__file__).parent.glob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.search(r"(?<![\w.])print\(", line) and path.name not in ("printing.py", "app.py")
    }
    assert {name for name, _ in bare} == {"show.py"}
    assert all("half_blocks" in line for _, line in bare)


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


def test_tables_in_a_pipe_are_as_wide_as_columns_says(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    table = grid_table(Grid("", ("a", "b"), [("word " * 20, "word " * 20)]))
    for told, widest in (("80", 80), ("120", 120), ("", 160), ("wide", 160), (None, 160)):
        if told is None:
            monkeypatch.delenv("COLUMNS")
        else:
            monkeypatch.setenv("COLUMNS", told)
        print_tables(table)
        assert widest - 12 < max(map(len, capsys.readouterr().out.splitlines())) <= widest


def test_sentences_are_no_wider_than_a_terminal_and_whole_elsewhere(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "28")
    text = f"{HOSTILE} has words, and `vipbench show a/b 1` shows one"
    whole = f"{SHOWN} has words, and `vipbench show a/b 1` shows one"
    put_sentence(text)
    say(text)
    assert capsys.readouterr() == (f"{whole}\n", f"{whole}\n")
    out, err = Terminal(), Terminal()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    put_sentence(text, indent=4)
    say(text)
    lines = [SHOWN, "has words, and", "`vipbench show a/b 1`", "shows one"]
    assert out.getvalue().split("\n") == [lines[0], *(f"    {line}" for line in lines[1:]), ""]
    assert err.lines() == [lines[0], *(f"  {line}" for line in lines[1:]), ""]
