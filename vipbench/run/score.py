"""Scores, then rows, from requests and responses alone."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, get_args

from vipbench import environment, files
from vipbench.console import QUIET, Console
from vipbench.errors import RunError, TooManyErrors, VipbenchError, nearest
from vipbench.extractor.extracting import NothingRead
from vipbench.extractor.runs import check_extractor, read_unread, write_reports
from vipbench.extractor.settings import ExtractorSettings
from vipbench.forked import FORKED_FROM, Died, Forked, can_fork
from vipbench.judge.grading import NothingGraded
from vipbench.judge.report import write_report
from vipbench.judge.runs import check_judge, judge_run
from vipbench.judge.settings import JudgeSettings
from vipbench.report.options import OptionNote
from vipbench.report.rows import lost_marks
from vipbench.run.resume import Started
from vipbench.run.score_lines import Scoring
from vipbench.runfolder import answers_file, bound, trials_file
from vipbench.runfolder import manifest as manifests
from vipbench.runfolder.bound import TABLES
from vipbench.runfolder.folder import (
    EXTRACTORS,
    JUDGE,
    MANIFEST,
    REQUESTS,
    RESPONSES,
    RUN_ADVICE,
    SCORES,
)
from vipbench.runfolder.lines import ScoreLine
from vipbench.runfolder.manifest import Manifest
from vipbench.runfolder.opened import open_run
from vipbench.runfolder.summary import ALL, Row, read_summary, write_summary
from vipbench.schema import ExtraMetric
from vipbench.scoring import scorers
from vipbench.scoring.summary import Summary

if TYPE_CHECKING:
    import pandas as pd


class Results(NamedTuple):
    """A finished run."""

    path: Path
    rows: list[Row]
    manifest: Manifest
    n_answered: int
    """Requests that were answered just now; 0 where the run was already finished."""

    @property
    def summary(self) -> "pd.DataFrame":
        """The rows of `summary.json`: one a task, style and group."""
        import pandas as pd  # slow to import

        return pd.DataFrame([row.model_dump() for row in self.rows], columns=list(Row.model_fields))

    @property
    def scores(self) -> "pd.DataFrame":
        """The lines of `scores.jsonl`: one a sample and style."""
        import pandas as pd  # slow to import

        lines = files.read_lines(self.path / SCORES, ScoreLine)
        columns = list(ScoreLine.model_fields)
        return pd.DataFrame([line.model_dump() for line in lines], columns=columns)


def finish(started: Started, judge: JudgeSettings | None, console: Console) -> Results:
    """Score what is answered, unless that is done; then let the judge grade, if there is one.

    A shard has no scores: it is merged with the others first.
    """
    folder, manifest = started.folder, started.manifest
    rows: list[Row] = []
    if manifest.shard is None and started.is_finished:
        rows = read_summary(folder)
    elif manifest.shard is None:
        # What is to be said of the scores, the judge's pass says.
        said = console if judge is None else QUIET
        rows, manifest = score_answers(folder, manifest, console=said)
    if not started.is_finished:
        manifest = manifest.ended(environment.now())
        manifests.write(folder, manifest)
    if judge is not None:
        rows, manifest = score_answers(folder, manifest, judge, console=console)
    return Results(folder, rows, manifest, started.n_left)


def score(
    folder: Path,
    metrics: Sequence[str] = (),
    judge: JudgeSettings | None = None,
    ledger: Path | None = None,
    extractor: ExtractorSettings | None = None,
    *,
    may_fork: bool = False,
    console: Console = QUIET,
) -> Results:
    """Score a finished run again from its requests and responses, without a model.

    Args:
        folder: of the run.
        metrics: are reported from now on, beside those that the run reports already.
        judge: is asked for the grades that its ledger does not hold; None: nobody is asked, and a
            run that was judged keeps those grades.
        ledger: where the grades of a run that was judged lie now.
        extractor: is asked for what the rule leaves unread and its ledger does not hold; None:
            nobody is asked, and a run keeps what was read.
        may_fork: nothing but this one thread runs in this process, so that a copy of it may take
            half of the work.
        console: takes what the user should know of the judge, and shows a bar while grading.

    Raises:
        RunError: The folder holds no run, answers are missing, or a metric is unknown.
        JudgeError: The judge cannot be used, or stopped before its end; what it graded is kept.
        ExtractorError: The same of the extractor.
    """
    for metric in metrics:
        if metric in scorers.REPLACED:
            raise RunError(f"there is no longer a {scorers.replaced(metric)}")
        if metric not in get_args(ExtraMetric):
            raise RunError(f"metric {metric!r} is unknown{nearest(metric, get_args(ExtraMetric))}")
    # Who removes `judge.json` wants the scores without that judge, and so with `extractors.json`.
    asked = {JUDGE: judge is not None, EXTRACTORS: extractor is not None}
    anew = [name for name in asked if asked[name] or not (folder / name).exists()]
    manifest = open_run(folder, replaced=(*TABLES, *anew))
    with files.locked(folder):
        added = tuple(dict.fromkeys((*manifest.metrics, *metrics)))
        if added != manifest.metrics:
            manifest = bound.without(manifest, TABLES).model_copy(update={"metrics": added})
            manifests.write(folder, manifest)
        rows, manifest = score_answers(
            folder, manifest, judge, ledger, extractor, may_fork=may_fork, console=console
        )
    return Results(folder, rows, manifest, 0)


def dry_score(
    folder: Path,
    judge: JudgeSettings | None = None,
    extractor: ExtractorSettings | None = None,
    *,
    console: Console = QUIET,
) -> None:
    """Say what a judge and an extractor would be asked by `score`; asks nobody, writes nothing.

    Raises:
        JudgeError, ExtractorError: They would be asked nothing, or the estimate exceeds a limit.
        RunError: The folder holds no run, or answers are missing.
    """
    if judge is None and extractor is None:
        raise RunError("--dry-run: nobody would be asked · add --judge-url or --extractor-url")
    manifest = open_run(folder, replaced=(*TABLES, JUDGE, EXTRACTORS))
    answered = _answered(folder, manifest)
    if judge is not None and not check_judge(folder, answered, judge, console):
        console.say(f"judge {judge.endpoint.model}: nothing is left to ask")
    if extractor is not None and not check_extractor(
        folder, manifest, answered, extractor, console
    ):
        console.say(f"extractor {extractor.endpoint.model}: nothing is left to ask")


def check(results: Results, max_errors: float, console: Console) -> None:
    """Say what the numbers do not show, and refuse those of which too many samples failed.

    Raises:
        TooManyErrors: All others are scored nevertheless.
    """
    for warning in lost_marks(results.manifest, results.rows):
        console.say(warning)
    check_errors(results, max_errors)


def check_errors(result: Results, max_errors: float) -> None:
    """Say after the run if too many samples failed in it."""
    messages = []
    for row in result.rows:
        n_asked = row.n_asked
        if row.group == ALL and row.n_errors > max_errors * n_asked:
            text = f"{row.task} under {row.style}: {row.n_errors:,} of {n_asked:,} samples failed"
            messages += [text] if text not in messages else []  # once for all metrics
    if messages:
        lines = files.read_lines(result.path / SCORES, ScoreLine)
        first = next(f"{line.id}: {line.error}" for line in lines if line.state == "failed")
        raise TooManyErrors(
            f"{'; '.join(messages)} · more than --max-errors {max_errors:g} allows, such as {first}"
            f" · all others are scored in {result.path}"
        )


def score_answers(
    folder: Path,
    manifest: Manifest,
    judge: JudgeSettings | None = None,
    ledger: Path | None = None,
    extractor: ExtractorSettings | None = None,
    *,
    may_fork: bool = False,
    console: Console = QUIET,
) -> tuple[list[Row], Manifest]:
    """Write `scores.jsonl` and `summary.json` from requests and responses; no times in them.

    Where a judge or an extractor stops before its end, that is raised when both are written.
    `may_fork` says that nothing but this one thread runs in this process.

    Returns:
        The rows, and the manifest as it is now, with what binds the files.
    """
    if manifest.shard is not None:
        raise RunError(
            f"{folder}: is shard {manifest.shard} of a run, and has no scores · put all shards "
            "together with `vipbench merge`"
        )
    answered = _answered(folder, manifest, may_fork=may_fork)
    extra = _known_metrics(folder, manifest, console)
    if not answered.has_option_logprobs and scorers.OPTION_ARGMAX in extra:
        said = f"metric {scorers.OPTION_ARGMAX}: {scorers.NO_LOGPROBS}; it is left out"
        console.say(f"{folder}: {said}")
        extra.discard(scorers.OPTION_ARGMAX)
    judged = judge_run(folder, answered, judge, ledger, console=console)
    read = read_unread(folder, manifest, answered, extractor, console=console)
    options, summary = OptionNote(), Summary(manifest)
    lines = Scoring(manifest, answered, extra, judged, read).lines(
        summary, options, may_fork=may_fork
    )
    made = [JUDGE] if judged.report else []
    made += [EXTRACTORS] if read.reports else []
    # Whatever is wrong with a line is found before anything is replaced.
    with files.drafted(folder / SCORES, lines, RUN_ADVICE) as place_scores:
        manifest = bound.unbind(folder, manifest, (*TABLES, *made))
        if judged.report is not None:
            write_report(folder, judged.report)
        if read.reports:
            write_reports(folder, read.reports)
        place_scores()
    if note := options.text():
        console.say(note)
    rows = summary.rows()
    write_summary(folder, rows)
    if manifest.format > 1:
        manifest = bound.bind(folder, manifest, (*TABLES, JUDGE, EXTRACTORS))
        manifests.write(folder, manifest)
    _raise_stop(folder, judged.stopped, "graded", "ungraded")
    _raise_stop(folder, read.stopped, "read", "not scored by it")
    return rows, manifest


def _raise_stop(folder: Path, stopped: VipbenchError | None, kept: str, rest: str) -> None:
    """Raise why a judge or an extractor has ended before its end, if it has."""
    if isinstance(stopped, NothingGraded | NothingRead):
        raise stopped  # the same command would come to nothing again
    if stopped is not None:
        raise type(stopped)(
            f"{stopped} · {folder}: what is {kept} is kept and scored, the rest is {rest} · the "
            "same command asks for the rest"
        )


def _known_metrics(folder: Path, manifest: Manifest, console: Console) -> set[ExtraMetric]:
    """Return what a run reports beside its headlines, without the metric that is no more."""
    if "lenient" in manifest.metrics:
        console.say(f"{folder}: there is no longer a {scorers.replaced('lenient')}; it is left out")
    return {metric for metric in manifest.metrics if metric != "lenient"}


def _answered(folder: Path, manifest: Manifest, *, may_fork: bool = False) -> answers_file.Answered:
    """Return the trials of a run with their answers; RunError where one has none."""
    with contextlib.ExitStack() as stack:
        copy = None
        if may_fork and manifest.n_requests >= FORKED_FROM and can_fork():
            with contextlib.suppress(OSError):  # there is no room for a second process
                copy = stack.enter_context(Forked(_located(folder / RESPONSES)))
        trials = trials_file.open_names(folder / REQUESTS)
        if len(trials) != manifest.n_requests or not manifest.tasks.keys() >= {
            entry.name.task for entry in trials.entries
        }:
            raise RunError(
                f"{folder / REQUESTS}: does not hold the {manifest.n_requests:,} requests that "
                f"{MANIFEST} tells of · remove it, then give the command of the run again"
            )
        located = None
        if copy is not None:
            # Whatever is wrong is found again where there is one process, and named there.
            with contextlib.suppress(Died, RunError):
                located = copy.take()
    is_stopped = manifest.state is not None
    answered = answers_file.Answered(
        trials, folder / RESPONSES, are_read=True, is_stopped=is_stopped, located=located
    )
    if answered.n_missing and not is_stopped:
        raise RunError(
            f"{folder}: {answered.n_missing:,} of {len(trials):,} requests have no answer yet · "
            "give the command of the run again to resume it"
        )
    return answered


def _located(path: Path) -> Iterator[answers_file.Located]:
    """Locate the answers of a run when the first item is asked for: in the copy of this process."""
    yield answers_file.locate(path)
