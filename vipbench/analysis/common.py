"""What several runs have in common, where some of them were extended: tasks and samples."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from vipbench.analysis.overlap import listed
from vipbench.analysis.pairs import Side, pair_runs

Common = Mapping[tuple[str, str], frozenset[str]]
"""(task, metric) that all runs have -> ids of the samples that all of them have."""
SHOWN_RUNS = 3


def common_samples(sides: Sequence[Side]) -> Common:
    """Return what can be compared over all runs: the samples that one of them has, and all others.

    Raises:
        RunError: Two of the runs cannot be paired: each lacks samples of the other, or what one
            has more was not asked under the same protocol.
    """
    start, *others = sides
    common: dict[tuple[str, str], frozenset[str]] | None = None
    for other in others:
        found = {
            (pairing.task, pairing.metric): frozenset(pair.base.id for pair in pairing.pairs)
            for pairing in pair_runs(start, other, overlap="one")
        }
        before = found if common is None else common
        common = {key: ids & found[key] for key, ids in before.items() if key in found}
    assert common is not None  # there are two runs
    for key, ids in common.items():
        fewest = min(sides, key=lambda side: len(side.lines[key]))
        if len(ids) < len(fewest.lines[key]):
            for side in sides:  # one of them lacks some of these, and has others
                pair_runs(fewest, side, overlap="one")
    return common


def left_out(sides: Sequence[Side], common: Common) -> list[str]:
    """Say which samples and tasks are not looked at, since not all runs have them."""
    groups: dict[tuple[int, tuple[str, ...]], list[str]] = defaultdict(list)
    for (task, metric), ids in common.items():
        more = tuple(
            f"{side.name} has {len(side.lines[task, metric]):,}"
            for side in sides
            if len(side.lines[task, metric]) > len(ids)
        )
        groups[len(ids), more].append(task)
    kept = [task for task, _ in common]
    notes = [
        f"{listed(tasks, kept)}: on the {n:,} samples that all runs have; {_few(more)}"
        for (n, more), tasks in groups.items()
        if more
    ]
    lone: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for task in dict.fromkeys(task for side in sides for task, _ in side.lines):
        if task not in kept:
            lacking = tuple(s.name for s in sides if s.headline_metric(task) is None)
            lone[lacking].append(task)
    for lacking, tasks in lone.items():
        why = f"{_few(lacking)} {'has' if len(lacking) == 1 else 'have'} no score of it"
        why = why if lacking else "the runs have no metric of it in common"
        notes.append(f"{', '.join(tasks)}: not shown: {why}")
    return notes


def _few(texts: Sequence[str]) -> str:
    more = len(texts) - SHOWN_RUNS
    return ", ".join(texts[:SHOWN_RUNS]) + (f" and {more} more" if more > 0 else "")
