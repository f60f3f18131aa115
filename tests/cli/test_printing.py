import io
import logging
import sys

import pytest
from tqdm import tqdm

from vipbench import cli
from vipbench.cli.printing import say


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
