"""The verdicts: runs held against the registry of published numbers.

Runs no model and opens no image.
"""

from collections.abc import Sequence
from pathlib import Path
from statistics import stdev

from vipbench.analysis.reproduce.beside import hold_beside
from vipbench.analysis.reproduce.protocol import (
    disagreeing_numbers,
    protocol_differences,
    reasons_against,
    shortcomings,
)
from vipbench.analysis.reproduce.published import Published, Registry, read_registry
from vipbench.analysis.reproduce.records import (
    MEANINGLESS,
    WIDENING,
    Case,
    Comparison,
    Match,
    Ours,
    Reproduction,
    Unlisted,
    Verdict,
)
from vipbench.analysis.reproduce.results import Result, find_row, read_results
from vipbench.analysis.reproduce.systems import find_match
from vipbench.errors import RunError, nearest
from vipbench.runfolder.summary import ALL, Row


def reproduce(
    folders: Sequence[Path],
    *,
    system: str | None = None,
    everything: bool = False,
    released: Path | None = None,
    registry: Sequence[Registry] | None = None,
) -> Reproduction:
    """Hold finished runs against all published numbers of their tasks.

    A number is reproduced where it lies inside the run's 95 % interval, clustered by image and
    widened by `WIDENING` points on each side.

    Args:
        folders: Run folders; runs that differ by their seed only are one result.
        system: Name of the published system that the runs are of; default: that of their model.
        everything: List the numbers of other systems too, which are never comparable.
        released: Run folder of released answers; the difference of each run's grades from theirs
            stands beside that of the published numbers, and decides nothing.
        registry: Published numbers; default: those of vipbench.

    Raises:
        RunError: A run has not ended or is broken, or no published number is about `system`.
        TaskError: The registry is broken.
    """
    registries = read_registry() if registry is None else tuple(registry)
    if system is not None:
        check_system(system, registries)
    comparisons: list[Comparison] = []
    unlisted: list[Unlisted] = []
    for result in read_results(folders):
        for task in result.manifest.tasks:
            listed, n_others = _compare_task(result, task, registries, system, everything)
            comparisons += listed
            if n_others or not listed:
                reasons = () if listed else tuple(shortcomings(result, task))
                unlisted.append(
                    Unlisted(
                        runs=result.folders,
                        model=result.model,
                        task=task,
                        n=n_others,
                        reasons=reasons,
                        **result.named,
                    )
                )
    beside = hold_beside(folders, released, registries, system=system) if released else []
    return Reproduction(
        widening=WIDENING,
        comparisons=tuple(comparisons),
        unlisted=tuple(unlisted),
        beside=tuple(beside),
    )


def check_system(system: str, registries: Sequence[Registry], option: str = "--system") -> None:
    """Refuse a system that no published number is about; RunError names the nearest."""
    names = {number.system for file in registries for number in file.numbers}
    if system.casefold() not in {name.casefold() for name in names}:
        hint = nearest(system, names)
        raise RunError(f"{option} {system!r}: no published number is about it{hint}")


def _compare_task(
    result: Result,
    task: str,
    registries: Sequence[Registry],
    system: str | None,
    everything: bool,
) -> tuple[list[Comparison], int]:
    """Compare a result with the numbers of a task; also count those that are left out."""
    comparisons: list[Comparison] = []
    n_others = 0
    for file in registries:
        for number in (number for number in file.numbers if number.task == task):
            match = find_match(result.manifest, number, system)
            if match is None and not everything:
                n_others += 1
            else:
                comparisons.append(_compare(_case(result, number, file, match)))
    return comparisons, n_others


def _case(result: Result, number: Published, file: Registry, match: Match | None) -> Case:
    protocol = file.protocols[number.protocol]
    rows = [row for row in result.rows if row.task == number.task]
    style = result.manifest.tasks[number.task].headline
    if protocol.style is not None and protocol.style in {row.style for row in rows}:
        style = protocol.style
    metrics = [row.metric for row in rows if row.style == style]
    metric = number.metric if number.metric in metrics else next(iter(metrics), number.metric)
    return Case(
        result=result,
        number=number,
        file=file,
        protocol=protocol,
        match=match,
        style=style,
        metric=metric,
        row=find_row(rows, number.task, style, metric, number.group),
        whole=find_row(rows, number.task, style, metric, ALL),
    )


def _compare(case: Case) -> Comparison:
    """Compare one published number with one result."""
    row, value = case.row, case.number.value
    reasons = tuple(reasons_against(case))
    points = None
    if row is not None and row.accuracy is not None:
        meaningless = MEANINGLESS & {reason.code for reason in reasons}
        points = None if meaningless else round(100 * row.accuracy - value, 6)
    return Comparison(
        runs=case.result.folders,
        model=case.result.model,
        seeds=tuple(run.seed for run in case.result.runs),
        published=case.number,
        protocol=case.protocol,
        ours=None if row is None else _ours(case.result, row),
        verdict="not comparable" if reasons else _verdict(value, row),
        reasons=reasons,
        points=points,
        differences=tuple(protocol_differences(case)),
        disagreeing=tuple(disagreeing_numbers(case.number, case.file)),
        **case.result.named,
    )


def _verdict(published: float, row: Row | None) -> Verdict:
    """Say whether a percentage lies inside the widened interval of a row."""
    if row is None or row.ci_low is None or row.ci_high is None:
        return "not comparable"
    # A published value on the border is inside, however the border is rounded in binary.
    slack = WIDENING + 1e-9
    inside = 100 * row.ci_low - slack <= published <= 100 * row.ci_high + slack
    return "reproduced" if inside else "outside"


def _ours(result: Result, row: Row) -> Ours:
    by_seed = [
        find_row(run.rows, row.task, row.style, row.metric, row.group) for run in result.runs
    ]
    accuracies = [
        seed_row.accuracy
        for seed_row in by_seed
        if seed_row is not None and seed_row.accuracy is not None
    ]
    return Ours(
        style=row.style,
        metric=row.metric,
        n=row.n,
        n_expected=row.n_expected,
        n_clusters=row.n_clusters,
        n_errors=row.n_errors,
        n_ungraded=row.n_ungraded,
        accuracy=row.accuracy,
        stderr=row.stderr,
        ci_low=row.ci_low,
        ci_high=row.ci_high,
        by_seed=tuple(accuracies),
        spread=stdev(accuracies) if len(accuracies) > 1 else None,
    )
