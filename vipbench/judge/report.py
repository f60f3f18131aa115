"""`judge.json`: who graded a run, the points, and what they can be compared with."""

import statistics
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path

from pydantic import ValidationError

from vipbench import files
from vipbench.endpoints.ledger import Spent
from vipbench.errors import RunError, first_mistake
from vipbench.judge.grading import Graded, Item, SampleGrade
from vipbench.judge.reading import OTHER_SCALE
from vipbench.judge.rubric import PUBLISHED_JUDGE, PUBLISHED_PROMPT, RUBRIC
from vipbench.judge.settings import PUBLISHED_TOKENS, JudgeSettings
from vipbench.report.text import number
from vipbench.runfolder.folder import JUDGE
from vipbench.runfolder.judge_file import Judge
from vipbench.runfolder.lines import TrialId
from vipbench.schema import Record


class Part(Record):
    """The points of some samples."""

    n: int
    """Graded samples."""
    points: float
    """100 x the mean of their scores."""


class Agreement(Record):
    """How far the judge runs agree; None for fewer than two of them, or nothing graded."""

    equal: float | None
    """Share of the samples that got the same score in all judge runs."""
    mean_difference: float | None
    """Between two judge runs of a sample, 0-1, averaged over pairs and samples."""


class JudgeResult(Record):
    """The grades of one task under one style; points 0-100 as they are published."""

    task: str
    style: str
    n: int
    """Answers that were to be graded."""
    n_graded: int
    n_ungraded: int
    ungraded: dict[str, int]
    """How many samples have no grade for which kind of reason; `scores.jsonl` has each in full."""
    n_not_tenths: int
    """Scores such as 0.55, which count as they are."""
    totals: tuple[float, ...]
    """Points over all graded samples, one a judge run; empty where nothing is graded."""
    mean: float | None
    std: float | None
    """Population standard deviation of `totals`, as the official evaluator's."""
    capabilities: dict[str, Part]
    """Most frequent first."""
    combinations: dict[str, Part]
    """Of capabilities that samples have together, their names sorted and joined by `_`."""
    agreement: Agreement
    n_unread: int = 0
    """Samples in which no reply of some judge run was a grade."""
    mean_with_zeros: float | None = None
    """Points where such replies count 0, as in the published evaluator: over those that are graded
    and these, the mean of the judge runs."""


class JudgeReport(Record):
    """`judge.json`: who graded a run, and what came of it."""

    judge: Judge
    url: str
    prompt_source: str
    """Path of the evaluator's file, or `rubric`."""
    n_runs: int
    models_returned: dict[str, int]
    """How the server named itself, and in how many of the grades."""
    comparable: bool
    """With published numbers."""
    not_comparable: tuple[str, ...]
    """Why not."""
    results: tuple[JudgeResult, ...]
    spent: Spent
    """All that the ledger knows of for these samples and this judge."""
    spent_now: Spent
    """By the command that wrote this file."""
    price: tuple[float, float] | None
    """Dollars for a million tokens, of prompts and of replies."""
    n_stale: int
    stale: dict[str, int]
    """Grades in the ledger that are not used here, by what they were given for."""
    ledger: str | None
    """Path of the ledger; None: `grades.jsonl` in the run folder."""


def new_report(items: Sequence[Item], graded: Graded, settings: JudgeSettings) -> JudgeReport:
    """Sum up what has been graded."""
    empty = JudgeReport(
        judge=graded.judge,
        url=settings.endpoint.url,
        prompt_source=settings.prompt.source,
        n_runs=settings.n_runs,
        models_returned={},
        comparable=False,
        not_comparable=(),
        results=(),
        spent=graded.spent,
        spent_now=graded.spent_now,
        price=settings.limits.price,
        n_stale=0,
        stale={},
        ledger=None if settings.ledger is None else str(settings.ledger.absolute()),
    )
    return renewed(empty, items, graded)


def renewed(report: JudgeReport, items: Sequence[Item], graded: Graded) -> JudgeReport:
    """Return a report of the same judge with the grades as they are now."""
    groups: dict[tuple[str, str], list[Item]] = defaultdict(list)
    for item in items:
        groups[item.task, item.style].append(item)
    results = tuple(
        _result(task, style, group, graded.samples) for (task, style), group in groups.items()
    )
    reasons = (*_not_comparable(report, graded.models), *map(_unread, _with_unread(results)))
    changes: dict[str, object] = {
        "models_returned": graded.models,
        "comparable": not reasons,
        "not_comparable": reasons,
        "results": results,
        "spent": graded.spent,
        "spent_now": graded.spent_now,
        "n_stale": sum(graded.unused.values()),
        "stale": graded.unused,
    }
    return report.model_copy(update=changes)


def write_report(folder: Path, report: JudgeReport) -> None:
    """Write `judge.json` of a run, all or none; RunError where the disk refuses."""
    files.write_json(folder / JUDGE, report.model_dump(mode="json"))


def read_report(folder: Path) -> JudgeReport | None:
    """Read `judge.json` of a run folder; None where it was not judged. RunError if broken."""
    path = folder / JUDGE
    if not path.exists():
        return None
    try:
        return JudgeReport.model_validate(files.read_json(path))
    except ValidationError as error:
        raise RunError(
            f"{path}: {first_mistake(error)} · remove it, and judge "
            "the run again: no grade in the ledger is asked twice"
        ) from error


