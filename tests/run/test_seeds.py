"""The same run under several seeds."""

import json
from pathlib import Path

from tests.runs import make_task, settings
from vipbench.run.seeds import run_seeds
from vipbench.runfolder import manifest as manifests
from vipbench.runfolder import summary, trials_file
from vipbench.runfolder.folder import NAME, REQUESTS
from vipbench.runfolder.name_file import write_name


def test_seeds_are_runs_of_the_same_samples(tmp_path: Path) -> None:
    folder = make_task(tmp_path / "task", n=20)
    path, rows_ = run_seeds(settings(folder, limit=7, seed=2, out=tmp_path / "out"), 3)
    assert path == tmp_path / "out" / "seeds.json"
    assert json.loads(path.read_text()) == [row.model_dump(mode="json") for row in rows_]
    folders = [tmp_path / "out" / f"seed-{seed}" for seed in (2, 3, 4)]
    ids = [{t.id for t in trials_file.open_trials(each / REQUESTS)} for each in folders]
    assert ids[0] == ids[1] == ids[2]
    assert len(ids[0]) == 7
    marks = [(each / REQUESTS).read_bytes() for each in folders]
    assert len(set(marks)) == 3
    demo = next(row for row in rows_ if row.style == "demo")
    expected = [summary.read_summary(each)[0].accuracy for each in folders]
    assert list(demo.accuracies) == expected
    digest = manifests.read(folders[0]).identity.settings.weights
    assert digest is not None
    assert (demo.name, demo.step, demo.weights) == ("tests.runs:Brightness", None, digest[:8])
    write_name(folders[0], "mine", 3)
    _, named = run_seeds(settings(folder, limit=7, seed=2, out=tmp_path / "out"), 3)
    assert {(row.name, row.step) for row in named} == {("mine", 3)}
    (folders[0] / NAME).unlink()
    again, same = run_seeds(settings(folder, limit=7, seed=2, out=tmp_path / "out"), 3)
    assert (again, same) == (path, rows_)
