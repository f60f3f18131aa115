"""Several trackers at once, and what is said where one of them fails."""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import pytest

from vipbench.errors import TrackerError
from vipbench.trackers import registry
from vipbench.trackers.session import Session


class Kept:
    """Keeps what it is told."""

    takes_files = True
    told: ClassVar[list[tuple[object, ...]]] = []

    def __init__(self, folder: Path, name: str) -> None:
        self.told.append(("open", folder, name))

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        self.told.append((step, dict(metrics)))

    def attach(self, path: Path, name: str) -> None:
        self.told.append((path, name))

    def close(self) -> None:
        self.told.append(("closed",))


class Full(Kept):
    """Has no room for numbers, and takes no files."""

    takes_files = False

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        raise OSError(28, "No space left on device")


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Kept, "told", [])
    for name in ("Kept", "Full"):
        monkeypatch.setitem(registry.BUILT_IN, name.lower(), f"tests.trackers.test_session:{name}")


def test_a_tracker_is_opened_when_there_is_something_to_tell(tmp_path: Path) -> None:
    session = Session(["kept", "kept"])
    assert Kept.told == []
    session.log(tmp_path, "vip", 3, {"a": 0.5})
    session.log(tmp_path, "vip", 4, {"a": 0.6})
    session.attach(lambda: tmp_path / "report.html", "report")
    session.close()
    session.close()
    assert Kept.told == [
        ("open", tmp_path, "vip"),
        (3, {"a": 0.5}),
        (4, {"a": 0.6}),
        (tmp_path / "report.html", "report"),
        ("closed",),
    ]


def test_no_file_is_made_for_a_tracker_that_takes_none(tmp_path: Path) -> None:
    session = Session(["full"])
    with pytest.raises(TrackerError, match=r"--log full: .*No space left.*nothing is lost · the"):
        session.log(tmp_path, "vip", 3, {"a": 0.5})
    session.attach(lambda: pytest.fail("is not needed"), "report")


def test_without_trackers_nothing_happens(tmp_path: Path) -> None:
    session = Session([])
    session.log(tmp_path, "vip", 3, {})
    session.attach(lambda: pytest.fail("is not needed"), "report")
    session.close()
