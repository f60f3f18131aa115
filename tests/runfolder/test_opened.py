"""The door to a run; `tests/cli/test_tampered.py` goes through it with every command."""

from pathlib import Path

import pytest

import vipbench
from tests.runs import bind_again, make_task, settings
from vipbench.errors import RunError
from vipbench.run.loop import run
from vipbench.runfolder.folder import RESPONSES, SCORES, SUMMARY
from vipbench.runfolder.opened import open_run

PACKAGE = Path(vipbench.__file__).parent
ALONE = {
    "analysis/reproduce/results.py": "reads the summary, which opens the run",
    "analysis/sweep/scores.py": "reads the summary, which opens the run",
    "html/runs.py": "reads the summary, which opens the run",
    "report/leaderboard.py": "reads the summary, which opens the run",
    "exchange/export.py": "reads rows of a run that it has opened",
    "cli/ls_runs.py": "lists what runs have written, each file by itself",
    "cli/compare.py": "looks which runs were stopped early",
    "sequential/asking.py": "reads the summary, which opens the run",
    "cli/name.py": "sees whether it is a run that it names",
    "runfolder/progress.py": "looks how far a run has come",
    "run/extend.py": "reads what is opened when the run goes on",
    "report/chosen.py": "looks what runs are called",
    "run/dry_run.py": "reads the times of other runs only",
    "run/merge.py": "looks whose a folder is, in which it writes",
    "training/watch.py": "looks which checkpoint a run was made with",
    "kit/verify.py": "reads the summary, and holds each member of an archive against the others",
    "runfolder/bound.py": "holds the files against it",
    "runfolder/opened.py": "is the door",
}
"""Who may read a manifest without opening the run."""


def test_whoever_reads_a_run_opens_it() -> None:
    readers = {
        path.relative_to(PACKAGE).as_posix(): path.read_text(encoding="utf-8")
        for path in PACKAGE.rglob("*.py")
    }
    assert {name for name, text in readers.items() if "manifests.read(" in text} == ALONE.keys()
    for name, why in ALONE.items():
        assert ("read_summary(" in readers[name]) == why.startswith("reads the summary")


def test_a_run_that_is_what_it_was_is_opened(tmp_path: Path) -> None:
    results = run(settings(make_task(tmp_path)))
    assert open_run(results.path) == results.manifest


def test_files_that_nothing_binds_are_read_line_by_line(tmp_path: Path) -> None:
    folder = run(settings(make_task(tmp_path))).path
    path = folder / RESPONSES
    text = path.read_text()
    path.write_text(text + text.splitlines(keepends=True)[0])
    with pytest.raises(RunError, match=r"responses\.jsonl:21: answers own demo .* again"):
        open_run(folder)
    path.write_text(text + "torn")
    open_run(folder)


def test_lines_that_are_bound_are_not_read(tmp_path: Path) -> None:
    folder = run(settings(make_task(tmp_path))).path
    (folder / SCORES).write_text("not a score")
    (folder / SUMMARY).write_text("not a row")
    open_run(bind_again(folder))
    (folder / SCORES).write_text("not a score\n")
    with pytest.raises(RunError, match=r"scores\.jsonl:1: the line: broken JSON"):
        open_run(folder)
