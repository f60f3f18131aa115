"""Runs that were stopped early, against others: what all samples would say, told from a part."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from vipbench.analysis.pairs import Side, read_side
from vipbench.errors import RunError
from vipbench.files import read_lines
from vipbench.report.text import Grid, percent, points_interval
from vipbench.runfolder.folder import REQUESTS, RUN_ADVICE
from vipbench.schema import Trial
from vipbench.stats.sequences import bounds
from vipbench.trials.blocks import in_order

ALPHA = 0.05
"""Probability that a difference lies outside of its interval at any look, at most; of each row."""
HEADER = ("task", "asked", "base", "new", "difference")


class SequenceRow(NamedTuple):
    """The difference of two runs on a task, at least one of which was stopped early."""

    base: str
    new: str
    task: str
    metric: str
    n: int
    """Samples that both were asked."""
    n_all: int
    accuracy_base: float
    """Over these; so is the next."""
    accuracy_new: float
    difference: float
    lower: float
    """Of the difference over all samples."""
    upper: float


def compare_stopped(runs: Sequence[str], metric: str | None = None) -> list[SequenceRow]:
    """Compare each run with the first one, where one of the two at least was stopped early.

    Args:
        runs: as `compare` takes them.
        metric: None: the headline metric of each task.

    Raises:
        RunError: A run cannot be read, or two were not asked in one order.
    """
    base, *others = [read_side(run, may_be_stopped=True) for run in runs]
    return [row for new in others for row in _rows(base, new, metric)]


def _rows(base: Side, new: Side, metric: str | None) -> Iterator[SequenceRow]:
    found = False
    for task in base.manifest.tasks:
        if task not in new.manifest.tasks:
            continue
        name = metric or base.headline_metric(task)
        if name is None or any((task, name) not in side.lines for side in (base, new)):
            continue
        found = True
        yield _row(base, new, task, name)
    if not found:
        raise RunError(f"{base.name} and {new.name}: no score of a common task under these styles")


def _row(base: Side, new: Side, task: str, metric: str) -> SequenceRow:
    lines = [side.lines[task, metric] for side in (base, new)]
    orders = [_order(side, task) for side in (base, new) if side.manifest.state is not None]
    if any(order != orders[0] for order in orders):
        raise RunError(
            f"{base.name} and {new.name}: were stopped early, and asked {task} in two orders · an "
            "interval needs one: expected one seed and the same samples · "
            f"`vipbench run --extend -o {new.folder}` asks the rest"
        )
    order = orders[0]
    for side, known in zip((base, new), lines, strict=True):
        if side.manifest.state is None:  # of a whole run it is known what has a score
            order = [id_ for id_ in order if id_ in known and known[id_].value is not None]
    n = next((n for n, id_ in enumerate(order) if any(id_ not in k for k in lines)), len(order))
    if not n:
        raise RunError(f"{base.name} and {new.name}: no sample of {task} was asked of both")
    values = [[known[id_].value or 0.0 for id_ in order[:n]] for known in lines]
    failed = {id_ for known in lines for id_ in order[:n] if known[id_].value is None}
    differences = [
        0.0 if id_ in failed else after - before
        for id_, before, after in zip(order, *values, strict=False)
    ]
    low, high = bounds(differences, len(order), [n], ALPHA)[0]
    return SequenceRow(
        base=base.name,
        new=new.name,
        task=task,
        metric=metric,
        n=n,
        n_all=len(order),
        accuracy_base=sum(values[0]) / n,
        accuracy_new=sum(values[1]) / n,
        difference=sum(differences) / n,
        lower=float(low),
        upper=float(high),
    )


def _order(side: Side, task: str) -> list[str]:
    """Return the samples of a task in the order in which a run asks them."""
    part = (side.manifest.tasks[task].parts or (task,))[0]
    style = side.style_of(task)
    ids = [
        trial.id
        for trial in read_lines(side.folder / REQUESTS, Trial, RUN_ADVICE)
        if (trial.task, trial.style) == (part, style) and trial.request is not None
    ]
    return in_order(side.manifest.identity.seed, ids)


def table(rows: Sequence[SequenceRow]) -> Grid:
    """Lay out rows of two runs, in percent and percentage points."""
    title = f"{rows[0].base} → {rows[0].new}: of the samples that both were asked, %"
    return Grid(title, HEADER, [_cells(row) for row in rows], words=(0,))


def _cells(row: SequenceRow) -> tuple[str, ...]:
    return (
        row.task,
        f"{row.n:,} of {row.n_all:,}",
        percent(row.accuracy_base),
        percent(row.accuracy_new),
        points_interval(row.difference, row.lower, row.upper),
    )


NOTE = (
    "Stopped early: in brackets is where the difference over all samples lies, with 95 % for each "
    "row at whatever moment the run was stopped. It is about these samples, not about other images."
)
