"""Score answers: choice, short answer, graded, joint. Cannot see a model or an image."""

from collections.abc import Sequence

from vipbench import answers
from vipbench.schema import Kind, Response, Score, Trial


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
