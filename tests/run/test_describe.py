"""The manifest tells what was run."""

from pathlib import Path

import pytest
from PIL import Image

from tests.run.asking import rows
from tests.runs import make_task, settings
from vipbench.errors import RunError
from vipbench.run.describe import TRAINER_STATE, step_in
from vipbench.run.loop import run
from vipbench.runfolder import manifest as manifests
from vipbench.runfolder.name_file import Name, read_name


def test_the_manifest_tells_what_was_run(tmp_path: Path) -> None:
    make_task(tmp_path, n=10)
    Image.new("L", (48, 32), 90).save(tmp_path / "0.png")
    results = run(settings(tmp_path, styles="mask:red,given"))
    manifest = manifests.read(tmp_path / "run")
    assert manifest == results.manifest
    assert manifest.identity.suite == "custom"
    assert manifest.identity.runner == "tests.runs:Brightness"
    assert manifest.settings_digest == manifests.settings_digest(manifest.identity.settings)
    task = manifest.tasks["own"]
    assert (task.n_samples, task.headline, task.fit) == (10, "mask:red", "pad")
    assert (task.image_modes, task.boxes_for_polygons) == ({"L": 1}, 10)
    assert manifest.notes == ("own: style given left out, since its images hold no marks",)
    assert (manifest.batch_size, manifest.n_requests, manifest.n_starts) == (4, 10, 1)
    assert manifest.finished is not None
    assert manifest.times.total > 0
    assert manifest.times.n_answered == 10
    assert manifest.peak_memory_mib > 10


def test_a_subset_is_marked_as_one(tmp_path: Path) -> None:
    results = run(settings(make_task(tmp_path), limit=6))
    row = rows(results)["own", "demo"]
    assert (row.n, row.n_expected, row.n_errors) == (6, 20, 0)
    chosen = run(settings(tmp_path, ids=("q3", "q1"), out=tmp_path / "ids"))
    assert list(chosen.scores["id"]) == ["q1", "q3"]
    assert rows(chosen)["own", "demo"].n_expected == 20


def test_the_breakdown_lists_what_styles_vary(tmp_path: Path) -> None:
    folder = make_task(tmp_path, n=6)
    done = run(settings(folder, styles="demo,permuted; rectangle x red,blue"))
    axes = {row.group.partition("=")[0] for row in done.rows}
    assert {"width", "alpha", "position"} <= axes
    plain = run(settings(folder, styles="demo", out=tmp_path / "plain"))
    axes = {row.group.partition("=")[0] for row in plain.rows}
    assert not axes & {"width", "alpha", "position"}


@pytest.mark.parametrize(
    ("folder", "state", "step"),
    [
        ("expA/checkpoint-600", '{"global_step": 5}', 600),
        ("expA/final", '{"global_step": 777, "log_history": [{"loss": NaN}]}', 777),
        ("expA/final", '{"global_step": 0}', 0),
        ("expA/final", '{"global_step": -1}', None),
        ("expA/final", '{"global_step": true}', None),
        ("expA/final", '{"global_step": "5"}', None),
        ("expA/final", "[]", None),
        ("expA/final", "{", None),
        ("expA/final", None, None),
    ],
)
def test_the_step_is_what_the_folder_tells(
    tmp_path: Path, folder: str, state: str | None, step: int | None
) -> None:
    (place := tmp_path / folder).mkdir(parents=True)
    if state is not None:
        (place / TRAINER_STATE).write_text(state)
    assert step_in(place) == step


def test_the_path_of_a_model_is_kept_and_that_of_a_home_folder_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_task(tmp_path / "task", n=5)
    (model := tmp_path / "expA" / "checkpoint-600").mkdir(parents=True)
    made = run(settings(tmp_path / "task", model=str(model))).manifest
    assert (made.model_path, made.step) == (str(model), 600)
    monkeypatch.setenv("HOME", str(tmp_path))
    given = settings(tmp_path / "task", model="~/expA/checkpoint-600", out=tmp_path / "b")
    assert run(given).manifest.model_path == "~/expA/checkpoint-600"
    alone = run(settings(tmp_path / "task", out=tmp_path / "c")).manifest
    assert (alone.model_path, alone.step) == ("", None)


def test_a_name_is_written_beside_the_manifest_and_goes_with_it(tmp_path: Path) -> None:
    make_task(tmp_path, n=5)
    plain = run(settings(tmp_path))
    assert read_name(plain.path) == Name()
    named = run(settings(tmp_path, name=" expA ", step=3))
    assert named.manifest == plain.manifest
    assert read_name(named.path) == Name(name="expA", step=3)
    run(settings(tmp_path))
    assert read_name(named.path) == Name(name="expA", step=3)
    run(settings(tmp_path, fresh=True, step=4))
    assert read_name(named.path) == Name(step=4)


@pytest.mark.parametrize("wrong", [{"name": ""}, {"name": "a\nb"}, {"step": -1}, {"step": 1.0}])
def test_what_can_be_no_name_or_step_is_refused(tmp_path: Path, wrong: dict[str, object]) -> None:
    with pytest.raises(RunError, match=r"^(name|step) .*: .* · expected .* · "):
        settings(tmp_path, **wrong)
