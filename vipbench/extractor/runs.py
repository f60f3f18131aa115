"""The extractors of a run: what is asked of them, their lines of scores, and `extractors.json`."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from vipbench import files
from vipbench.console import QUIET, Console
from vipbench.digests import digest, facts
from vipbench.endpoints.ledger import Spent
from vipbench.endpoints.meter import Limits
from vipbench.errors import ExtractorError, RunError, VipbenchError, first_mistake
from vipbench.extractor.extracting import Extracted, Question, check_left, extract, recall
from vipbench.extractor.ledger import EXTRACTIONS, Extraction
from vipbench.extractor.settings import NONE, ExtractorSettings
from vipbench.runfolder.folder import EXTRACTORS
from vipbench.runfolder.judge_file import Judge
from vipbench.runfolder.lines import ScoreLine, trial_id
from vipbench.runfolder.manifest import Manifest
from vipbench.schema import Record, Response, Rule, Trial
from vipbench.scoring import answers, scorers
from vipbench.scoring.extraction import short
from vipbench.scoring.extraction.cleaning import clean
from vipbench.scoring.option_texts import option_texts

KINDS = ("choice", "short_answer")
"""Kinds of tasks whose answers are read."""


class ExtractorResult(Record):
    """What became of the unread answers of one task under one style; counts."""

    task: str
    style: str
    n_unread: int
    """Answers with a text that the rule has left unread."""
    n_asked: int
    """Of which the extractor has replied."""
    n_read: int
    """Of these, an answer was named."""
    n_none: int
    """The text states none, it says."""
    n_still_unread: int
    """The reply is neither."""


class ExtractorReport(Record):
    """An entry of `extractors.json`: who read unread answers of a run, and what came of it."""

    extractor: Judge
    name: str
    """What stands behind the `+` of its metrics."""
    url: str
    models_returned: dict[str, int]
    """How the server named itself, and in how many replies."""
    results: tuple[ExtractorResult, ...]
    spent: Spent
    """All that the ledger knows of for these answers and this extractor."""
    spent_now: Spent
    """By the command that wrote this entry."""
    price: tuple[float, float] | None
    """Dollars for a million tokens, of prompts and of replies."""
    ledger: str | None
    """Path of the ledger; None: `extractions.jsonl` in the run folder."""


_REPORTS = TypeAdapter(tuple[ExtractorReport, ...])


@dataclass(frozen=True)
class Read:
    """What the extractors of a run have made of its unread answers."""

    found: tuple[Extracted, ...] = ()
    reports: tuple[ExtractorReport, ...] = ()
    """One an extractor, to be written to `extractors.json`."""
    stopped: VipbenchError | None = None
    """Why asking ended before its end."""

    def lines(self, trial: Trial, response: Response | None, rule: Rule) -> Iterator[ScoreLine]:
        """Yield a line of each extractor's metric: the rule's, but for what it has left unread."""
        if trial.kind not in KINDS:
            return
        for extracted, report in zip(self.found, self.reports, strict=True):
            line = scorers.score_line(trial, response, None, rule)
            changes: dict[str, object] = {"metric": f"{line.metric}+{report.name}"}
            if trial_id(trial) in extracted.lines:
                changes |= _outcome(trial, extracted.lines[trial_id(trial)])
            yield line.model_copy(update=changes)


def _outcome(trial: Trial, line: Extraction | None) -> dict[str, object]:
    """Return what an extraction changes in the line of scores of an unread answer."""
    if line is None or not line.is_complete:
        reason = (line.reason if line else None) or "not asked"
        return {"value": None, "ungraded": f"extractor: {reason}"}
    if line.answer is None:
        return {"extracted": "unread"}
    if line.answer == NONE:
        return {"extracted": "none"}
    matches = answers.matches_short if trial.kind == "choice" else short.matches
    value = float(matches(line.answer, trial.target))
    return {"extracted": "read", "answer": line.answer, "value": value}


def read_unread(
    folder: Path,
    manifest: Manifest,
    answered: Iterable[tuple[Trial, Response | None]],
    settings: ExtractorSettings | None = None,
    *,
    console: Console = QUIET,
) -> Read:
    """Have unread answers of a run read; what goes into its `extractors.json` is returned.

    Args:
        folder: of the run.
        manifest: of the run.
        answered: its trials and responses.
        settings: who is asked; None: nobody. What the extractors that `extractors.json` names have
            read is used, too.
        console: takes the estimate, what goes wrong, and what came of it; shows a bar.

    Raises:
        ExtractorError: The run has no answers of this kind, or the estimate exceeds a limit.
        RunError: The ledger or `extractors.json` is missing, in use or broken.
        RunInterrupted: Ctrl-C; what was read is kept.
    """
    reports = {report.extractor: report for report in read_reports(folder)}
    if settings is None and not reports:
        return Read()
    questions = list(_questions(folder, manifest, answered))
    found: dict[Judge, Extracted] = {}
    stopped: VipbenchError | None = None
    if settings is not None:
        path = settings.ledger or folder / EXTRACTIONS
        asked = extract(questions, settings, path, console=console)
        found[asked.extractor] = asked
        reports[asked.extractor] = _new_report(asked, settings)
        stopped = asked.stopped
    for extractor, report in reports.items():
        if extractor not in found:
            found[extractor] = _recall(folder, questions, report)
    whole = tuple(_renewed(report, found[report.extractor]) for report in reports.values())
    for report in whole:
        for note in notes(report):
            console.say(note)
    return Read(tuple(found[report.extractor] for report in whole), whole, stopped)


def check_extractor(
    folder: Path,
    manifest: Manifest,
    answered: Iterable[tuple[Trial, Response | None]],
    settings: ExtractorSettings,
    say: Console,
) -> int:
    """Say what `read_unread` would ask, and ask nobody; return how many answers are unread."""
    questions = list(_questions(folder, manifest, answered))
    return check_left(questions, settings, settings.ledger or folder / EXTRACTIONS, say)


def _questions(
    folder: Path, manifest: Manifest, answered: Iterable[tuple[Trial, Response | None]]
) -> Iterator[Question]:
    """Yield the texts that exist, and that the rule of their task has left unread.

    ExtractorError where the run has no such task.
    """
    if not any(task.kind in KINDS for task in manifest.tasks.values()):
        raise ExtractorError(
            f"{folder}: no task of this run is of kind {' or '.join(KINDS)} · leave the extractor "
            "out"
        )
    for trial, response in answered:
        if trial.kind not in KINDS or trial.request is None or response is None:
            continue
        if response.state not in ("answered", "cut_off") or response.text is None:
            continue
        plain = clean(response.text)
        if not plain:  # there is nothing but reasoning
            continue
        line = scorers.score_line(trial, response, None, manifest.tasks[trial.task].rule)
        if line.answer is None:
            options = tuple(option_texts(trial.request).items()) if trial.kind == "choice" else ()
            yield Question(trial_id(trial), trial.request.turns[-1], options, plain)


def _recall(folder: Path, questions: Sequence[Question], report: ExtractorReport) -> Extracted:
    """Look up what was read where the ledger is; RunError where it has gone."""
    path = folder / EXTRACTIONS if report.ledger is None else Path(report.ledger)
    if questions and not path.exists():
        raise RunError(
            f"{path}: does not exist, but {EXTRACTORS} was made from it · put it back, or remove "
            f"{folder / EXTRACTORS} to score without it"
        )
    return recall(questions, report.extractor, path, Limits(price=report.price))


def metric_suffix(extractor: Judge, models: Iterable[str]) -> str:
    """Name an extractor so that no other model, prompt or parameters have its name.

    It is the model's name and a digest of all that was asked with; where the server calls itself
    otherwise, of that too.
    """
    returned = sorted(set(models) - {extractor.model, "unnamed"})
    known: list[object] = [facts(extractor), *([returned] if returned else [])]
    return f"{extractor.model}@{digest(known)[:8]}"


def _new_report(asked: Extracted, settings: ExtractorSettings) -> ExtractorReport:
    return ExtractorReport(
        extractor=asked.extractor,
        name="",
        url=settings.endpoint.url,
        models_returned={},
        results=(),
        spent=asked.spent,
        spent_now=asked.spent_now,
        price=settings.limits.price,
        ledger=None if settings.ledger is None else str(settings.ledger.absolute()),
    )


def _renewed(report: ExtractorReport, extracted: Extracted) -> ExtractorReport:
    counts: Mapping[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for name, line in extracted.lines.items():
        counts[name.task, name.style][_kind(line)] += 1
    results = tuple(
        ExtractorResult(
            task=task,
            style=style,
            n_unread=count.total(),
            n_asked=count.total() - count["no reply"],
            n_read=count["read"],
            n_none=count["none"],
            n_still_unread=count["unread"],
        )
        for (task, style), count in counts.items()
    )
    return report.model_copy(
        update={
            "name": metric_suffix(report.extractor, extracted.models),
            "models_returned": extracted.models,
            "results": results,
            "spent": extracted.spent,
            "spent_now": extracted.spent_now,
        }
    )


def _kind(line: Extraction | None) -> str:
    if line is None or not line.is_complete:
        return "no reply"
    if line.answer is None:
        return "unread"
    return "none" if line.answer == NONE else "read"


def notes(report: ExtractorReport) -> Iterator[str]:
    """Yield what a user should know of a report beside its numbers."""
    for result in report.results:
        missing = result.n_unread - result.n_asked
        yield (
            f"extractor {report.extractor.model}: {result.task} under {result.style}: "
            f"{result.n_unread:,} answers were unread; {result.n_read:,} are read, "
            f"{result.n_none:,} state nothing, {result.n_still_unread:,} replies could not be read"
            + (f", {missing:,} have no reply yet" if missing else "")
        )
    if not report.results:
        yield f"extractor {report.extractor.model}: no answer was unread; nothing was asked"


def read_reports(folder: Path) -> tuple[ExtractorReport, ...]:
    """Read `extractors.json` of a run folder; empty where there is none. RunError if broken."""
    path = folder / EXTRACTORS
    if not path.exists():
        return ()
    try:
        return _REPORTS.validate_python(files.read_json(path))
    except ValidationError as error:
        raise RunError(
            f"{path}: {first_mistake(error)} · remove it, and name the "
            "extractor again: nothing in the ledger is asked twice"
        ) from error


def write_reports(folder: Path, reports: Sequence[ExtractorReport]) -> None:
    """Write `extractors.json` of a run, all or none; RunError where the disk refuses."""
    files.write_json(folder / EXTRACTORS, [report.model_dump(mode="json") for report in reports])
