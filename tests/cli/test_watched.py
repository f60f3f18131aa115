"""The lines that `vipbench watch` ends with."""

from pathlib import Path

import pytest

from tests.results import line, manifest, save_scores, task_run
from vipbench.cli.watched import print_overview
from vipbench.run.score import Results
from vipbench.runfolder.name_file import write_name
from vipbench.runfolder.summary import read_summary
from vipbench.training.watch import Looked

TASKS = ("visual7w_pointing", "vcr_qa", "vcr_qar", "pointqa_local")


def looked(folder: Path, n_tasks: int, step: int) -> Looked:
    """Write a run in which half of the answers are right, and return it as a watch does."""
    tasks = TASKS[:n_tasks]
    scores = [line(task, f"q{i}", float(i % 2)) for task in tasks for i in range(4)]
    made = manifest("vip", {task: task_run(task) for task in tasks})
    path = save_scores(folder, made, scores)
    write_name(path, step=step)
    return Looked(
        Path("out") / folder.name, Results(path, read_summary(path), made, 0), "not worse"
    )


def test_a_few_tasks_have_a_column_each(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    failed = Looked(Path("out/checkpoint-1200"), None, "")
    print_overview([looked(tmp_path / "a", 2, 1100), failed], Path("base"), Path("runs"))
    _, head, first, second, more = capsys.readouterr().out.splitlines()
    assert head.split("  ")[0] == "step"
    assert "visual7w_pointing, %  vcr_qa, %  against base  run" in head
    assert first.split() == ["1,100", "50.0", "50.0", "not", "worse", str(tmp_path / "a")]
    assert second.split() == ["1,200", "-", "-", "-", "out/checkpoint-1200:", "not", "evaluated"]
    assert more == "kinds of mark and drops over the steps: `vipbench history runs`"


def test_of_many_tasks_the_first_is_shown_and_the_others_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    print_overview([looked(tmp_path / "a", 4, 5)], None, Path("runs"))
    _, head, first, more = capsys.readouterr().out.splitlines()
    assert head.split() == ["step", "visual7w_pointing,", "%", "run"]
    assert first.split() == ["5", "50.0", str(tmp_path / "a")]
    assert more.startswith("3 more tasks, kinds of mark and drops")
