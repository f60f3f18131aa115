"""Runs of one model that were made separately: put together, they are the run of all."""

import json
from pathlib import Path

import pytest

from tests.run.test_extend import asked, extended, without_segments
from tests.runs import bind_again, make_joint, make_task
from vipbench.errors import RunError
from vipbench.run.merge import merge
from vipbench.runfolder import manifest as manifests
from vipbench.runfolder.folder import MANIFEST, RESPONSES
from vipbench.runfolder.opened import open_run


def runs(folder: Path, *fields: dict[str, object]) -> list[Path]:
    """Run each with its own settings, and return the folders."""
    return [
        asked(folder, out=folder / f"run-{number}", **each).path
        for number, each in enumerate(fields)
    ]


def test_styles_and_tasks_of_several_runs_are_one_run(tmp_path: Path) -> None:
    make_joint(tmp_path)
    folders = runs(
        tmp_path,
        {"tasks": ("first",), "styles": "demo"},
        {"tasks": ("both",), "styles": "demo;blind"},
        {"tasks": ("second",), "styles": "none", "metrics": ("text_match",)},
    )
    kept = [(path / MANIFEST).read_bytes() for path in folders]
    made = merge(folders, tmp_path / "out")
    assert [(path / MANIFEST).read_bytes() for path in folders] == kept
    manifest = open_run(made.path)
    assert [segment.added for segment in manifest.segments] == [
        (), ("styles", "tasks"), ("styles",),
    ]  # fmt: skip
    assert [segment.n_requests for segment in manifest.segments] == [12, 36, 12]
    assert manifest.run_id == manifests.read(folders[0]).run_id
    assert manifest.metrics == ("text_match",)
    # The same styles for both tasks make what can be asked at once.
    whole = asked(tmp_path, tasks=("both",), styles="demo;blind", out=tmp_path / "whole")
    two = merge(folders[:2], tmp_path / "two")
    assert without_segments(two.path) == without_segments(whole.path)
    assert manifests.differences(two.manifest.identity, whole.manifest.identity) == []
    assert two.manifest.tasks == whole.manifest.tasks


def test_what_was_put_together_can_be_extended_and_put_together_again(tmp_path: Path) -> None:
    make_task(tmp_path)
    folders = runs(tmp_path, {"styles": "demo,none"}, {"styles": "demo,blind"})
    made = merge(folders, tmp_path / "out")
    assert [segment.n_requests for segment in made.manifest.segments] == [40, 20]
    grown = extended(tmp_path, styles="shuffled", out=made.path)
    assert grown.n_answered == 20
    other = asked(tmp_path, styles="wrong", out=tmp_path / "other").path
    again = merge([grown.path, other], tmp_path / "again")
    assert [s.n_requests for s in again.manifest.segments] == [40, 20, 20, 20]
    whole = asked(tmp_path, styles="demo,none,blind,shuffled,wrong", out=tmp_path / "whole")
    assert without_segments(again.path) == without_segments(whole.path)


def test_a_run_that_brings_nothing_is_left_out(tmp_path: Path) -> None:
    make_task(tmp_path)
    folders = runs(tmp_path, {"styles": "demo,none"}, {"styles": "none"})
    assert len(merge(folders, tmp_path / "out").manifest.segments) == 1


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"seed": 1}, r"run-1: cannot be put together with .*run-0 \(seed: 0 → 1\) · expected"),
        ({"limit": 5}, r"\(limit: none → 5\)"),
        ({"runner": "tests.runs:Splitting"}, r"\(runner: tests.runs:Brightness → "),
        ({"fit": "squash"}, r"\(fit of own: pad → squash\)"),
    ],
)
def test_what_forbids_it_is_named(tmp_path: Path, fields: dict[str, object], message: str) -> None:
    make_task(tmp_path)
    folders = runs(tmp_path, {"styles": "demo"}, {"styles": "blind"} | fields)
    with pytest.raises(RunError, match=message):
        merge(folders, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_two_answers_to_one_question_are_refused(tmp_path: Path) -> None:
    make_task(tmp_path)
    folders = runs(tmp_path, {"styles": "demo"}, {"styles": "demo,blind"})
    path = folders[1] / RESPONSES
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    lines[0]["text"] = "D"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    bind_again(folders[1])
    with pytest.raises(RunError, match=r"run-1: answers own demo q\d+ differently from .*run-0"):
        merge(folders, tmp_path / "out")


def test_other_data_are_refused(tmp_path: Path) -> None:
    make_task(tmp_path)
    (first,) = runs(tmp_path, {"styles": "demo"})
    path = tmp_path / "own.jsonl"
    path.write_text(path.read_text().replace('"answer": "A"', '"answer": "B"', 1))
    second = asked(tmp_path, styles="demo,blind", out=tmp_path / "second").path
    with pytest.raises(RunError, match=r"second: own demo q\d+ was asked or scored otherwise than"):
        merge([first, second], tmp_path / "out")


def test_one_run_alone_and_runs_among_shards_are_refused(tmp_path: Path) -> None:
    make_task(tmp_path)
    (folder,) = runs(tmp_path, {"styles": "demo"})
    with pytest.raises(RunError, match="is a whole run · expected what"):
        merge([folder], tmp_path / "out")


def test_a_run_given_twice_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    make_task(tmp_path)
    [folder] = runs(tmp_path, {})
    link = tmp_path / "link"
    link.symlink_to(folder)
    for again in (folder, folder / ".." / folder.name, link):
        with pytest.raises(RunError) as end:
            merge([folder, again], tmp_path / "merged")
        assert str(end.value).startswith(f"{again}: is given twice")
        assert not (tmp_path / "merged").exists()
