"""Batch plans are pure: the same lengths give the same batches, and every index is in one."""

import itertools
import random

import pytest

from vipbench.errors import RunError
from vipbench.runfolder.plan import BatchLimit, plan_batches, plan_digest, prompt_length
from vipbench.runfolder.sharing import Group
from vipbench.schema import Request


def test_batches_are_sorted_by_length_then_index() -> None:
    assert plan_batches([5, 1, 5, 3, 1], BatchLimit(2)) == [(0, 2), (3, 1), (4,)]


def test_the_requests_of_a_sample_stay_together() -> None:
    lengths = [5, 1, 4, 2, 9, 1]
    samples = [(name,) for name in "abcabc"]
    # c: 4, a: 5, b: 9
    assert plan_batches(lengths, BatchLimit(2), samples) == [(1, 4), (0, 3), (2, 5)]
    alone = [(i,) for i in range(6)]
    assert plan_batches(lengths, BatchLimit(2), alone) == plan_batches(lengths, BatchLimit(2))


def test_every_index_is_in_exactly_one_batch() -> None:
    lengths = [random.Random(i).randrange(9) for i in range(101)]
    plan = plan_batches(lengths, BatchLimit(8))
    assert sorted(i for batch in plan for i in batch) == list(range(101))
    assert [len(batch) for batch in plan] == [8] * 12 + [5]
    spread = [max(lengths[i] for i in batch) - min(lengths[i] for i in batch) for batch in plan]
    assert max(spread) <= 1


def test_no_requests_give_no_batches() -> None:
    assert plan_batches([], BatchLimit(4)) == []


@pytest.mark.parametrize("size", [0, -3])
def test_limits_below_one_are_refused(size: int) -> None:
    with pytest.raises(RunError, match=f"--batch-size {size} · expected at least 1"):
        plan_batches([1], BatchLimit(size))
    with pytest.raises(RunError, match=f"--token-budget {size} · expected at least 1"):
        plan_batches([1], BatchLimit(tokens=size))


def test_a_limit_of_one_is_one_at_a_time() -> None:
    assert plan_batches([1, 2], BatchLimit(1)) == [(1,), (0,)]
    assert plan_batches([1, 1], BatchLimit(tokens=1)) == [(0,), (1,)]


def test_a_batch_holds_no_more_tokens_than_it_may_padding_included() -> None:
    assert plan_batches([4, 1, 3, 3, 1, 6], BatchLimit(tokens=6)) == [
        (5,),
        (0,),
        (2, 3),
        (1, 4),
    ]
    assert plan_batches([2, 2, 2, 2], BatchLimit(tokens=6)) == [(0, 1, 2), (3,)]
    assert plan_batches([2, 2, 2, 2], BatchLimit(requests=2, tokens=6)) == [(0, 1), (2, 3)]
    lengths = [random.Random(i).randrange(1, 90) for i in range(300)]
    plan = plan_batches(lengths, BatchLimit(tokens=256))
    assert sorted(i for batch in plan for i in batch) == list(range(300))
    assert max(len(batch) * max(lengths[i] for i in batch) for batch in plan) <= 256
    for batch, after in itertools.pairwise(plan):  # none is smaller than it had to be
        grown = [*batch, after[0]]
        assert len(grown) * max(lengths[i] for i in grown) > 256


def test_a_sample_may_be_cut_where_its_requests_do_not_fit_together() -> None:
    samples = [("a",), ("b",), ("a",), ("b",)]
    assert plan_batches([3, 1, 1, 2], BatchLimit(tokens=4), samples) == [(0,), (2, 1), (3,)]


def test_a_budget_too_small_for_one_request_is_refused() -> None:
    with pytest.raises(
        RunError,
        match=r"--token-budget 5: is below the 7 tokens of one request \(t x\) · expected at",
    ):
        plan_batches([1, 7], BatchLimit(tokens=5), [("t", "y"), ("t", "x")])
    assert plan_batches([1, 7], BatchLimit(tokens=7)) == [(1,), (0,)]


