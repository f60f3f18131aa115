"""Score answers: choice, short answer, graded, joint. Cannot see a model or an image."""

from collections.abc import Iterator, Sequence

from vipbench import answers
from vipbench.errors import RunError
from vipbench.schema import Kind, Response, Score, Tags, Trial
from vipbench.store import ScoreLine, TrialId, trial_id


def metric_name(kind: Kind) -> str:
    """Name the metric that scores of this kind are summed up as.

    `text_match` is the match under the task's strict rule; `exact_proxy` is ViP-Bench without its
    judge. Different metrics never share a column.
    """
    return "exact_proxy" if kind == "graded" else "text_match"


def score(trial: Trial, response: Response) -> Score:
    """Score one answer against its target.

    Raises:
        ValueError: The sample or the response is an error: errors have no score.
    """
    if trial.request is None or response.text is None:
        raise ValueError(f"{trial.task} {trial.style} {trial.id}: an error cannot be scored")
    if trial.kind == "choice":
        return _score_choice(response.text, trial.target, trial.request.options)
    if trial.kind == "short_answer":
        return _score_short(response.text, trial.target)
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


def score_line(trial: Trial, response: Response | None) -> ScoreLine:
    """Return what `scores.jsonl` says of a trial; an error has no value.

    `response` may be None only where the trial itself is an error.
    """
    error = trial.error if response is None else response.error
    scored = score(trial, response) if response is not None and error is None else None
    return ScoreLine(
        task=trial.task,
        style=trial.style,
        id=trial.id,
        metric=metric_name(trial.kind),
        value=scored.value if scored else None,
        answer=scored.answer if scored else None,
        target=trial.target,
        group=trial.group,
        tags=trial.tags,
        truncated=response is not None and response.finish == "length",
        error=error,
    )


def join_lines(name: str, parts: Sequence[str], lines: Sequence[ScoreLine]) -> list[ScoreLine]:
    """Score the joint task `name` from the lines of its parts, joined on style and id.

    An error in either part is an error. Raises RunError where a part lacks a sample.
    """
    found = {trial_id(line): line for line in lines}
    joined = []
    for line in (line for line in lines if line.task == parts[0]):
        together = [found.get(TrialId(part, line.style, line.id)) for part in parts]
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
    joined = join(scores) if not errors else None
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
    )


def _shared_tags(tags: Sequence[Tags]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Keep the values that all parts share; what differs between them is `mixed`."""
    for axis, values in tags[0].items():
        others = [other[axis] for other in tags[1:] if axis in other]
        if len(others) == len(tags) - 1:
            yield axis, values if all(each == values for each in others) else ("mixed",)


def _score_choice(text: str, target: str, letters: Sequence[str]) -> Score:
    answer = answers.parse_choice(text, letters)
    right = answer is not None and answers.matches_short(answer, target)
    return Score(value=float(right), answer=answer)


def _score_short(text: str, target: str) -> Score:
    answer = answers.parse_short(text)
    right = answer is not None and answers.matches_short(answer, target)
    return Score(value=float(right), answer=answer)


def _score_graded(text: str, target: str) -> Score:
    answer = answers.parse_short(text)
    right = answer is not None and answers.matches_graded(answer, target)
    return Score(value=float(right), answer=answer)
