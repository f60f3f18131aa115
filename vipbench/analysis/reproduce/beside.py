"""Runs beside released answers: both under one judge, where the published judge is gone.

The number of a run under another judge says nothing about a published one. The paired difference
between the run and answers that the authors have released, under the same judge, can be held beside
the difference of the two published numbers: what a judge adds to all models alike is in neither.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from vipbench.analysis.pairs import Pair, Pairing, Side, change, pair_runs, read_side
from vipbench.analysis.reproduce.published import Published, Registry
from vipbench.analysis.reproduce.records import JUDGE_METRIC, WIDENING, Beside
from vipbench.analysis.reproduce.systems import find_match
from vipbench.errors import RunError
from vipbench.report.names import named
from vipbench.runfolder.judge_file import read_graded_by
from vipbench.runfolder.summary import ALL

BOTH = 2 * WIDENING
"""Points by which the interval of a difference is widened: either published value has an error."""


def hold_beside(
    folders: Sequence[Path],
    released: Path,
    registries: Sequence[Registry],
    *,
    system: str | None = None,
) -> list[Beside]:
    """Hold the difference between each run and released answers beside the published one.

    Args:
        folders: Run folders.
        released: Run folder of the released answers, such as `vipbench import` makes.
        registries: Published numbers.
        system: Name of the published system that the runs are of; default: that of their model.

    Raises:
        RunError: Different judges have graded, nobody has, or the samples differ; or no published
            number is about the released answers.
    """
    base = read_side(str(released))
    if not base.is_graded:
        raise RunError(
            f"{released}: has no grades of a judge · have it graded by the judge of the runs "
            "(`vipbench score`)"
        )
    numbers = [n for file in registries for n in file.numbers if n.not_comparable is None]
    known = [n for n in numbers if n.metric == JUDGE_METRIC and find_match(base.manifest, n, None)]
    if not known:
        raise RunError(
            f"{released}: no published grade is about {base.manifest.identity.model} · import the "
            "answers with `--model` as the registry names it, such as mucai/vip-llava-7b"
        )
    found: list[Beside] = []
    for folder in folders:
        if folder.resolve() == released.resolve():
            continue
        new = read_side(str(folder))
        of_run = [n for n in numbers if find_match(new.manifest, n, system)]
        for pairing in pair_runs(base, new, metric=JUDGE_METRIC, overlap="any"):
            found += _of_task(pairing, known, of_run)
    return found


def _of_task(
    pairing: Pairing, known: Sequence[Published], of_run: Sequence[Published]
) -> Iterator[Beside]:
    groups: dict[str, Sequence[Pair]] = {ALL: pairing.pairs}
    groups |= {group.name: pairs for group, pairs in pairing.by_group()}
    unique = {(n.system, n.group, n.value): n for n in reversed(list(_of(of_run, pairing.task)))}
    ours: list[Published | None] = [*reversed(unique.values())]
    for number in ours or [None]:
        group = ALL if number is None else number.group
        theirs = [n for n in _of(known, pairing.task) if n.group == group]
        if group in groups and theirs:
            # The same source states both, where it does.
            first = min(theirs, key=lambda n: number is None or n.source != number.source)
            one = _beside(pairing, group, groups[group], first, number)
            if one is not None:
                yield one


def _of(numbers: Iterable[Published], task: str) -> Iterator[Published]:
    return (n for n in numbers if (n.task, n.metric) == (task, JUDGE_METRIC))


def _beside(
    pairing: Pairing,
    group: str,
    pairs: Sequence[Pair],
    theirs: Published,
    ours: Published | None,
) -> Beside | None:
    difference = change(pairs)
    if difference is None:
        return None
    low, high = (100 * bound for bound in difference.bounds())
    published = None if ours is None else round(ours.value - theirs.value, 6)
    is_inside = None
    if published is not None:
        is_inside = low - BOTH - 1e-9 <= published <= high + BOTH + 1e-9
    return Beside(
        run=str(pairing.new.folder),
        model=pairing.new.manifest.identity.model,
        released=str(pairing.base.folder),
        task=pairing.task,
        group=group,
        judge=_judge(pairing.new),
        n=difference.n,
        n_clusters=difference.n_clusters,
        points=100 * difference.difference,
        ci_low=low,
        ci_high=high,
        ours=ours,
        theirs=theirs,
        published=published,
        is_inside=is_inside,
        reliable=difference.reliable,
        **named(pairing.new.called),
    )


def _judge(side: Side) -> str:
    graded_by = read_graded_by(side.folder)
    return "unknown" if graded_by is None else graded_by.label