def test_a_limit_says_what_it_is() -> None:
    assert str(BatchLimit(32)) == "32 requests"
    assert str(BatchLimit(tokens=65536)) == "65,536 tokens"
    assert str(BatchLimit(1, 1000)) == "1 request and 1,000 tokens"


def test_digest_tells_plans_apart() -> None:
    digest = plan_digest(plan_batches([3, 1, 2], BatchLimit(2)))
    assert digest == plan_digest([[0, 2], [1]])
    assert len({digest, plan_digest([[0], [2, 1]]), plan_digest([[1], [0, 2]])}) == 3


def test_the_digest_is_the_same_in_every_version() -> None:
    """A run that was stopped under an older version resumes only where its plan is still known."""
    known = "bb8bfd012cead4feda132268c59b45440da98e238ce0cb1e182e708cdaa52495"
    assert plan_digest([(0, 2), (1,)]) == known


def test_prompt_length_counts_all_turns() -> None:
    request = Request(
        task="t", style="s", id="1", turns=("four", "a", "bc"), image="x.png", fit="pad",
        max_new_tokens=1, key="k",
    )  # fmt: skip
    assert prompt_length(request) == 7


def test_what_is_read_once_stays_in_one_batch() -> None:
    def group(together: int) -> Group:
        return Group(0, together, 1, 1, together)

    groups = [group(number) for number in (1, 2, 1, 3, 2, 1)]
    lengths = [5, 4, 5, 9, 4, 3]
    assert plan_batches(lengths, BatchLimit(4), groups=groups) == [(3, 0, 2, 5), (1, 4)]
    # Three do not fit behind the first one, but into a batch of their own.
    assert plan_batches(lengths, BatchLimit(3), groups=groups) == [(3,), (0, 2, 5), (1, 4)]
    # What fits into no batch is cut.
    assert plan_batches(lengths, BatchLimit(2), groups=groups) == [(3, 0), (2, 5), (1, 4)]
    assert plan_batches(lengths, BatchLimit(tokens=15), groups=groups) == [(3,), (0, 2, 5), (1, 4)]


def test_of_what_is_read_once_the_limit_counts_what_is_read() -> None:
    # Six questions about a picture, 611 of whose 686 tokens are the same.
    groups = [Group(0, 1 + i, 611, 685, 0) for i in range(6)]
    limit = BatchLimit(tokens=2048)
    assert plan_batches([686] * 6, limit, groups=groups) == [(0, 1, 2, 3, 4, 5)]
    assert plan_batches([686] * 6, limit, groups=groups, room=5 * 686) == [(0, 1, 2, 3, 4), (5,)]
    assert plan_batches([686] * 6, BatchLimit(tokens=611 + 2 * 75), groups=groups) == [
        (0, 1),
        (2, 3),
        (4, 5),
    ]
    # Two styles of a sample read on alike up to its 680th token.
    groups = [Group(0, 1 + i // 2, 611, 680, 0) for i in range(6)]
    limit = BatchLimit(tokens=611 + 2 * (69 + 2 * 6))
    assert plan_batches([686] * 6, limit, groups=groups) == [(0, 1, 2, 3), (4, 5)]
    assert plan_batches([5, 5], BatchLimit(1), groups=groups[:2]) == [(0,), (1,)]


def test_groups_about_one_photograph_follow_each_other() -> None:
    # Two samples of one photograph, a of which is shown in two ways, and one of another.
    numbers, names = [0, 1, 2, 3, 1], [("a",), ("a",), ("c",), ("c",), ("b",)]
    lengths = [9, 5, 8, 7, 4]
    groups = [Group(number, number, 2, 2, number) for number in numbers]

    # By length alone, c would come between.
    assert plan_batches(lengths, BatchLimit(3), names, groups) == [(0, 1, 4), (2, 3)]
    # What fits into no batch, as a picture that all have in common, says nothing.
    assert plan_batches(
        [9, 8, 7, 1, 1, 1],
        BatchLimit(2),
        [("a",), ("c",), ("a",), ("a",), ("b",), ("c",)],
        [Group(number, number, 1, 1, number) for number in (0, 1, 2, 3, 3, 3)],
    ) == [(0, 2), (1, 3), (4, 5)]
