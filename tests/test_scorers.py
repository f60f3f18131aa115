import pytest

from vipbench import scorers
from vipbench.schema import Kind, Request, Response, Score, Trial


def trial(kind: Kind, target: str, options: tuple[str, ...] = ()) -> Trial:
    request = Request(
        task="t",
        style="s",
        id="1",
        turns=("?",),
        image="a.png",
        fit="pad",
        max_new_tokens=8,
        options=options,
        key="k",
    )
    return Trial(task="t", style="s", id="1", request=request, kind=kind, target=target, group="g")


@pytest.mark.parametrize(
    ("text", "value", "answer"), [("b", 1, "B"), ("A", 0, "A"), ("B.", 0, None), ("E", 0, None)]
)
def test_choice(text: str, value: float, answer: str | None) -> None:
    got = scorers.score(trial("choice", "B", ("A", "B", "C", "D")), Response(text=text))
    assert got == Score(value=value, answer=answer)


@pytest.mark.parametrize(
    ("text", "value", "answer"), [("Red\n", 1, "Red"), ("red car", 0, "red car"), (" ", 0, None)]
)
def test_short_answer(text: str, value: float, answer: str | None) -> None:
    got = scorers.score(trial("short_answer", "red"), Response(text=text))
    assert got == Score(value=value, answer=answer)


@pytest.mark.parametrize(
    ("text", "value", "answer"),
    [("a red car", 1, "a red car"), ("a car", 0, "a car"), ("\n", 0, None)],
)
def test_graded(text: str, value: float, answer: str | None) -> None:
    got = scorers.score(trial("graded", "red<AND>car"), Response(text=text))
    assert got == Score(value=value, answer=answer)


def test_a_joint_score_is_right_if_all_parts_are() -> None:
    right, wrong, unparsed = Score(value=1, answer="A"), Score(value=0, answer="B"), Score(value=0)
    assert scorers.join([right, right]) == Score(value=1, answer="A, A")
    assert scorers.join([right, wrong]) == Score(value=0, answer="A, B")
    assert scorers.join([right, unparsed]) == Score(value=0, answer=None)


def test_errors_are_never_scored() -> None:
    with pytest.raises(ValueError, match="error"):
        scorers.score(trial("choice", "A", ("A", "B")), Response(error="no image"))
    failed = Trial(task="t", style="s", id="1", error="x", kind="choice", target="A", group="g")
    with pytest.raises(ValueError, match="error"):
        scorers.score(failed, Response(text="A"))


def test_a_joint_task_has_no_answers_of_its_own() -> None:
    with pytest.raises(ValueError, match="parts"):
        scorers.score(trial("joint", "A"), Response(text="A"))


def test_only_graded_tasks_have_another_metric() -> None:
    kinds: tuple[Kind, ...] = ("choice", "short_answer", "joint", "graded")
    names = [scorers.metric_name(kind) for kind in kinds]
    assert names == ["text_match", "text_match", "text_match", "exact_proxy"]
