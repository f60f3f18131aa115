"""Score answers: choice, short answer, graded, joint. Cannot see a model or an image."""

from collections.abc import Collection, Iterator, Sequence

from vipbench import answers
from vipbench.errors import RunError
from vipbench.schema import ExtraMetric, Kind, Response, Score, Tags, Trial
from vipbench.store import ResponseLine, ScoreLine, TrialId, trial_id


def metric_name(kind: Kind) -> str:
    """Name the headline metric of a kind of task.

    `text_match` is the match under the task's strict rule; `exact_proxy` is ViP-Bench without its
    judge. Different metrics never share a column.
    """
    return "exact_proxy" if kind == "graded" else "text_match"


def metrics_of(kind: Kind, extra: Collection[ExtraMetric]) -> tuple[str, ...]:
    """Return the metrics that answers of a kind are scored by, the headline first.

    `lenient` reads an answer out of a text around it; free text that is graded has none.
    """
    lenient = "lenient" in extra and kind in ("choice", "short_answer")
    return (metric_name(kind), "lenient") if lenient else (metric_name(kind),)


def score(trial: Trial, response: Response, metric: str | None = None) -> Score:
    """Score one answer against its target by a metric of `metrics_of`; None: the headline.

    Raises:
        ValueError: The sample or the response is an error: errors have no score.
    """
    if trial.request is None or response.text is None:
        raise ValueError(f"{trial.task} {trial.style} {trial.id}: an error cannot be scored")
    lenient = metric == "lenient"
    if trial.kind == "choice":
        return _score_choice(response.text, trial.target, trial.request.options, lenient=lenient)
    if trial.kind == "short_answer":
        return _score_short(response.text, trial.target, lenient=lenient)
    if trial.kind == "graded":
        return _score_graded(response.text, trial.target)
    raise ValueError(f"{trial.task}: a task of kind {trial.kind!r} is scored from its parts")


def join(scores: Sequence[Score]) -> Score:
    """Score a joint task (VCR Q->AR): right if every part is right, unparsed if any part is."""
    answered = [part.answer for part in scores if part.answer is not None]
    return Score(
        value=min(part.value for part in scores),
        answer=", ".join(answered) if len(answered) == len(scores) else None,
    )


def score_line(trial: Trial, response: Response | None, metric: str | None = None) -> ScoreLine:
    """Return what `scores.jsonl` says of a trial by one metric; an error has no value.

    `response` may be None only where the trial itself is an error.
    """
    error = trial.error if response is None else response.error
    scored = score(trial, response, metric) if response is not None and error is None else None
    marks = response.visibility if isinstance(response, ResponseLine) else None
    return ScoreLine(
        task=trial.task,
        style=trial.style,
        id=trial.id,
        metric=metric or metric_name(trial.kind),
        value=scored.value if scored else None,
        answer=scored.answer if scored else None,
        target=trial.target,
        group=trial.group,
        tags=trial.tags,
        truncated=response is not None and response.finish == "length",
        error=error,
        n_marks_lost=None if marks is None else sum(mark.lost for mark in marks),
        n_marks_cut=None if marks is None else sum(mark.cut for mark in marks),
    )


def join_lines(name: str, parts: Sequence[str], lines: Sequence[ScoreLine]) -> list[ScoreLine]:
    """Score the joint task `name` from the lines of its parts, joined on style, id and metric.

    An error in either part is an error. Raises RunError where a part lacks a sample.
    """
    found = {(trial_id(line), line.metric): line for line in lines}
    joined = []
    for line in (line for line in lines if line.task == parts[0]):
        together = [found.get((TrialId(part, line.style, line.id), line.metric)) for part in parts]
        present = [each for each in together if each is not None]
        if len(present) < len(parts):
            raise RunError(
                f"{name}: sample {line.id} under {line.style} is not in each of "
                f"{', '.join(parts)}; expected the same samples in all parts"
            )
        joined.append(_join_line(name, present))
    return joined


def _join_line(name: str, parts: Sequence[ScoreLine]) -> ScoreLine:
    errors = [f"{part.task}: {part.error}" for part in parts if part.error is not None]
    scores = [Score(value=p.value, answer=p.answer) for p in parts if p.value is not None]
    ungraded = [f"{part.task}: {part.ungraded}" for part in parts if part.ungraded is not None]
    joined = join(scores) if not errors and not ungraded else None
    return ScoreLine(
        task=name,
        style=parts[0].style,
        id=parts[0].id,
        metric=parts[0].metric,
        value=joined.value if joined else None,
        answer=joined.answer if joined else None,
        target=", ".join(part.target for part in parts),
        group=parts[0].group,
        tags=dict(_shared_tags([part.tags for part in parts])),
        truncated=any(part.truncated for part in parts),
        error="; ".join(errors) or None,
        ungraded=None if errors else "; ".join(ungraded) or None,
        n_marks_lost=_sum_known([part.n_marks_lost for part in parts]),
        n_marks_cut=_sum_known([part.n_marks_cut for part in parts]),
    )


def _sum_known(counts: Sequence[int | None]) -> int | None:
    """Add counts up; None where one is not known."""
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None


def _shared_tags(tags: Sequence[Tags]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Keep the values that all parts share; what differs between them is `mixed`."""
    for axis, values in tags[0].items():
        others = [other[axis] for other in tags[1:] if axis in other]
        if len(others) == len(tags) - 1:
            yield axis, values if all(each == values for each in others) else ("mixed",)


def _score_choice(text: str, target: str, letters: Sequence[str], *, lenient: bool) -> Score:
    parse = answers.find_choice if lenient else answers.parse_choice
    answer = parse(text, letters)
    right = answer is not None and answers.matches_short(answer, target)
    return Score(value=float(right), answer=answer)


def _score_short(text: str, target: str, *, lenient: bool) -> Score:
    answer = answers.parse_short(text)
    matches = answers.matches_leniently if lenient else answers.matches_short
    right = answer is not None and matches(answer, target)
    return Score(value=float(right), answer=answer)


def _score_graded(text: str, target: str) -> Score:
    answer = answers.parse_short(text)
    right = answer is not None and answers.matches_graded(answer, target)
    return Score(value=float(right), answer=answer)
