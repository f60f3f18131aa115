import math
from collections.abc import Iterable, Sequence
from typing import Any, get_args

import pytest

from vipbench.errors import RunError
from vipbench.runfolder.lines import ScoreLine
from vipbench.schema import ExtraMetric, Kind, Request, Response, Rule, Score, Trial
from vipbench.scoring import scorers


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


@pytest.mark.parametrize(
    ("asked", "text", "strict", "stated"),
    [
        (trial("choice", "B", ("A", "B")), "B. The cup", 0, 1),
        (trial("choice", "B", ("A", "B")), "A. The cup", 0, 0),
        (trial("short_answer", "2"), "two", 0, 1),
        (trial("short_answer", "2"), "2", 1, 1),
    ],
)
def test_stated_is_a_metric_of_its_own(
    asked: Trial, text: str, strict: float, stated: float
) -> None:
    response = Response(text=text)
    extra: tuple[ExtraMetric, ...] = ("stated",)
    names = scorers.metrics_of(asked.kind, extra)
    lines = [scorers.score_line(asked, response, name) for name in names]
    assert [(line.metric, line.value) for line in lines] == [
        ("text_match", strict),
        ("stated", stated),
    ]


def test_free_text_has_no_stated_metric() -> None:
    extra: tuple[ExtraMetric, ...] = ("stated",)
    assert scorers.metrics_of("graded", extra) == ("exact_proxy",)
    assert scorers.metrics_of("choice", ()) == ("text_match",)


def ask_options(text: str, *logprobs: float, target: str = "B") -> ScoreLine:
    """Score an answer to a choice of three by `option_argmax`."""
    response = Response(text=text, option_logprobs=logprobs or None)
    asked = trial("choice", target, ("A", "B", "C"))
    return scorers.score_line(asked, response, scorers.OPTION_ARGMAX)


@pytest.mark.parametrize(
    ("text", "logprobs", "value", "answer", "margin", "agrees"),
    [
        ("B", (-2.0, -0.25, -3.0), 1, "B", 1.75, True),
        ("b ", (-2.0, -0.25, -3.0), 1, "B", 1.75, True),
        ("A", (-2.0, -0.25, -3.0), 1, "B", 1.75, False),
        ("no idea", (-2.0, -0.25, -0.3), 1, "B", 0.05, False),
        ("C", (-2.0, -4.0, -0.12345), 0, "C", 1.88, True),
        ("A", (-0.5, -0.5, -3.0), 0, "A", 0, True),
        ("B", (-math.inf, -0.25, -math.inf), 1, "B", None, True),
    ],
)
def test_the_likeliest_option_is_a_metric_of_its_own(
    text: str, logprobs: Sequence[float], value: float, answer: str, margin: float, agrees: bool
) -> None:
    line = ask_options(text, *logprobs)
    assert (line.metric, line.value, line.answer) == ("option_argmax", value, answer)
    assert (line.margin, line.agrees, line.error, line.ungraded) == (margin, agrees, None, None)


def test_an_answer_without_probabilities_is_no_error_and_has_no_value() -> None:
    line = ask_options("B")
    assert (line.value, line.answer, line.error, line.margin, line.agrees) == (None,) * 5
    assert line.ungraded == "the runner gave no probabilities of the options"
    two = trial("choice", "B", ("A", "B"))
    other = Response(text="B", option_logprobs=(-1.0, -2.0, -3.0))  # of another question
    assert scorers.score_line(two, other, "option_argmax").ungraded is not None
    failed = scorers.score_line(two, Response(error="broken"), "option_argmax")
    assert (failed.error, failed.ungraded) == ("broken", None)


def test_only_choices_have_a_likeliest_option() -> None:
    extra: tuple[ExtraMetric, ...] = ("option_argmax", "stated")
    assert scorers.metrics_of("choice", extra) == ("text_match", "stated", "option_argmax")
    assert scorers.metrics_of("choice", extra, "stated") == ("stated", "option_argmax")
    assert scorers.metrics_of("choice", extra, "blink") == ("blink", "stated", "option_argmax")
    assert scorers.metrics_of("short_answer", extra) == ("text_match", "stated")
    assert scorers.metrics_of("graded", extra) == ("exact_proxy",)


def test_the_headline_is_that_of_the_rule() -> None:
    asked = trial("choice", "B", ("A", "B"))
    line = scorers.score_line(asked, Response(text="The answer is B"), rule="stated")
    assert (line.metric, line.value, line.answer) == ("stated", 1, "B")
    unread = scorers.score_line(asked, Response(text="A or B"), rule="stated")
    assert (unread.value, unread.answer, unread.error) == (0, None, None)


