"""How a judge's grades differ from those of a retired judge for the same answers."""

import math
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from vipbench import files
from vipbench.console import QUIET, Console
from vipbench.errors import RunError
from vipbench.judge.grading import Item, NothingGraded, grade, make_item
from vipbench.judge.known import TOTAL, KnownGrades, common
from vipbench.judge.ledger import GRADES
from vipbench.judge.report import JudgeReport, new_report
from vipbench.judge.settings import JudgeSettings
from vipbench.report.text import (
    Grid,
    markdown_list,
    markdown_page,
    markdown_table,
    number,
    percent,
    percent_interval,
    signed,
)
from vipbench.runfolder import answers_file, trials_file
from vipbench.runfolder.folder import REQUESTS, RESPONSES
from vipbench.runfolder.opened import open_run
from vipbench.runfolder.summary import ALL
from vipbench.schema import Record
from vipbench.stats.comparisons import paired
from vipbench.stats.intervals import bootstrap_mean, clustered_mean

EQUAL = 0.05
"""Grades that differ by less are equal: both judges are asked for tenths."""


class CalibrationRow(Record):
    """Both judges on one capability, or on all samples; points of 0-100, intervals of 95 %."""

    group: str
    """`all`, or a capability."""
    n: int
    """Samples with a grade of both; where only totals are known, of the new judge."""
    n_clusters: int
    """Their images, by which all intervals are clustered."""
    known: float
    new: float
    bias: float
    """New minus known."""
    bias_low: float
    bias_high: float
    scatter: float | None
    """Standard deviation of the samples' differences about the bias; like all below None where only
    totals are known."""
    scatter_low: float | None
    scatter_high: float | None
    equal: float | None
    """Share of the samples, 0-1, whose two grades differ by less than `EQUAL`."""
    equal_low: float | None
    equal_high: float | None
    correlation: float | None
    """Pearson's; None, too, where one of the judges gave one grade only."""
    reliable: bool
    """Whether there are enough images for the intervals to hold."""


class Calibration(Record):
    """What is written to `calibration.json`."""

    run: str
    """Folder of the answers."""
    task: str
    style: str
    known_from: str
    """Path of the file."""
    known_judges: dict[str, int]
    """How the retired judge was named, and in how many grades."""
    n_known: int
    """Samples with a known grade; 0 where only totals are known."""
    n_known_unread: int
    """Of which the known grade is 0 since no reply was one: left out."""
    n_without_answer: int
    """Samples with a known grade that have no answer in the run."""
    n_ungraded: int
    """Answers without a grade of the new judge."""
    report: JudgeReport
    """Of the new judge, as in `judge.json`."""
    rows: tuple[CalibrationRow, ...]


class _Sample(NamedTuple):
    item: Item
    cluster: str
    known: float | None
    new: float


def calibrate(
    folder: Path,
    known: KnownGrades,
    known_from: Path,
    settings: JudgeSettings,
    *,
    task: str | None = None,
    console: Console = QUIET,
) -> Calibration:
    """Have the answers of a run graded, and compare with what a retired judge gave for them.

    Args:
        folder: of a run, such as `vipbench import` makes of released answers.
        known: what the retired judge gave.
        known_from: where that was read.
        settings: who grades; without a ledger that of the run, where `vipbench score` looks too.
        task: which graded task; None: the only one.
        console: takes what grading says.

    Raises:
        RunError: The run has no such task, or other samples.
        JudgeError: Grading stopped; what is graded is kept, and is not asked again.
    """
    found = _answers(folder, task)
    answered = {item.id: (item, cluster) for item, cluster in found}
    if known.grades:
        answered = {name: answered[name] for name in common(known.grades, answered, known_from)}
    items = [item for item, _ in answered.values()]
    graded = grade(items, settings, settings.ledger or folder / GRADES, console=console)
    if graded.stopped is not None:
        advice = " · what is graded is kept · the same command asks for the rest"
        is_final = isinstance(graded.stopped, NothingGraded)
        raise type(graded.stopped)(f"{graded.stopped}{'' if is_final else advice}")
    samples = [
        _Sample(item, cluster, known.grades.get(name), value)
        for name, (item, cluster) in answered.items()
        if (value := graded.samples[item.name].value) is not None
    ]
    return Calibration(
        run=str(folder),
        task=items[0].task,
        style=items[0].style,
        known_from=str(known_from),
        known_judges=known.judges,
        n_known=len(known.grades),
        n_known_unread=known.n_unread,
        n_without_answer=len(known.grades.keys() - answered.keys()),
        n_ungraded=len(items) - len(samples),
        report=new_report(items, graded, settings),
        rows=tuple(_rows(samples, known.totals)),
    )


def _answers(folder: Path, task: str | None) -> list[tuple[Item, str]]:
    """Return what is graded of a run, each with the image that it is about."""
    open_run(folder)
    answered = answers_file.Answered(trials_file.open_trials(folder / REQUESTS), folder / RESPONSES)
    found = [
        (make_item(trial, response.text), trial.group)
        for trial, response in answered
        if trial.kind == "graded" and response is not None and response.text is not None
        if task in (None, trial.task)
    ]
    names = sorted({(item.task, item.style) for item, _ in found})
    if not found:
        wanted = "graded task" if task is None else f"answer to a graded task {task!r}"
        raise RunError(f"{folder}: has no {wanted}")
    if len(names) > 1:
        listed = ", ".join(f"{name} under {style}" for name, style in names)
        raise RunError(f"{folder}: has several graded tasks: {listed} · name one with --task")
    return found


