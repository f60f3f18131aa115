"""Batch plans are pure: the same lengths give the same batches, and every index is in one."""

import random

import pytest

from vipbench.errors import RunError
from vipbench.plan import plan_batches, plan_digest, prompt_length
from vipbench.schema import Request


def test_batches_are_sorted_by_length_then_index() -> None:
    assert plan_batches([5, 1, 5, 3, 1], 2) == [(1, 4), (3, 0), (2,)]


def test_the_requests_of_a_sample_stay_together() -> None:
    lengths = [5, 1, 4, 2, 9, 1]
    samples = ["a", "b", "c", "a", "b", "c"]
    # c: 4, a: 5, b: 9
    assert plan_batches(lengths, 2, samples) == [(2, 5), (0, 3), (1, 4)]
    alone = [str(i) for i in range(6)]
    assert plan_batches(lengths, 2, alone) == plan_batches(lengths, 2)


def test_every_index_is_in_exactly_one_batch() -> None:
    lengths = [random.Random(i).randrange(9) for i in range(101)]
    plan = plan_batches(lengths, 8)
    assert sorted(i for batch in plan for i in batch) == list(range(101))
    assert [len(batch) for batch in plan] == [8] * 12 + [5]
    spread = [max(lengths[i] for i in batch) - min(lengths[i] for i in batch) for batch in plan]
    assert max(spread) <= 1


def test_no_requests_give_no_batches() -> None:
    assert plan_batches([], 4) == []


@pytest.mark.parametrize("size", [0, -3])
def test_batch_size_below_one_is_refused(size: int) -> None:
    with pytest.raises(RunError, match=f"batch size {size} .*--batch-size"):
        plan_batches([1], size)


def test_digest_tells_plans_apart() -> None:
    digest = plan_digest(plan_batches([3, 1, 2], 2))
    assert digest == plan_digest([[1, 2], [0]])
    assert len({digest, plan_digest([[1], [2, 0]]), plan_digest([[0], [1, 2]])}) == 3


def test_prompt_length_counts_all_turns() -> None:
    request = Request(
        task="t", style="s", id="1", turns=("four", "a", "bc"), image="x.png", fit="pad",
        max_new_tokens=1, key="k",
    )  # fmt: skip
    assert prompt_length(request) == 7