def notes(report: JudgeReport) -> Iterator[str]:
    """Yield what a user should know of a report beside its numbers."""
    for result in report.results:
        if result.mean is not None:
            parts = [
                f"{name} {number(part.points, 1)}" for name, part in result.capabilities.items()
            ]
            yield (
                f"judge: {result.task} under {result.style}: {number(result.mean, 1)} points, "
                f"standard deviation {number(result.std, 2)} over {report.n_runs} runs"
                + (f"; {', '.join(parts)}" if parts else "")
            )
        if result.n_ungraded:
            reasons = ", ".join(f"{n:,} {reason}" for reason, n in result.ungraded.items())
            yield (
                f"judge: {result.task} under {result.style}: {result.n_ungraded:,} of "
                f"{result.n:,} samples are ungraded ({reasons})"
            )
        if any(reason.endswith(OTHER_SCALE) for reason in result.ungraded):
            yield (
                f"judge: {result.task} under {result.style}: replies are {OTHER_SCALE} than 0 to "
                "1, so that a 0 or 1 beside them may mean something else too · take another "
                "--judge-model"
            )
    if report.stale:
        named = ", ".join(f"{n:,} of {what}" for what, n in report.stale.items())
        yield f"judge: {report.n_stale:,} grades in the ledger are not used here: {named}"
    for reason in report.not_comparable:
        yield f"judge: not comparable with published numbers: {reason}"


def _not_comparable(report: JudgeReport, models: Collection[str]) -> Iterator[str]:
    if report.prompt_source == RUBRIC:
        yield "the prompt is vipbench's own rubric; --judge-prompt-from takes the published one"
    elif report.judge.prompt_digest != PUBLISHED_PROMPT:
        yield (
            f"the prompt of {report.prompt_source} is not the published one (sha256 "
            f"{report.judge.prompt_digest[:12]}…, expected {PUBLISHED_PROMPT[:12]}…)"
        )
    if report.judge.max_tokens != PUBLISHED_TOKENS:
        yield f"replies have {report.judge.max_tokens} tokens, published are {PUBLISHED_TOKENS}"
    others = sorted(set(models) - {PUBLISHED_JUDGE})
    if others:
        yield f"the judge is {', '.join(others)}, published is {PUBLISHED_JUDGE}"
    judge = report.judge
    if judge.reasoning_tokens:
        yield f"the judge has room to think ({judge.reasoning_tokens:,} tokens), published is none"
    if judge.extra_body is not None:
        yield f"it is asked with further fields, {judge.extra_body}, published are none"
    if judge.omitted:
        yield f"the server refuses {', '.join(judge.omitted)}: its own default holds"
    if not models:
        yield "nothing is graded"


def _with_unread(results: Iterable[JudgeResult]) -> list[JudgeResult]:
    return [result for result in results if result.n_unread]


def _unread(result: JudgeResult) -> str:
    """Say how the published evaluator would have counted replies that are no grade."""
    return (
        f"{result.task} under {result.style}: in {result.n_unread:,} of {result.n:,} samples no "
        "reply is a grade; they are left out here "
        f"({number(result.mean, 1)} points) and are 0 in the published evaluator "
        f"({number(result.mean_with_zeros, 1)} points)"
    )


def _result(
    task: str, style: str, items: Sequence[Item], samples: Mapping[TrialId, SampleGrade]
) -> JudgeResult:
    whole = [item for item in items if samples[item.name].value is not None]
    scores = [[score or 0.0 for score in samples[item.name].scores] for item in whole]
    totals = tuple(_points(column) for column in zip(*scores, strict=True))
    kinds = Counter(
        _kind(reason) for item in items if (reason := samples[item.name].ungraded) is not None
    )
    zeros = [samples[item.name].value_with_zeros for item in items]
    with_zeros = [value for value in zeros if value is not None]
    by_capability: dict[str, list[float]] = defaultdict(list)
    by_combination: dict[str, list[float]] = defaultdict(list)
    for item, runs in zip(whole, scores, strict=True):
        mean = statistics.fmean(runs)
        for capability in sorted(set(item.capabilities)):
            by_capability[capability].append(mean)
        if item.capabilities:
            by_combination["_".join(sorted(set(item.capabilities)))].append(mean)
    return JudgeResult(
        task=task,
        style=style,
        n=len(items),
        n_graded=len(whole),
        n_ungraded=len(items) - len(whole),
        ungraded=dict(sorted(kinds.items())),
        n_not_tenths=sum(
            abs(10 * score - round(10 * score)) > 1e-9 for runs in scores for score in runs
        ),
        totals=totals,
        mean=statistics.fmean(totals) if totals else None,
        std=statistics.pstdev(totals) if totals else None,
        capabilities=_parts(by_capability),
        combinations=_parts(by_combination),
        agreement=_agreement(scores),
        n_unread=sum(samples[item.name].n_unread > 0 for item in items),
        mean_with_zeros=100 * statistics.fmean(with_zeros) if with_zeros else None,
    )


def _kind(reason: str) -> str:
    """Name a reason without what differs from sample to sample."""
    return reason.partition(":")[0].partition(" (")[0]


def _points(scores: Sequence[float]) -> float:
    return 100 * sum(scores) / len(scores)


def _parts(groups: Mapping[str, Sequence[float]]) -> dict[str, Part]:
    ordered = sorted(groups.items(), key=lambda group: (-len(group[1]), group[0]))
    return {name: Part(n=len(means), points=_points(means)) for name, means in ordered}


def _agreement(scores: Sequence[Sequence[float]]) -> Agreement:
    if not scores or len(scores[0]) < 2:
        return Agreement(equal=None, mean_difference=None)
    differences = [
        statistics.fmean(abs(a - b) for a, b in combinations(runs, 2)) for runs in scores
    ]
    return Agreement(
        equal=sum(len(set(runs)) == 1 for runs in scores) / len(scores),
        mean_difference=statistics.fmean(differences),
    )
