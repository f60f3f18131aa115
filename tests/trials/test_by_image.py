from collections.abc import Sequence

import pytest

from vipbench.console import QUIET
from vipbench.schema import Sample
from vipbench.trials import by_image
from vipbench.trials.by_image import map_images


def samples(*images: str) -> list[Sample]:
    return [
        Sample(id=f"q{n}", image=image, question="?", target="A", group=image)
        for n, image in enumerate(images)
    ]


def ids(results: Sequence[Sample]) -> list[str]:
    return [sample.id for sample in results]


def test_samples_that_share_an_image_come_together() -> None:
    calls: list[list[str]] = []

    def work(group: Sequence[Sample]) -> list[str]:
        calls.append(ids(group))
        return ids(group)

    assert list(map_images(work, samples("b", "a", "b", "c"), "test", QUIET)) == [
        *("q1", "q0", "q2", "q3")
    ]
    assert calls == [["q1"], ["q0", "q2"], ["q3"]]


def test_worker_processes_give_the_same_in_the_same_order(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = samples(*"badcab" * 20)
    alone = list(map_images(list, asked, "test", QUIET))
    monkeypatch.setattr(by_image, "SERIAL", 0)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    assert list(map_images(list, asked, "test", QUIET)) == alone
    assert ids(alone[:2]) == ["q1", "q4"]


def test_no_samples_no_results() -> None:
    assert list(map_images(list, [], "test", QUIET)) == []