def test_the_texts_of_the_options_are_those_that_were_asked() -> None:
    asked = trial("choice", "B", ("A", "B"))
    assert asked.request is not None
    request = asked.request.model_copy(update={"turns": ("What?\nA. a cat\nB. a dog",)})
    line = scorers.score_line(
        asked.model_copy(update={"request": request}), Response(text="I see a dog."), "stated"
    )
    assert (line.value, line.answer) == (1, "B")


def test_the_likeliest_option_is_compared_with_the_headline() -> None:
    asked = trial("choice", "B", ("A", "B"))
    response = Response(text="It is (B).", option_logprobs=(-2.0, -0.2))
    agrees = [
        scorers.score_line(asked, response, "option_argmax", rule).agrees
        for rule in get_args(Rule)[:2]
    ]
    assert agrees == [False, True]


@pytest.mark.parametrize(
    ("kind", "rule", "suitable"),
    [
        ("choice", "blink", "blink"),
        ("short_answer", "blink", "exact"),
        ("short_answer", "vp_bench", "exact"),
        ("short_answer", "stated", "stated"),
        ("graded", "stated", "exact"),
    ],
)
def test_a_rule_suits_a_kind_or_not(kind: Kind, rule: Rule, suitable: Rule) -> None:
    assert scorers.suitable_rule(kind, rule) == suitable


def test_likeliest_options_are_joined() -> None:
    first, second = ask_options("B", -2, -1, -4), ask_options("A", -2.5, -1, -4)
    lines = [
        line.model_copy(update={"task": task})
        for task, line in (("first", first), ("second", second))
    ]
    [joined] = join("both", ("first", "second"), lines)
    assert (joined.value, joined.answer, joined.margin, joined.agrees) == (1, "B, B", 1.0, False)
    lines[1] = ask_options("B").model_copy(update={"task": "second"})
    [joined] = join("both", ("first", "second"), lines)
    assert (joined.value, joined.margin, joined.agrees) == (None, None, None)
    assert joined.ungraded == "second: the runner gave no probabilities of the options"


def join(name: str, parts: tuple[str, ...], lines: Iterable[ScoreLine]) -> list[ScoreLine]:
    with scorers.Joint(name, parts) as joint:
        for line in lines:
            joint.add(line)
        return list(joint.lines())


def test_a_joint_task_is_joined_by_metric() -> None:
    lines = [
        scorers.score_line(
            trial("choice", "B", ("A", "B")).model_copy(update={"task": task}),
            Response(text=text),
            metric,
        )
        for task, text in (("first", "B."), ("second", "B"))
        for metric in ("text_match", "stated")
    ]
    joined = join("both", ("first", "second"), lines)
    assert {line.metric: line.value for line in joined} == {"text_match": 0, "stated": 1}


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


def test_a_line_holds_all_that_a_table_needs() -> None:
    asked = trial("choice", "B", ("A", "B"))
    line = scorers.score_line(asked, Response(text="b", finish="length"))
    assert (line.value, line.answer, line.target, line.group) == (1.0, "B", "B", "g")
    assert (line.metric, line.truncated, line.error) == ("text_match", True, None)


def test_the_line_of_an_error_has_no_value() -> None:
    asked = trial("choice", "B", ("A", "B"))
    failed = asked.model_copy(update={"request": None, "error": "missing_image: a.png"})
    for line, error in (
        (scorers.score_line(asked, Response(error="too long", finish="error")), "too long"),
        (scorers.score_line(failed, None), "missing_image: a.png"),
    ):
        assert (line.value, line.answer, line.error, line.truncated) == (None, None, error, False)


def part(task: str, id_: str, value: float | None, **fields: Any) -> ScoreLine:
    given: dict[str, Any] = {
        "metric": "text_match",
        "answer": None if value is None else "A",
        "target": "A",
        "group": "image",
        "tags": {},
        "truncated": False,
        "error": "no image" if value is None else None,
    }
    return ScoreLine(task=task, style="demo", id=id_, value=value, **(given | fields))


def test_parts_are_joined_on_their_id() -> None:
    lines = [part("qa", "1", 1), part("qa", "2", 1), part("qar", "2", 0), part("qar", "1", 1)]
    joined = join("both", ("qa", "qar"), lines)
    assert [(line.task, line.id, line.value) for line in joined] == [
        ("both", "1", 1.0),
        ("both", "2", 0.0),
    ]
    assert (joined[0].target, joined[0].answer) == ("A, A", "A, A")


