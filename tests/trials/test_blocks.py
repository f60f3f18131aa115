"""The order of a sequential run, and its blocks."""

from vipbench.runfolder.manifest import Blocks
from vipbench.trials.blocks import DEFAULT, block_ends, cut, in_order

IDS = [f"q{number}" for number in range(1000)]


def test_the_order_is_that_of_seed_and_id_alone() -> None:
    assert in_order(0, IDS) == in_order(0, reversed(IDS))
    assert sorted(in_order(0, IDS)) == sorted(IDS)
    assert in_order(1, IDS) != in_order(0, IDS) != IDS
    some = IDS[::7]
    assert in_order(0, some) == [id_ for id_ in in_order(0, IDS) if id_ in set(some)]


def test_the_order_is_not_that_of_another_draw() -> None:
    # The samples of --limit are drawn by another key, or a race would ask them first.
    first = set(in_order(0, IDS)[:100])
    assert 0 < len(first & set(IDS[:100])) < 30


def test_blocks_grow_by_a_share_of_what_was_asked_before() -> None:
    assert block_ends(1000, DEFAULT) == [100, 200, 300, 400, 500, 625, 781, 976, 1000]
    assert block_ends(50, Blocks(size=20)) == [20, 40, 50]
    assert block_ends(5, Blocks(size=20)) == [5]
    assert block_ends(0, Blocks(size=20)) == []


def test_every_sample_is_in_one_block() -> None:
    blocks = cut(IDS, 3, Blocks(size=300))
    assert [len(block) for block in blocks] == [300, 300, 300, 100]
    assert [id_ for block in blocks for id_ in block] == in_order(3, IDS)
