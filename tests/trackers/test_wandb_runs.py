"""The real wandb, offline: what it is told lies in its own file, below the folder."""

import importlib
import importlib.util
from pathlib import Path
from typing import Any

import pytest

from vipbench.errors import TrackerError
from vipbench.trackers.wandb_runs import WandbTracker


def test_a_package_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(TrackerError, match=r"wandb is not installed · expected vipbench\[wandb\]"):
        WandbTracker.check()


@pytest.fixture
def wandb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    pytest.importorskip("wandb")
    for name in ("WANDB_DATA_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "HOME"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.chdir(tmp_path)
    wandb = importlib.import_module("wandb")
    wandb.teardown()  # it reads its variables once a process
    yield wandb
    wandb.teardown()


def test_without_a_login_it_is_refused_before_the_run(
    wandb: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WANDB_MODE", raising=False)
    with pytest.raises(TrackerError, match=r"nobody is logged in · expected WANDB_API_KEY, or"):
        WandbTracker.check()


def test_offline_numbers_and_artefacts_are_kept(
    wandb: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    page = tmp_path / "report.html"
    page.write_text("<p>a report</p>")
    tracker = WandbTracker(tmp_path / "run", "vip")
    for step, value in ((100, 0.25), (200, 0.5)):
        tracker.log(step, {"vipbench/own/demo/text_match/accuracy": value})
    tracker.attach(page, "report of vip")
    summary = dict(wandb.run.summary)
    tracker.close()
    assert wandb.run is None
    assert summary["vipbench/step"] == 200
    assert summary["vipbench/own/demo/text_match/accuracy"] == 0.5
    wandb.teardown()  # its own process ends, and has written all
    [written] = (tmp_path / "run" / "wandb").glob("offline-run-*/*.wandb")
    content = written.read_bytes()
    assert b"vipbench/own/demo/text_match/accuracy" in content
    assert b"report-of-vip" in content
    assert not (tmp_path / "wandb").exists()


def test_a_run_that_is_active_is_taken_and_left_open(
    wandb: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    active = wandb.init(dir=str(tmp_path))
    tracker = WandbTracker(tmp_path / "run", "vip")
    tracker.log(1, {"a": 1.0})
    tracker.close()
    assert wandb.run is active
    active.finish()
