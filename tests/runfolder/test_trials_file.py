from pathlib import Path

import pytest

from tests.runfolder.made import UGLY, trial, trials
from vipbench import files
from vipbench.errors import RunError
from vipbench.runfolder import trials_file
from vipbench.runfolder.folder import REQUESTS
from vipbench.runfolder.lines import ScoreLine


def test_trials_are_read_where_they_lie(tmp_path: Path) -> None:
    written = trials(tmp_path)
    assert len(written) == 5
    assert [each.id for each in written] == ["a", "b", "c", "d", "e"]
    assert written.read([3, 0]) == [trial("d"), trial("a")]
    assert written[2] == trial("c", text=UGLY)
    assert written[1:3] == [trial("b", error="no image"), trial("c", text=UGLY)]
    assert written.entries[2].length == len(UGLY + "An answer." + "Why?")
    assert [entry.key for entry in written.entries][:2] == ["key of a", None]


def test_opened_trials_are_those_that_were_written(tmp_path: Path) -> None:
    written = trials(tmp_path)
    opened = trials_file.open_trials(tmp_path / REQUESTS)
    assert opened.entries == written.entries
    assert list(opened) == list(written)


def test_a_line_of_another_kind_is_named(tmp_path: Path) -> None:
    trials(tmp_path)
    with pytest.raises(RunError, match=r"requests.jsonl:1: .*expected a ScoreLine"):
        list(files.read_lines(tmp_path / REQUESTS, ScoreLine))
