"""How many processes answer where that is left to the machine, and that nothing depends on it."""

from pathlib import Path

import pytest

from tests.run.asking import files, said
from tests.runs import make_task
from vipbench.bench.models import random_config
from vipbench.run import workers
from vipbench.run.settings import VIPLLAVA, RunSettings
from vipbench.run.workers import START_SECONDS, Machine, choose, saved_seconds
from vipbench.runners.vipllava.model_sizes import sizes_of

TINY, SMALL = (sizes_of(random_config(size)) for size in ("tiny", "small"))
GIB = 1 << 30


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> list[Machine]:
    """What is seen of the machine; the test puts one in."""
    seen = [Machine(4, 4, 64 * GIB)]
    monkeypatch.setattr(workers, "look", lambda: seen[-1])
    return seen


@pytest.mark.parametrize(
    ("seen", "expected", "why"),
    [
        (Machine(4, 4, 64 * GIB), 4, "4 of 4 cores are free, for 9,000 requests"),
        (Machine(4, 3, 64 * GIB), 3, "3 of 4 cores are free, for 9,000 requests"),
        (Machine(4, 1, 64 * GIB), 1, "1 of 4 cores are free"),
        (Machine(4, -1, 64 * GIB), 1, "0 of 4 cores are free"),
        (Machine(4, 4, 3 * GIB), 2, "4 of 4 cores are free, for 9,000 requests"),
        (Machine(4, 4, GIB), 1, "half of the 1,024 MiB of free memory does not hold two of 600"),
        (Machine(4, 4, None), 1, "it is not known how much memory is free"),
    ],
)
def test_free_cores_and_half_of_the_memory_decide(
    machine: list[Machine], seen: Machine, expected: int, why: str
) -> None:
    machine.append(seen)
    n, said = choose([80] * 9000, 300, TINY, 4)
    assert n == expected
    assert said.startswith(why)


def test_what_is_not_worth_the_start_is_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "look", None)
    few = "500 requests are too few to start more processes for"
    assert choose([80] * 500, 20, TINY, 4) == (1, few)
    assert choose([80] * 9000, 300, TINY, 1) == (1, "one core")
    assert choose([80] * 9000, 1, TINY, 4) == (1, "one batch")


def test_no_more_processes_than_batches(machine: list[Machine]) -> None:
    assert choose([80] * 9000, 3, TINY, 4)[0] == 3


def test_long_prompts_of_a_larger_model_are_worth_it_sooner() -> None:
    assert saved_seconds([80] * 1000, TINY, 2) < START_SECONDS
    assert saved_seconds([686] * 1000, SMALL, 2) > START_SECONDS
    assert saved_seconds([80] * 9000, TINY, 4) > saved_seconds([80] * 9000, TINY, 2)


def test_the_number_is_settled_once_it_is_known_what_is_left(
    tmp_path: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_task(tmp_path)
    options: dict[str, object] = {"runner": VIPLLAVA, "model": str(checkpoint), "device": "cpu"}
    one, before = said(tmp_path, out=tmp_path / "one", workers=1, **options)
    auto, messages = said(tmp_path, out=tmp_path / "auto", workers="auto", **options)
    assert [text for text in messages if text not in before] == [
        text for text in messages if text.startswith("workers: 1 (")
    ]
    assert auto.manifest.workers == 1
    assert auto.manifest.run_id == one.manifest.run_id
    assert files(auto.path) == files(one.path)
    seen: list[tuple[int, int]] = []

    def choose_one(lengths: list[int], n_batches: int, *_: object) -> tuple[int, str]:
        seen.append((len(lengths), n_batches))
        return 1, "so"

    monkeypatch.setattr(workers, "choose", choose_one)
    said(tmp_path, out=tmp_path / "auto", workers="auto", fresh=True, **options)
    said(tmp_path, out=tmp_path / "auto", workers="auto", **options)  # finished: nobody asks
    assert seen == [(auto.manifest.n_requests, auto.manifest.n_batches)]


def test_what_may_answer_otherwise_in_other_processes_has_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "choose", None)
    make_task(tmp_path)
    results, messages = said(tmp_path, out=tmp_path / "run", workers="auto")  # a plugin
    assert results.manifest.workers == 1
    assert not any(text.startswith("workers") for text in messages)


def test_auto_is_one_until_it_is_settled() -> None:
    assert RunSettings().workers == RunSettings(workers="auto").n_workers == 1
    assert not RunSettings(workers="auto").has_workers
    assert RunSettings(workers=3).has_workers
