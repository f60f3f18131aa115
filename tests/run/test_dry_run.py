"""What a run would do, without doing any of it."""

from pathlib import Path

import pytest

from tests.runs import make_task, settings
from vipbench.data.locate import KEYS, OTHER_KEYS
from vipbench.run.dry_run import dry_run
from vipbench.run.loop import run
from vipbench.run.settings import RunSettings
from vipbench.schema import DataSource

DATA = Path(__file__).parent.parent / "data"
"""A few made records of each benchmark."""
RELEASES = {key: DataSource(DATA / key, DATA / key) for key in (*KEYS, *OTHER_KEYS)}


def test_a_dry_run_counts_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_task(tmp_path)
    (tmp_path / "0.png").unlink()
    before = sorted(tmp_path.iterdir())
    plan = dry_run(settings(tmp_path, styles="demo,none"))
    assert plan.counts == {("own", "demo"): 20, ("own", "none"): 20}
    assert plan.n_errors == {"own": 4}
    assert plan.n_left == 32
    assert plan.seconds is None
    assert plan.seconds_from.startswith("unknown")
    assert sorted(tmp_path.iterdir()) == before

    fields: dict[str, object] = {"styles": "demo,none", "max_errors": 1}
    results = run(settings(tmp_path, **fields))
    size = sum(path.stat().st_size for path in results.path.iterdir())
    assert 0.5 < plan.n_bytes / size < 2
    assert dry_run(settings(tmp_path, **fields)).n_left == 0
    again = dry_run(settings(tmp_path, **fields, fresh=True))
    assert again.n_left == 32
    assert results.manifest.times.n_answered == 32
    assert again.seconds == pytest.approx(results.manifest.times.generate)
    assert str(results.path) in again.seconds_from


def test_the_suite_field_asks_each_question_once(tmp_path: Path) -> None:
    plan = dry_run(RunSettings(suite="field", runner="majority", data=RELEASES, out=tmp_path))
    of_vcr = dict.fromkeys(["vcr_qa", "vcr_qar", "vcr_qar_turns"], "official_points")
    headlines = {"visual7w_pointing": "official_rectangles", "gar_bench_vqa": "contours"}
    headlines |= {**of_vcr, "vpbench_depth": "vpbench", "vpbench_semantic": "vpbench"}
    tasks = [task for task, _ in plan.counts]
    assert dict(plan.counts) == {
        (task, headlines.get(task, "given")): 3 if task in of_vcr else 4 for task in tasks
    }
    assert len(tasks) == 15
    assert plan.n_left == 57
    assert not any(plan.n_errors.values())


def test_the_suite_fragility_asks_each_question_17_times(tmp_path: Path) -> None:
    data = {"vpbench": RELEASES["vpbench"]}
    plan = dry_run(RunSettings(suite="fragility", runner="majority", data=data, out=tmp_path))
    assert {task for task, _ in plan.counts} == {"vpbench_depth", "vpbench_semantic"}
    assert list(plan.counts.values()) == [4] * 17 * 2
    assert not any(plan.n_errors.values())