def _rows(samples: Sequence[_Sample], totals: Mapping[str, float]) -> list[CalibrationRow]:
    groups: dict[str, list[_Sample]] = defaultdict(list)
    for sample in samples:
        for capability in sorted(set(sample.item.capabilities)):
            groups[capability].append(sample)
    ordered = sorted(groups.items(), key=lambda group: (-len(group[1]), group[0]))
    named = [(ALL, list(samples)), *ordered]
    if not totals:
        return [_by_samples(name, group) for name, group in named]
    known = {ALL: totals[TOTAL], **totals}
    return [_by_total(name, group, known[name]) for name, group in named if name in known]


def _by_samples(name: str, samples: Sequence[_Sample]) -> CalibrationRow:
    known = [sample.known or 0.0 for sample in samples]
    new = [sample.new for sample in samples]
    clusters = [sample.cluster for sample in samples]
    difference = paired(known, new, clusters)
    low, high = difference.bounds()
    off = [after - before for before, after in zip(known, new, strict=True)]
    squares = [(each - difference.difference) ** 2 for each in off]
    spread = bootstrap_mean(squares, clusters, key=f"calibration {name}")
    equal = clustered_mean([float(abs(each) < EQUAL) for each in off], clusters)
    is_flat = len(set(known)) == 1 or len(set(new)) == 1
    return CalibrationRow(
        group=name,
        n=len(samples),
        n_clusters=difference.n_clusters,
        known=100 * statistics.fmean(known),
        new=100 * statistics.fmean(new),
        bias=100 * difference.difference,
        bias_low=100 * low,
        bias_high=100 * high,
        scatter=100 * math.sqrt(statistics.fmean(squares)),
        scatter_low=100 * math.sqrt(max(spread[0], 0)),
        scatter_high=100 * math.sqrt(max(spread[1], 0)),
        equal=equal.mean,
        equal_low=equal.ci_low,
        equal_high=equal.ci_high,
        correlation=None if is_flat else statistics.correlation(known, new),
        reliable=difference.reliable,
    )


def _by_total(name: str, samples: Sequence[_Sample], known: float) -> CalibrationRow:
    """Compare with a total, which is taken as exact: the interval is that of the new grades."""
    found = clustered_mean([s.new for s in samples], [s.cluster for s in samples])
    return CalibrationRow(
        group=name,
        n=found.n,
        n_clusters=found.n_clusters,
        known=known,
        new=100 * found.mean,
        bias=100 * found.mean - known,
        bias_low=100 * found.ci_low - known,
        bias_high=100 * found.ci_high - known,
        scatter=None,
        scatter_low=None,
        scatter_high=None,
        equal=None,
        equal_low=None,
        equal_high=None,
        correlation=None,
        reliable=found.reliable,
    )


# --- for readers


def table(found: Calibration) -> Grid:
    """Lay out the rows for a terminal of 80 columns; the other intervals are in the files."""
    title = "points of both judges, difference [95 % interval]"
    header = ("", "n", "known", "new", "bias", "sd", "equal, %")
    rows = [
        (
            row.group,
            str(row.n),
            number(row.known, 1),
            number(row.new, 1),
            _interval(row.bias, row.bias_low, row.bias_high) + ("" if row.reliable else " ?"),
            number(row.scatter, 1),
            percent(row.equal),
        )
        for row in found.rows
    ]
    return Grid(title, header, rows, words=(0,))


def notes(found: Calibration) -> list[str]:
    """Say what the numbers do not show."""
    said = []
    if found.n_ungraded:
        said.append(
            f"{found.n_ungraded:,} answers have no grade of the new judge, and are left out"
        )
    if found.n_known_unread:
        said.append(
            f"{found.n_known_unread:,} known grades are left out: they are 0 since no reply was a "
            "grade"
        )
    if found.n_without_answer:
        said.append(f"{found.n_without_answer:,} samples with a known grade have no answer here")
    if not found.n_known:
        said.append("only totals are known: neither scatter nor agreement follows from them")
    if any(not row.reliable for row in found.rows):
        said.append("?: too few images for the interval to be relied on")
    return said


def markdown(found: Calibration) -> str:
    """Lay out all that was found."""
    judges = ", ".join(found.known_judges) or "the retired judge"
    header = ("", "n", "images", "known", "new", "bias", "sd", "equal, %", "r")
    rows = [
        (
            row.group,
            str(row.n),
            str(row.n_clusters),
            number(row.known, 1),
            number(row.new, 1),
            _interval(row.bias, row.bias_low, row.bias_high),
            _interval(row.scatter, row.scatter_low, row.scatter_high, is_signed=False),
            percent_interval(row.equal, row.equal_low, row.equal_high),
            number(row.correlation, 2),
        )
        for row in found.rows
    ]
    parts = [
        f"# {found.report.judge.model} beside {judges}",
        f"Answers of {found.run} ({found.task} under {found.style}); known grades of "
        f"{found.known_from}. Points of 0-100. Bias: new minus known; sd: deviation of the "
        f"samples' differences about it; equal: grades that differ by less than {EQUAL:g}; r: "
        "correlation. Intervals of 95 %, clustered by image.",
        markdown_table(Grid("", header, rows, words=(0,))),
        markdown_list(notes(found)),
    ]
    return markdown_page(parts)


def write(found: Calibration, out: Path) -> list[Path]:
    """Write `calibration.md` and `calibration.json` to a folder; returns the paths written."""
    paths = [out / "calibration.json", out / "calibration.md"]
    files.write_json(paths[0], found.model_dump(mode="json"))
    files.write_text(paths[1], [markdown(found)])
    return paths


def _interval(
    value: float | None, low: float | None, high: float | None, *, is_signed: bool = True
) -> str:
    if value is None or low is None or high is None:
        return number(None, 1)
    write_number = signed if is_signed else number
    return f"{write_number(value, 1)} [{write_number(low, 1)}, {write_number(high, 1)}]"
