"""`vipbench ls runs` as a user meets it."""

import shutil
from pathlib import Path

from tests.cli.conftest import Vipbench
from tests.runfolder.test_progress import unfinish
from vipbench.cli.ls_runs import _minute, _widths
from vipbench.runfolder import manifest as manifests


def test_runs_are_listed_with_what_came_of_them_the_last_changed_first(
    vipbench: Vipbench, done: Path
) -> None:
    runs = {"expA/checkpoint-600": "2026-01-01", "b": "2026-01-03", "c": "2026-01-02"}
    for number, (name, day) in enumerate(runs.items()):
        folder = Path(shutil.copytree(done, Path("runs", str(number))))
        when = f"{day}T10:11:12+00:00"
        times = {"started": "2025-12-31T00:00:00+00:00", "finished": when}
        manifests.write(folder, manifests.read(folder).model_copy(update=times))
        assert vipbench("name", folder, name).code == 0
    unfinish(Path("runs/1"), 5)
    code, out, err = vipbench("ls", "runs", "runs")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "runs in runs, last changed first:"
    assert [line.split()[0] for line in lines[2::2]] == ["b", "c", "expA/checkpoint-600"]
    assert [line.split()[0] for line in lines[3::2]] == ["runs/1", "runs/2", "runs/0"]
    assert "unfinished 5/" in lines[2]
    assert lines[6].split() == [
        *("expA/checkpoint-600", "600", "demo", "100.0", "01-01", "10:11"),
        "finished",
    ]
    assert lines[7] == "    runs/0 · visual7w_pointing text_match +5"
    assert max(map(len, lines)) <= 80
    assert len(lines) == 8  # two a run
    assert vipbench("ls", "runs", "--runs", "runs").out == out
    [_, _, alone, _] = vipbench("ls", "runs", "runs/0").out.splitlines()
    assert alone.startswith("expA/checkpoint-600")


def test_long_names_fit_into_80_columns(vipbench: Vipbench, done: Path) -> None:
    made = manifests.read(done)
    long = "a_task_whose_name_is_much_longer_than_any_line_of_a_terminal_would_like_it_to_be_ever"
    tasks = {long: next(iter(made.tasks.values()))}
    identity = made.identity.model_copy(update={"tasks": {long: 1}})
    changed = made.model_copy(update={"tasks": tasks, "identity": identity})
    runs = Path("runs", "r" * 100)
    manifests.write(runs, changed.model_copy(update={"format": 1, "finished": None}))
    assert vipbench("name", runs, 50 * "ab", "--step", "123456789012").code == 0
    out = vipbench("ls", "runs", "runs").out
    assert max(map(len, out.splitlines())) <= 80
    assert all(text in "".join(out.split()) for text in ("r" * 100, long, "123456789012"))


def test_a_summary_that_was_edited_is_said_and_the_run_listed(
    vipbench: Vipbench, done: Path
) -> None:
    (done / "summary.json").write_text("[]")
    code, out, err = vipbench("ls", "runs", ".")
    assert code == 0
    assert "summary.json: holds 2 bytes of the" in err
    assert out.splitlines()[2].split()[:3] == ["oracle", "-", "-"]
    assert out.splitlines()[2].endswith("finished")


def test_a_folder_too_many_is_refused(vipbench: Vipbench, done: Path) -> None:
    for words in (("tasks", done), ("runs", done, "--runs", done)):
        ran = vipbench("ls", *words)
        assert (ran.code, len(ran.err.splitlines())) == (2, 1)
        assert f"ls {words[0]} done: is one too many · expected" in ran.err
    assert "no such folder" in vipbench("ls", "runs", "nowhere").err


def test_a_time_is_kept_whole_and_columns_fit() -> None:
    newest = "2026-11-30T12:51:09+00:00"
    assert _minute("2026-01-02T03:04:05+00:00", newest) == "01-02 03:04"
    assert _minute("2025-12-31T23:59:59+00:00", newest) == "2025-12-31"
    for longest in ((6, 4, 9, 11, 8), (20, 4, 25, 11, 20), (100, 30, 90, 11, 60)):
        widths = _widths(longest, 80)
        assert sum(widths) + 8 <= 80
        assert widths[3] == 11
    assert _widths((20, 4, 9, 11, 20), 80) == [20, 4, 9, 11, 20]
