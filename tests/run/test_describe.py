"""The manifest tells what was run."""

from pathlib import Path

from PIL import Image

from tests.run.asking import rows
from tests.runs import make_task, settings
from vipbench.run.loop import run
from vipbench.runfolder import manifest as manifests


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
