"""Several processes: the first one works, the others get what came of it."""

from typing import Any

import pytest

from vipbench.errors import RunError, VipbenchError
from vipbench.training import ranks
from vipbench.training.ranks import Ranks


class FakeGroup:
    """Two processes, one after the other: the second receives what the first has sent."""

    def __init__(self) -> None:
        self.rank = 0
        self.sent: list[Any] = []

    def is_available(self) -> bool:
        return True

    is_initialized = is_available

    def get_world_size(self) -> int:
        return 2

    def get_rank(self) -> int:
        return self.rank

    def new_group(self, *, backend: str, timeout: Any) -> str:
        assert (backend, timeout.days) == ("gloo", 7)
        return "all"

    def broadcast_object_list(self, objects: list[Any], src: int, group: str) -> None:
        assert (src, group) == (0, "all")
        if self.rank == 0:
            self.sent.append(objects[0])
        else:
            objects[0] = self.sent.pop()


@pytest.fixture
def group(monkeypatch: pytest.MonkeyPatch) -> FakeGroup:
    fake = FakeGroup()
    monkeypatch.setattr(ranks, "dist", fake)
    return fake


def test_the_first_works_and_all_have_the_result(group: FakeGroup) -> None:
    worked = []

    def work() -> int:
        worked.append(group.rank)
        return 7

    for group.rank in (0, 1):
        assert Ranks().first_does(work) == 7
    assert worked == [0]


def test_all_raise_what_the_first_has_raised(group: FakeGroup) -> None:
    def fail() -> None:
        raise RunError("a: b · c · d")

    for group.rank in (0, 1):
        with pytest.raises(RunError, match="a: b"):
            Ranks().first_does(fail)


def test_the_others_do_not_wait_for_one_that_broke_down(group: FakeGroup) -> None:
    def die() -> None:
        raise KeyError("a bug")

    with pytest.raises(KeyError):
        Ranks().first_does(die)
    group.rank = 1
    with pytest.raises(VipbenchError, match="ended without a word"):
        Ranks().first_does(die)


def test_one_process_asks_nobody() -> None:
    alone = Ranks()
    assert alone.is_first
    assert alone.first_does(lambda: 3) == 3