def test_a_joint_score_has_the_image_of_its_first_part() -> None:
    lines = [part("qa", "1", 1, group="one"), part("qar", "1", 1, group="two")]
    assert [line.group for line in join("both", ("qa", "qar"), lines)] == ["one"]


def test_an_error_in_one_part_is_one_of_the_whole() -> None:
    (line,) = join("both", ("qa", "qar"), [part("qa", "1", 1), part("qar", "1", None)])
    assert (line.value, line.error) == (None, "qar: no image")


def test_a_part_without_a_grade_leaves_the_whole_ungraded() -> None:
    ungraded = part("qar", "1", None, error=None, ungraded="no score", metric="judge")
    lines = [part("qa", "1", 1, metric="judge"), ungraded]
    (line,) = join("both", ("qa", "qar"), lines)
    assert (line.value, line.error, line.ungraded) == (None, None, "qar: no score")
    lines = [part("qa", "1", None, metric="judge"), ungraded]
    (line,) = join("both", ("qa", "qar"), lines)
    assert (line.value, line.error, line.ungraded) == (None, "qa: no image", None)


def test_an_unparsed_part_leaves_the_whole_unparsed() -> None:
    lines = [part("qa", "1", 1), part("qar", "1", 0, answer=None)]
    (line,) = join("both", ("qa", "qar"), lines)
    assert (line.value, line.answer, line.error) == (0.0, None, None)


def test_a_sample_that_a_part_lacks_is_an_error() -> None:
    lines = [part("qa", "1", 1), part("qar", "2", 1)]
    with pytest.raises(RunError, match="both: sample 1 under demo"):
        join("both", ("qa", "qar"), lines)


def test_marks_that_cannot_be_seen_are_those_of_all_parts() -> None:
    one = part("qa", "1", 1, n_marks_lost=1, n_marks_cut=2)
    other = part("qar", "1", 1, n_marks_lost=3, n_marks_cut=None)
    [joined] = join("both", ("qa", "qar"), [one, other])
    assert (joined.n_marks_lost, joined.n_marks_cut) == (4, None)


def test_what_differs_between_parts_is_mixed() -> None:
    first = {"shape": ("point",), "n_marks": ("2",), "own": ("x",)}
    second = {"shape": ("point",), "n_marks": ("3",)}
    lines = [part("qa", "1", 1, tags=first), part("qar", "1", 1, tags=second, truncated=True)]
    (line,) = join("both", ("qa", "qar"), lines)
    assert line.tags == {"shape": ("point",), "n_marks": ("mixed",)}
    assert line.truncated


@pytest.mark.parametrize(
    ("response", "state", "value", "error"),
    [
        (Response(text="B", state="refused"), "refused", 0.0, None),
        (Response(error="I may not", state="refused"), "refused", 0.0, None),
        (Response(text="B", finish="length"), "cut_off", 1.0, None),
        (Response(error="withheld", finish="filter"), "filtered", None, "withheld"),
        (Response(error="gone"), "failed", None, "gone"),
        (None, "failed", None, "no image"),
    ],
)
def test_each_state_is_scored_as_it_is_specified(
    response: Response | None, state: str, value: float | None, error: str | None
) -> None:
    asked = trial("choice", "B", ("A", "B"))
    if response is None:
        asked = asked.model_copy(update={"request": None, "error": "no image"})
    line = scorers.score_line(asked, response)
    assert (line.state, line.value, line.error) == (state, value, error)
    assert (line.answer == "B") == (state == "cut_off")
    assert ScoreLine.model_validate_json(line.model_dump_json()) == line


@pytest.mark.parametrize(
    ("states", "joined"),
    [
        (("answered", "refused"), "refused"),
        (("cut_off", "refused"), "cut_off"),
        (("filtered", "refused"), "filtered"),
        (("filtered", "failed"), "failed"),
    ],
)
def test_a_joint_task_has_the_worst_state_of_its_parts(
    states: tuple[str, str], joined: str
) -> None:
    made = {
        "answered": Response(text="B"),
        "refused": Response(text="No.", state="refused"),
        "cut_off": Response(text="B", finish="length"),
        "filtered": Response(error="withheld", finish="filter"),
        "failed": Response(error="gone"),
    }
    asked = trial("choice", "B", ("A", "B"))
    with scorers.Joint("both", ("one", "two")) as joint:
        for task, state in zip(("one", "two"), states, strict=True):
            line = scorers.score_line(asked, made[state])
            joint.add(line.model_copy(update={"task": task}))
        [line] = joint.lines()
    assert line.state == joined
    assert line.value == (0.0 if line.error is None else None)
