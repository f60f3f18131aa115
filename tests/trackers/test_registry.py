from importlib.metadata import EntryPoint

import pytest

from vipbench.errors import TrackerError
from vipbench.trackers import registry
from vipbench.trackers.registry import check_trackers, find_tracker
from vipbench.trackers.tensorboard_events import TensorBoardTracker


def test_an_unknown_name_is_told_what_there_is() -> None:
    with pytest.raises(TrackerError, match="--log 'wandv': is not a tracker · did you mean 'wandb"):
        check_trackers(["wandv"])


def test_other_packages_bring_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    def points(*, group: str) -> list[EntryPoint]:
        value = "vipbench.trackers.tensorboard_events:TensorBoardTracker"
        found = {"own": value, "gone": "no.such_module:Class", "old": "vipbench.errors:Gone"}
        return [EntryPoint(name, value, group) for name, value in found.items()]

    monkeypatch.setattr(registry, "entry_points", points)
    assert find_tracker("own") is TensorBoardTracker
    with pytest.raises(TrackerError, match=r"--log gone: no\.such_module cannot be imported"):
        find_tracker("gone")
    with pytest.raises(TrackerError, match=r"--log old: vipbench\.errors has no class 'Gone'"):
        find_tracker("old")
