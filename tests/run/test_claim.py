"""Who may work in a run folder, and what is left there."""

import os
from pathlib import Path

import pytest

from tests.run.asking import files, said
from tests.runs import INTERRUPT_AT, make_task, settings
from vipbench.errors import RunError, RunInterrupted
from vipbench.run.loop import run
from vipbench.runfolder.folder import FILES, MANIFEST


def test_a_default_run_folder_is_named_by_what_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make_task(tmp_path / "tasks")
    first = run(settings(tmp_path / "tasks", out=None))
    again = run(settings(tmp_path / "tasks", out=None))
    other = run(settings(tmp_path / "tasks", out=None, seed=1))
    assert first.path == again.path
    assert first.path.parent == Path("results/runs")
    assert first.path.name.startswith("custom-tests.runs-Brightness-")
    assert other.path != first.path
    assert sorted(path.name for path in Path("results/runs").iterdir()) == sorted(
        (first.path.name, other.path.name)
    )


@pytest.mark.parametrize("name", FILES)
def test_files_of_somebody_else_are_left_alone(tmp_path: Path, name: str) -> None:
    make_task(tmp_path)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / name).write_text('{"my": "data"}\n')
    with pytest.raises(RunError, match=r"another -o|manifest of"):
        run(settings(tmp_path))
    if name == MANIFEST:
        with pytest.raises(RunError, match="is not the manifest of a run"):
            run(settings(tmp_path, fresh=True))
    assert [path.read_text() for path in (tmp_path / "run").iterdir()] == ['{"my": "data"}\n']


def test_what_a_killed_process_has_left_is_cleared_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make_task(tmp_path / "tasks")
    own, shared = Path("own"), Path("results/runs")
    for folder in (own, shared):
        folder.mkdir(parents=True)
        for name in (".requests-1-1.part", ".requests-2-2.part"):
            (folder / name).write_text("")
        os.utime(folder / ".requests-1-1.part", (1, 1))
    run(settings(tmp_path / "tasks", out=own))
    assert list(own.glob(".*")) == []
    run(settings(tmp_path / "tasks", out=None))
    # Another process may be at work there.
    assert [path.name for path in shared.glob(".*")] == [".requests-2-2.part"]


def test_ctrl_c_keeps_what_is_answered_and_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_task(tmp_path)
    monkeypatch.setenv(INTERRUPT_AT, "2")
    with pytest.raises(RunInterrupted, match="same command to resume") as caught:
        run(settings(tmp_path))
    assert caught.value.exit_code == 130
    monkeypatch.delenv(INTERRUPT_AT)
    results, messages = said(tmp_path)
    assert messages == [f"{tmp_path / 'run'}: resuming: 2 of 5 batches already answered"]
    assert results.n_answered == 12
    whole = run(settings(tmp_path, out=tmp_path / "whole"))
    assert files(whole.path) == files(results.path)
