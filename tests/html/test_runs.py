"""What a report takes from run folders, and how it shows hostile text."""

from pathlib import Path

import pytest

from tests.html.made import Item, write_run
from vipbench.errors import RunError
from vipbench.html.runs import (
    SIZE,
    TaskKey,
    image_size,
    read_runs,
    reveal_hidden,
    task_keys,
    task_labels,
)
from vipbench.runfolder import manifest as manifests


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("evil\u202etxt.exe", "evil⟨U+202E⟩txt.exe"),
        ("zero\u200bwidth", "zero⟨U+200B⟩width"),
        ("bell\x07", "bell⟨U+0007⟩"),
        ("lone \ud800", "lone ⟨U+D800⟩"),
        ("two\nlines", "two⟨U+000A⟩lines"),
        ("naïve 日本語 مرحبا 🙂", "naïve 日本語 مرحبا 🙂"),
    ],
)
def test_signs_that_a_page_hides_or_obeys_are_shown(text: str, expected: str) -> None:
    assert reveal_hidden(text) == expected


def test_lines_of_a_prompt_stay_lines() -> None:
    assert reveal_hidden("one\n\ttwo\x00", lines=True) == "one\n\ttwo⟨U+0000⟩"


def test_labels_tell_runs_of_one_model_apart(tmp_path: Path, images: Path) -> None:
    folders = [
        write_run(tmp_path / name, [Item()], images=images, model=model, seed=seed)
        for name, model, seed in (("a", "m", 0), ("b", "m", 1), ("c", "m", 1), ("d", "other", 0))
    ]
    assert [run.label for run in read_runs(folders)] == [
        "m (hf, greedy, float32, seed 0)",
        "m (hf, greedy, float32, seed 1) (run 2)",
        "m (hf, greedy, float32, seed 1) (run 3)",
        "other",
    ]


def test_a_run_that_is_named_twice_stands_once(run: Path) -> None:
    assert len(read_runs([run, run / "."])) == 1


def test_an_unfinished_run_is_refused(run: Path) -> None:
    (run / "summary.json").unlink()
    with pytest.raises(RunError, match=r"summary\.json: does not exist \(the run has not ended\)"):
        read_runs([run])


def test_tasks_of_other_versions_or_data_are_other_tasks(tmp_path: Path, images: Path) -> None:
    runs = read_runs(
        [
            write_run(tmp_path / "a", [Item()], images=images),
            write_run(tmp_path / "b", [Item()], images=images, version=2),
            write_run(tmp_path / "c", [Item()], images=images, synthetic=True),
        ]
    )
    keys = task_keys(runs)
    assert keys == [TaskKey("own", 1, False), TaskKey("own", 2, False), TaskKey("own", 1, True)]
    assert list(task_labels(keys).values()) == ["own v1", "own v2", "own v1 synthetic"]
    assert runs[0].row(keys[1], "demo", "text_match") is None


def test_the_size_is_that_of_the_models(tmp_path: Path, images: Path) -> None:
    known = write_run(tmp_path / "a", [Item()], images=images, image_size=64)
    unknown = write_run(tmp_path / "b", [Item()], images=images, image_size=None)
    assert image_size(read_runs([known, unknown])) == 64
    assert image_size(read_runs([unknown])) == SIZE


def test_models_of_one_name_are_labelled_by_their_weights(tmp_path: Path, images: Path) -> None:
    folders = [write_run(tmp_path / name, [Item()], images=images, model="m") for name in "ab"]
    made = manifests.read(folders[1])
    settings = made.identity.settings.model_copy(update={"weights": 64 * "e"})
    identity = made.identity.model_copy(update={"settings": settings})
    manifests.write(folders[1], made.model_copy(update={"identity": identity}))
    runs = read_runs(folders)
    assert [run.label for run in runs] == [run.name for run in runs]
    assert [run.label for run in runs] == ["m (weights 00000000)", "m (weights eeeeeeee)"]
