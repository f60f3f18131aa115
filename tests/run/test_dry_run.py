"""What a run would do, without doing any of it."""

from pathlib import Path

import pytest

from tests.runs import make_task, settings
from vipbench.run.dry_run import dry_run
from vipbench.run.loop import run


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
