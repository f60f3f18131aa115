"""In which order a sequential run asks its samples, and where it stops to look at the answers.

The order is random, without replacement: what was asked so far stands for all samples of the task,
which is what a confidence sequence for a finite population needs.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise

from vipbench.prompts.marks import seed_of
from vipbench.runfolder.manifest import Blocks

SIZE, GROWTH = 100, 0.25
"""Of blocks that nobody chose: 100 samples, then a quarter of what was asked before. Ours: a look
costs nothing, and a batch of a later block is as large as memory lets it."""
DEFAULT = Blocks(size=SIZE, growth=GROWTH)


def in_order(seed: int, ids: Iterable[str]) -> list[str]:
    """Return the samples of a task in the order in which they are asked, under every style alike.

    Each is drawn by the seed and its own id: equal samples have one order, whatever else is asked.
    """
    return sorted(ids, key=lambda id_: (seed_of(seed, "sequential", id_), id_))


def block_ends(n: int, blocks: Blocks) -> list[int]:
    """Return how many of `n` samples have been asked at the end of each block."""
    ends: list[int] = []
    while (before := ends[-1] if ends else 0) < n:
        ends.append(min(n, before + max(blocks.size, int(blocks.growth * before))))
    return ends


def cut(ids: Sequence[str], seed: int, blocks: Blocks) -> list[list[str]]:
    """Cut the samples of a task into blocks."""
    ordered = in_order(seed, ids)
    return [ordered[start:end] for start, end in pairwise([0, *block_ends(len(ids), blocks)])]
