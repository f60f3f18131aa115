"""The judge of a run: collects what is graded, and gives the lines of metric `judge`."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from vipbench.console import QUIET, Console
from vipbench.endpoints.meter import Limits
from vipbench.errors import JudgeError, RunError
from vipbench.judge.grading import (
    Graded,
    Item,
    SampleGrade,
    check_left,
    grade,
    make_item,
    recall,
)
from vipbench.judge.ledger import GRADES
from vipbench.judge.report import JudgeReport, new_report, notes, read_report, renewed
from vipbench.judge.settings import JudgeSettings
from vipbench.runfolder.folder import JUDGE
from vipbench.runfolder.judge_file import ZEROS_METRIC
from vipbench.runfolder.lines import ScoreLine, TrialId, trial_id
from vipbench.schema import Response, Trial
from vipbench.scoring import scorers

METRIC = "judge"


@dataclass(frozen=True)
class Judged:
    """What a judge made of a run."""

    grades: Mapping[TrialId, SampleGrade] | None
    """Of each answer to a graded task; None where no judge was asked for."""
    stopped: JudgeError | None
    """Why grading ended before its end; the grades are those that were given until then."""
    report: JudgeReport | None = None
    """What is to be written to `judge.json`; None where no judge was asked for."""

    def lines(self, trial: Trial, response: Response | None) -> Iterator[ScoreLine]:
        """Yield the line of metric `judge`, and where it differs that of `judge_zeros`."""
        if self.grades is None or trial.kind != "graded":
            return
        line = scorers.score_line(trial, response, METRIC)
        zeros = scorers.score_line(trial, response, ZEROS_METRIC)
        sample = self.grades.get(trial_id(trial))
        if sample is not None:  # else it is an error
            line = line.model_copy(update={"value": sample.value, "ungraded": sample.ungraded})
            value = sample.value_with_zeros
            reason = sample.ungraded if value is None else None
            zeros = zeros.model_copy(update={"value": value, "ungraded": reason})
        yield line
        if (trial.task, trial.style) in self.unread:
            yield zeros

    @cached_property
    def unread(self) -> frozenset[tuple[str, str]]:
        """Tasks and styles in which a reply was no grade, which published totals count as 0."""
        grades = self.grades or {}
        return frozenset((n.task, n.style) for n, grade in grades.items() if grade.n_unread)


def judge_run(
    folder: Path,
    answered: Iterable[tuple[Trial, Response | None]],
    settings: JudgeSettings | None = None,
    ledger: Path | None = None,
    *,
    console: Console = QUIET,
) -> Judged:
    """Grade the answers of a run; what goes into its `judge.json` is returned.

    Args:
        folder: of the run.
        answered: its trials and responses; those of other kinds are passed over.
        settings: who grades; None: nobody is asked, and the grades of the judge that `judge.json`
            names are used, if there is one.
        ledger: where the ledger lies now, if that is not where `judge.json` says.
        console: takes the estimate, what goes wrong, and what the numbers do not show; shows a bar.

    Raises:
        JudgeError: Nothing is to be graded, or the estimate exceeds a limit.
        RunError: The ledger or `judge.json` is missing, in use or broken.
        RunInterrupted: Ctrl-C; what is graded is kept.
    """
    report = read_report(folder) if settings is None else None
    if settings is None and report is None:
        if ledger is not None:
            raise RunError(f"{folder / JUDGE}: does not exist · name a judge with --judge-url")
        return Judged(None, None)
    items = _items(folder, answered)
    if settings is not None:
        path = folder / GRADES if settings.ledger is None else settings.ledger
        graded = grade(items, settings, path, console=console)
        report = new_report(items, graded, settings)
    else:
        assert report is not None
        graded = _recall(folder, items, report, ledger)
        report = renewed(report, items, graded)
    for note in notes(report):
        console.say(note)
    return Judged(graded.samples, graded.stopped, report)


def check_judge(
    folder: Path,
    answered: Iterable[tuple[Trial, Response | None]],
    settings: JudgeSettings,
    say: Console,
) -> int:
    """Say what `judge_run` would ask, and ask nobody; return how many grades are missing."""
    path = folder / GRADES if settings.ledger is None else settings.ledger
    return check_left(_items(folder, answered), settings, path, say)


def _items(folder: Path, answered: Iterable[tuple[Trial, Response | None]]) -> list[Item]:
    """Return the answers that a judge grades; JudgeError where the run has no such task."""
    items, is_graded = [], False
    for trial, response in answered:
        if trial.kind == "graded":
            is_graded = True
            if response is None or response.state == "refused":
                continue  # scored as 0 without a judge
            if response.text is not None:
                items.append(make_item(trial, response.text))
    if not is_graded:
        raise JudgeError(f"{folder}: no task of this run is of kind graded · leave the judge out")
    return items


def _recall(
    folder: Path, items: Sequence[Item], report: JudgeReport, ledger: Path | None
) -> Graded:
    """Look the grades up where the ledger is; RunError where it has gone."""
    path = ledger or (folder / GRADES if report.ledger is None else Path(report.ledger))
    if not path.exists():
        raise RunError(
            f"{path}: does not exist, but {JUDGE} was made from it · name the file with "
            f"--judge-ledger, or remove {JUDGE} to score without a judge"
        )
    return recall(items, report.judge, report.n_runs, path, Limits(price=report.price))
