"""TensorBoard's own reader finds what was written; without the package it is said."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from vipbench.errors import TrackerError
from vipbench.trackers.tensorboard_events import TensorBoardTracker


def test_scalars_are_read_back(tmp_path: Path) -> None:
    name = "tensorboard.backend.event_processing.event_accumulator"
    pytest.importorskip("tensorboard")
    accumulators: Any = importlib.import_module(name)
    tracker = TensorBoardTracker(tmp_path, "vip")
    for step, value in ((100, 0.25), (200, 0.5)):
        tracker.log(step, {"vipbench/own/demo/text_match/accuracy": value})
    tracker.attach(tmp_path, "report")
    tracker.close()
    found = accumulators.EventAccumulator(str(tmp_path / "tensorboard"))
    found.Reload()
    scalars = found.Scalars("vipbench/own/demo/text_match/accuracy")
    assert [(each.step, each.value) for each in scalars] == [(100, 0.25), (200, 0.5)]


def test_a_package_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(TrackerError, match=r"tensorboard is not installed · expected .* · install"):
        TensorBoardTracker.check()
