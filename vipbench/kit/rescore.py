"""Scores of an archive, made again from its answers, as far as that needs no question."""

import contextlib
from collections import Counter
from collections.abc import Callable, Iterable
from typing import NamedTuple

from vipbench.errors import RunError
from vipbench.kit.members import PackedAnswer
from vipbench.runfolder.judge_file import JUDGE_METRICS
from vipbench.runfolder.lines import ScoreLine
from vipbench.runfolder.manifest import Manifest
from vipbench.schema import ExtraMetric, Rule
from vipbench.scoring import scorers
from vipbench.scoring.answers import parse_choice

FROM_A_MODEL = "were given by a judge or an extractor, and no rule makes them again"
FROM_TEXTS = (
    "rest on answers that are no letter, which are read by the texts of the options; these are not "
    "in the archive"
)


class Rescored(NamedTuple):
    """What came of scoring again."""

    n: int
    """Lines that are as they are scored here."""
    unchecked: dict[str, int]
    """Why lines cannot be made again -> how many."""


def rescore(
    manifest: Manifest,
    answers: Callable[[], Iterable[PackedAnswer]],
    lines: Iterable[ScoreLine],
) -> Rescored:
    """Score answers again, and hold the lines of an archive against that.

    Args:
        manifest: of the run.
        answers: returns them in request order; called twice.
        lines: of `scores.jsonl`.

    Raises:
        RunError: A line is not as the answer is scored, is missing, or is of no answer.
    """
    extra: set[ExtraMetric] = {metric for metric in manifest.metrics if metric != "lenient"}
    if not any(_has_logprobs(packed) for packed in answers()):
        extra.discard(scorers.OPTION_ARGMAX)
    counts: Counter[str] = Counter()
    with contextlib.ExitStack() as stack:
        joints = [
            stack.enter_context(scorers.Joint(name, task.parts))
            for name, task in manifest.tasks.items()
            if task.parts
        ]
        given = iter(lines)
        waiting = next(given, None)
        for packed in answers():
            rule = manifest.tasks[packed.trial.task].rule
            expected = _expected(packed, extra, rule)
            seen: set[str] = set()
            while waiting is not None and _is_of(waiting, packed):
                if waiting.metric in seen:
                    raise RunError(f"{_name(packed)} is scored twice by {waiting.metric}")
                seen.add(waiting.metric)
                for joint in joints:
                    joint.add(waiting)
                wanted = expected.pop(waiting.metric, None)
                counts[_compare(packed, wanted, waiting, rule)] += 1
                waiting = next(given, None)
            if expected:
                raise RunError(f"{_name(packed)} has no score by {next(iter(expected))}")
        for joint in joints:
            for wanted in joint.lines():
                if waiting != wanted:
                    where = " ".join((wanted.task, wanted.style, wanted.id))
                    raise RunError(f"{where} by {wanted.metric} does not follow from its parts")
                counts[""] += 1
                waiting = next(given, None)
        if waiting is not None:
            where = " ".join((waiting.task, waiting.style, waiting.id))
            raise RunError(f"{where} by {waiting.metric}: is a score of no answer")
    n = counts.pop("", 0)
    return Rescored(n, dict(counts))


def _has_logprobs(packed: PackedAnswer) -> bool:
    return packed.answer is not None and packed.answer.option_logprobs is not None


def _expected(packed: PackedAnswer, extra: set[ExtraMetric], rule: Rule) -> dict[str, ScoreLine]:
    """Score an answer by all metrics that are no model's."""
    trial = packed.whole_trial()
    return {
        metric: scorers.score_line(trial, packed.answer, metric, rule)
        for metric in scorers.metrics_of(trial.kind, extra, rule)
    }


def _is_of(line: ScoreLine, packed: PackedAnswer) -> bool:
    trial = packed.trial
    return (line.task, line.style, line.id) == (trial.task, trial.style, trial.id)


def _compare(packed: PackedAnswer, wanted: ScoreLine | None, line: ScoreLine, rule: Rule) -> str:
    """Return why a line cannot be checked; empty: it is as wanted. RunError: it is not."""
    if wanted is None:
        if line.metric not in JUDGE_METRICS and "+" not in line.metric:
            raise RunError(f"{_name(packed)} has a score by {line.metric}, which the run has not")
        _check_facts(packed, line)
        return FROM_A_MODEL
    if _needs_texts(packed, line.metric, rule):
        free = {"value", "answer", "agrees"}
        if wanted.model_dump(exclude=free) == line.model_dump(exclude=free):
            return FROM_TEXTS
    elif wanted == line:
        return ""
    raise RunError(f"{_name(packed)} by {line.metric} is not as its answer is scored")


def _check_facts(packed: PackedAnswer, line: ScoreLine) -> None:
    """See that a score that a model gave is about the sample's target, image and tags."""
    trial = packed.trial
    if (line.target, line.group, line.tags) != (trial.target, trial.group, trial.tags):
        raise RunError(f"{_name(packed)} by {line.metric} is not about the target of the sample")


def _needs_texts(packed: PackedAnswer, metric: str, rule: Rule) -> bool:
    """Say whether an answer is read by the texts of the options, which nobody has packed."""
    answer = packed.answer
    if packed.trial.kind != "choice" or answer is None or answer.text is None:
        return False
    read_by = {rule} if metric == scorers.OPTION_ARGMAX else {scorers.rule_of(metric)}
    return read_by != {"exact"} and parse_choice(answer.text, packed.options) is None


def _name(packed: PackedAnswer) -> str:
    trial = packed.trial
    return f"{trial.task} {trial.style} {trial.id}"
