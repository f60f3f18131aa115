"""Scores made again from packed answers: what follows, what does not, what cannot be made."""

from typing import Any

import pytest

from tests.results import manifest, task_run
from vipbench.errors import RunError
from vipbench.kit.members import PackedAnswer
from vipbench.kit.rescore import FROM_A_MODEL, FROM_TEXTS, Rescored, rescore
from vipbench.runfolder.lines import ResponseLine, ScoreLine
from vipbench.runfolder.manifest import Manifest
from vipbench.schema import Request, Trial
from vipbench.scoring import scorers
from vipbench.scoring.option_texts import option_texts

TASK = "visual7w_pointing"
TURN = "Which?\nA. the red cup\nB. the blue cup"
LETTERS = ("A", "B")


def run_of(**fields: Any) -> Manifest:
    return manifest("any", {TASK: task_run(TASK)}, metrics=("stated", "option_argmax"), **fields)


def packed(text: str | None, id_: str = "q", **fields: Any) -> PackedAnswer:
    name: dict[str, Any] = {"task": TASK, "style": "demo", "id": id_}
    error = "gone" if text is None else None
    answer = ResponseLine(**name, key="k", batch=0, text=text, error=error, **fields)
    trial = Trial(**name, kind="choice", target="B", group="g")
    return PackedAnswer(trial=trial, key="k", options=LETTERS, answer=answer)


def scored(answer: PackedAnswer, metrics: tuple[str, ...]) -> list[ScoreLine]:
    """Score an answer as a run does, which knows the question."""
    trial = answer.whole_trial()
    assert isinstance(trial.request, Request)
    request = trial.request.model_copy(update={"turns": (TURN,)})
    assert option_texts(request) == {"A": "the red cup", "B": "the blue cup"}
    whole = trial.model_copy(update={"request": request})
    return [scorers.score_line(whole, answer.answer, metric, "exact") for metric in metrics]


def again(answers: list[PackedAnswer], lines: list[ScoreLine]) -> Rescored:
    return rescore(run_of(), lambda: answers, lines)


BOTH = ("text_match", "stated")


def test_letters_are_scored_again_by_every_metric() -> None:
    answer = packed("B", option_logprobs=(-2.0, -0.5))
    lines = scored(answer, ("text_match", "stated", "option_argmax"))
    assert again([answer], lines) == Rescored(3, {})


def test_errors_have_no_score() -> None:
    answer = packed(None)
    assert again([answer], scored(answer, BOTH)) == Rescored(2, {})


def test_what_is_read_by_the_texts_of_options_cannot_be_checked() -> None:
    answer = packed("It is the blue cup.")
    lines = scored(answer, BOTH)
    assert [line.value for line in lines] == [0.0, 1.0]
    assert again([answer], lines) == Rescored(1, {FROM_TEXTS: 1})
    wrong = lines[1].model_copy(update={"target": "A"})
    with pytest.raises(RunError, match="visual7w_pointing demo q by stated is not as its answer"):
        again([answer], [lines[0], wrong])


def test_grades_of_a_model_are_counted_apart() -> None:
    answer = packed("B")
    lines = scored(answer, BOTH)
    graded = lines[0].model_copy(update={"metric": "judge", "value": 0.3})
    assert again([answer], [*lines, graded]) == Rescored(2, {FROM_A_MODEL: 1})
    with pytest.raises(RunError, match="is not about the target of the sample"):
        again([answer], [*lines, graded.model_copy(update={"target": "A"})])


def test_a_score_of_no_answer_is_refused() -> None:
    answer, other = packed("B"), packed("A", "other")
    lines = scored(answer, BOTH)
    with pytest.raises(RunError, match="other by text_match: is a score of no answer"):
        again([answer], [*lines, *scored(other, BOTH)])
    with pytest.raises(RunError, match="other has no score by text_match"):
        again([answer, other], lines)


def test_joint_tasks_follow_from_their_parts() -> None:
    tasks = {name: task_run(name) for name in ("vcr_qa", "vcr_qar", "vcr_q2ar")}
    made = manifest("any", tasks)
    answers = []
    for task, text in (("vcr_qa", "B"), ("vcr_qar", "A")):
        one = packed(text)
        trial = one.trial.model_copy(update={"task": task})
        answer = one.answer and one.answer.model_copy(update={"task": task})
        answers.append(one.model_copy(update={"trial": trial, "answer": answer}))
    lines = [scorers.score_line(a.whole_trial(), a.answer, "text_match") for a in answers]
    with scorers.Joint("vcr_q2ar", ("vcr_qa", "vcr_qar")) as joint:
        for line in lines:
            joint.add(line)
        joined = list(joint.lines())
    assert rescore(made, lambda: answers, [*lines, *joined]) == Rescored(3, {})
    wrong = joined[0].model_copy(update={"value": 1.0})
    with pytest.raises(RunError, match="vcr_q2ar demo q by text_match does not follow from its"):
        rescore(made, lambda: answers, [*lines, wrong])
