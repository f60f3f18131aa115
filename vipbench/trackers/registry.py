"""Which trackers there are: those that come along, and entry points of `vipbench.trackers`."""

import importlib
from collections.abc import Callable, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, cast

from vipbench.errors import TrackerError, nearest
from vipbench.trackers.contract import Tracker

GROUP = "vipbench.trackers"
BUILT_IN = {
    "tensorboard": "vipbench.trackers.tensorboard_events:TensorBoardTracker",
    "wandb": "vipbench.trackers.wandb_runs:WandbTracker",
}

Factory = Callable[[Path, str], Tracker]


def find_tracker(name: str) -> Factory:
    """Return what builds a tracker; TrackerError where there is none of that name."""
    known = BUILT_IN | {point.name: point.value for point in entry_points(group=GROUP)}
    if name not in known:
        raise TrackerError(f"--log {name!r}: is not a tracker{nearest(name, known)}")
    module_name, _, class_name = known[name].partition(":")
    try:
        factory = getattr(importlib.import_module(module_name), class_name, None)
    except ImportError as error:
        raise TrackerError(
            f"--log {name}: {module_name} cannot be imported ({error}) · expected an installed "
            "package · install it again, or leave --log out"
        ) from error
    if not callable(factory):
        raise TrackerError(
            f"--log {name}: {module_name} has no class {class_name!r} · expected what the entry "
            f"point of {GROUP} names · tell its authors"
        )
    return cast(Factory, factory)


def check_trackers(names: Sequence[str]) -> list[tuple[str, Factory]]:
    """Return what builds each tracker, once it is known that they can be used.

    Raises:
        TrackerError: One is not known, not installed, or lacks what it needs, such as a login.
    """
    found = []
    for name in dict.fromkeys(names):
        factory = find_tracker(name)
        check: Any = getattr(factory, "check", None)
        if check is not None:
            check()
        found.append((name, factory))
    return found
