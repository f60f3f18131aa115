import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from tests.judge_server import PROMPT_TOKENS, REPLY_TOKENS, Answer, Asked, JudgeServer, in_turn
from vipbench.console import Console
from vipbench.endpoints.endpoint import Endpoint
from vipbench.endpoints.meter import Limits, estimated_tokens
from vipbench.errors import JudgeError, RunError, RunInterrupted
from vipbench.judge import ledger
from vipbench.judge.grading import Graded, Item, NothingGraded, grade, make_item
from vipbench.judge.ledger import Grade
from vipbench.judge.report import new_report, notes
from vipbench.judge.rubric import RUBRIC_REMINDER, Prompt
from vipbench.judge.settings import JUDGE, JudgeSettings
from vipbench.runfolder.lines import TrialId
from vipbench.schema import Request, Trial

KEY = "sk-proj-0123456789abcdef"
TABLE = Prompt(text="Few shots\n", reminder="\nAgain: ", source="evaluator.py", table=True)


def items(n: int) -> list[Item]:
    return [
        Item(
            task="vip_bench_bbox",
            style="given",
            id=f"v1_{number}",
            question=f"Question {number}?",
            answer="a<AND>b",
            prediction=f"a {number}",
        )
        for number in range(n)
    ]


def name(number: int) -> TrialId:
    return TrialId("vip_bench_bbox", "given", f"v1_{number}")


def number_of(asked: Asked) -> int:
    """Return which of the items a message is about."""
    return int(asked.message.split("Question ")[1].split("?")[0])


def settings(url: str, **fields: Any) -> JudgeSettings:
    own = {"key", "tries", "timeout", "model", "first_wait"}
    endpoint: dict[str, Any] = {"model": "gpt-4-0613", "first_wait": 0.001, "tries": 3}
    endpoint |= {name: value for name, value in fields.items() if name in own}
    given: dict[str, Any] = {"n_runs": 2, "workers": 4, "max_tokens": 3, "reasoning_tokens": 0}
    given |= {name: value for name, value in fields.items() if name not in own}
    return JudgeSettings(endpoint=Endpoint(purpose=JUDGE, url=url, **endpoint), **given)


@contextmanager
def serving(
    answer: Callable[[Asked], Answer] | None = None, **fields: Any
) -> Iterator[tuple[JudgeSettings, JudgeServer]]:
    with JudgeServer(answer) as server:
        yield settings(server.url, **fields), server


def lines(path: Path) -> list[Grade]:
    return list(ledger.read(path).lines({line["key"] for line in raw(path)}))


def raw(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


OTHER_NAME = (
    "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
    "'max_completion_tokens' instead."
)
OTHER_TEMPERATURE = (
    "Unsupported value: 'temperature' does not support 0.0 with this model. Only the default (1) "
    "value is supported."
)


def cut(text: str | None, reasoning: str | None = None) -> Answer:
    """Answer with a text that ended at the limit of three tokens."""
    message = {"role": "assistant", "content": text}
    if reasoning is not None:
        message["reasoning_content"] = reasoning
    usage = {"prompt_tokens": PROMPT_TOKENS, "completion_tokens": 3}
    choice = {"message": message, "finish_reason": "length"}
    return Answer(body={"choices": [choice], "model": "m", "usage": usage})


def counts(graded: Graded) -> tuple[int, int, int, int, int]:
    now = graded.spent_now
    return (
        now.n_calls,
        now.n_retries,
        now.n_prompt_tokens,
        now.n_completion_tokens,
        now.n_estimated,
    )


def test_every_sample_is_asked_in_every_judge_run(tmp_path: Path) -> None:
    def answer(asked: Asked) -> Answer:
        return Answer(f"0.{number_of(asked)}")

    with serving(answer, n_runs=5) as (chosen, server):
        graded = grade(items(7), chosen, tmp_path / "g.jsonl")
    assert {each.id: grade.value for each, grade in graded.samples.items()} == pytest.approx(
        {f"v1_{number}": number / 10 for number in range(7)}
    )
    assert graded.samples[name(3)].scores == (0.3,) * 5
    assert Counter(map(number_of, server.asked)) == dict.fromkeys(range(7), 5)
    assert counts(graded) == (35, 0, 35 * PROMPT_TOKENS, 35 * REPLY_TOKENS, 0)
    assert graded.models == {"gpt-4-0613": 35}
    assert graded.stopped is None
    assert all(asked.body["temperature"] == 0 for asked in server.asked)
    assert all(asked.body["max_tokens"] == 3 for asked in server.asked)


def test_the_score_is_the_mean_of_the_judge_runs(tmp_path: Path) -> None:
    with serving(in_turn(Answer("0.2"), Answer("0.4"), Answer("0.9")), n_runs=3, workers=1) as (
        chosen,
        _,
    ):
        graded = grade(items(1), chosen, tmp_path / "g.jsonl")
    assert graded.samples[name(0)].scores == (0.2, 0.4, 0.9)
    assert graded.samples[name(0)].value == pytest.approx(0.5)


def test_the_message_is_that_of_the_prompt(tmp_path: Path) -> None:
    with serving(prompt=TABLE, n_runs=1) as (chosen, server):
        grade(items(1), chosen, tmp_path / "g.jsonl")
    assert [asked.message for asked in server.asked] == [
        "Few shots\n\nQuestion 0? | a <AND> b | a 0 | "
    ]


def test_what_is_graded_is_never_asked_again(tmp_path: Path) -> None:
    with serving() as (chosen, server):
        first = grade(items(4), chosen, tmp_path / "g.jsonl")
        before = (tmp_path / "g.jsonl").read_bytes()
        again = grade(items(4), chosen, tmp_path / "g.jsonl")
        assert len(server.asked) == 8
        assert (tmp_path / "g.jsonl").read_bytes() == before
        assert again.samples == first.samples
        assert counts(again) == (0, 0, 0, 0, 0)
        assert again.spent == first.spent
        more = grade(items(5), chosen.model_copy(update={"n_runs": 3}), tmp_path / "g.jsonl")
    assert len(server.asked) == 8 + 4 + 3
    assert counts(more)[0] == 7


def test_a_changed_prediction_is_graded_anew(tmp_path: Path) -> None:
    first, second = items(2)
    changed = second.model_copy(update={"prediction": "another answer to Question 1?"})
    with serving(n_runs=1) as (chosen, server):
        grade([first, second], chosen, tmp_path / "g.jsonl")
        graded = grade([first, changed], chosen, tmp_path / "g.jsonl")
    assert len(server.asked) == 3
    assert graded.unused == {"other questions, answers or predictions": 1}


def test_equal_answers_are_asked_once(tmp_path: Path) -> None:
    (item,) = items(1)
    twice = [item, item.model_copy(update={"style": "blind"})]
    with serving() as (chosen, server):
        graded = grade(twice, chosen, tmp_path / "g.jsonl")
    assert len(server.asked) == 2
    assert [each.value for each in graded.samples.values()] == [1.0, 1.0]


def test_grades_of_another_judge_are_named_and_not_used(tmp_path: Path) -> None:
    with serving(in_turn(Answer("0.1")), model="qwen") as (chosen, _):
        grade(items(3), chosen, tmp_path / "g.jsonl")
    with serving(in_turn(Answer("0.2")), prompt=TABLE) as (chosen, _):
        grade(items(3), chosen, tmp_path / "g.jsonl")
    with serving(in_turn(Answer("0.9"))) as (chosen, server):
        graded = grade(items(3), chosen, tmp_path / "g.jsonl")
    assert len(server.asked) == 6
    assert {each.value for each in graded.samples.values()} == {0.9}
    assert graded.unused == {"judge qwen": 6, f"prompt {TABLE.digest[:12]}": 6}


# --- replies that are no score


def test_prose_is_asked_again_as_published_and_never_zero(tmp_path: Path) -> None:
    def answer(asked: Asked) -> Answer:
        return Answer("I think" if number_of(asked) == 1 else "0.8")

    with serving(answer, n_runs=1, workers=1) as (chosen, server):
        graded = grade(items(3), chosen, tmp_path / "g.jsonl")
    about = [asked for asked in server.asked if number_of(asked) == 1]
    assert [asked.body["temperature"] for asked in about] == [0.0, 0.0, 0.5, 1.0, 1.5]
    plain = about[0].message
    assert [asked.message for asked in about[1:]] == [plain + RUBRIC_REMINDER] * 4
    assert "<obj>" not in plain
    sample = graded.samples[name(1)]
    assert (sample.value, sample.scores) == (None, (None,))
    assert sample.ungraded == "no score: 5 replies, the last 'I think'"
    assert graded.samples[name(2)].value == 0.8
    assert counts(graded) == (7, 4, 7 * PROMPT_TOKENS, 7 * REPLY_TOKENS, 0)
    (line,) = [line for line in lines(tmp_path / "g.jsonl") if line.score is None]
    assert (line.id, line.n_calls, line.replies) == ("v1_1", 5, ("I think",) * 5)
    assert graded.stopped is None


def test_a_lone_surrogate_loses_no_grade(tmp_path: Path) -> None:
    replies = [Answer("Well \ud83d"), Answer("0.6", model="gpt-\ud800")]
    with serving(in_turn(*replies), n_runs=1) as (chosen, server):
        graded = grade(items(1), chosen, tmp_path / "g.jsonl")
        assert grade(items(1), chosen, tmp_path / "g.jsonl").samples == graded.samples
    assert len(server.asked) == 2
    assert graded.samples[name(0)].value == 0.6
    assert graded.models == {"gpt-\\ud800": 1}
    (line,) = lines(tmp_path / "g.jsonl")
    assert line.replies == ("Well \\ud83d", "0.6")


def test_a_lone_surrogate_in_an_error_is_written(tmp_path: Path) -> None:
    refused = Answer(status=400, body={"error": {"message": "no \ud800"}})
    with serving(in_turn(refused), n_runs=1) as (chosen, _):
        graded = grade(items(1), chosen, tmp_path / "g.jsonl")
    assert "no \\ud800" in str(graded.samples[name(0)].ungraded)
    (line,) = lines(tmp_path / "g.jsonl")
    assert "no \\ud800" in str(line.reason)


def test_a_later_reply_may_hold_the_score(tmp_path: Path) -> None:
    replies = [Answer("Well"), Answer("1.5"), Answer("nan"), Answer("0.6 ")]
    with serving(in_turn(*replies), n_runs=1) as (chosen, _):
        graded = grade(items(1), chosen, tmp_path / "g.jsonl")
    assert graded.samples[name(0)].value == 0.6
    assert counts(graded)[:2] == (4, 3)
    (line,) = lines(tmp_path / "g.jsonl")
    assert line.replies == ("Well", "1.5", "nan", "0.6 ")


def test_one_judge_run_without_a_grade_leaves_the_sample_ungraded(tmp_path: Path) -> None:
    replies = [Answer("0.5"), *[Answer("no")] * 5, Answer("0.5")]
    with serving(in_turn(*replies), n_runs=3, workers=1) as (chosen, server):
        graded = grade(items(1), chosen, tmp_path / "g.jsonl")
        sample = graded.samples[name(0)]
        assert sample.scores == (0.5, None, 0.5)
        assert sample.value is None
        assert sample.ungraded == "no score: 5 replies, the last 'no' (1 of 3 judge runs)"
        again = grade(items(1), chosen, tmp_path / "g.jsonl")
    assert len(server.asked) == 8
    assert again.samples[name(0)].value == 0.5
    assert (again.spent.n_calls, again.spent.n_retries) == (8, 5)


@pytest.mark.parametrize("text", ["", "1.01", "-0.1", "inf", "A", "🤖", "x" * 10_000, None])
def test_no_wrong_score_counts(tmp_path: Path, text: str | None) -> None:
    with serving(in_turn(Answer(text)), n_runs=1) as (chosen, server):
        graded = grade(items(1), chosen, tmp_path / "g.jsonl")
    assert graded.samples[name(0)].value is None
    assert len(server.asked) == 5
    assert (tmp_path / "g.jsonl").stat().st_size < 4000


def test_scores_between_the_tenths_are_kept(tmp_path: Path) -> None:
    with serving(in_turn(Answer("0.55"))) as (chosen, _):
        graded = grade(items(1), chosen, tmp_path / "g.jsonl")
    assert graded.samples[name(0)].value == 0.55


# --- judges that give no grade at all


def test_another_scale_is_told(tmp_path: Path) -> None:
    def answer(asked: Asked) -> Answer:
        return Answer(f"{number_of(asked)}")

    with serving(answer, n_runs=1) as (chosen, _):
        graded = grade(items(10), chosen, tmp_path / "g.jsonl")
    assert graded.samples[name(7)].ungraded == (
        "no score, on another scale: 5 replies, the last '7'"
    )
    said = list(notes(new_report(items(10), graded, chosen)))
    assert any("8 of 10 samples are ungraded (8 no score, on another scale)" in s for s in said)
    assert any("a 0 or 1 beside them may mean something else too" in s for s in said)


def test_a_judge_that_gives_no_grade_is_left_after_the_first_questions(tmp_path: Path) -> None:
    with serving(in_turn(Answer("I think 0.8\x1b[2J")), workers=4) as (chosen, server):
        graded = grade(items(303), chosen, tmp_path / "g.jsonl")
    assert isinstance(graded.stopped, NothingGraded)
    assert str(graded.stopped) == (
        "judge: none of the first 5 questions got a grade · the last reply: 'I think "
        "0.8\\x1b[2J' (not a grade alone) · expected the grade alone, such as 0.8 · take another "
        "--judge-model"
    )
    assert len(server.asked) == counts(graded)[0] == 5 * 5
    assert server.most_at_once == 1


def test_a_cut_reply_is_no_grade_whatever_it_begins_with(tmp_path: Path) -> None:
    with serving(lambda asked: cut("0.")) as (chosen, server):
        graded = grade(items(12), chosen, tmp_path / "g.jsonl")
        assert "'0.' (cut after 3 tokens) · raise --judge-max-tokens 3" in str(graded.stopped)
        assert len(server.asked) == 25
        assert {sample.value for sample in graded.samples.values()} == {None}
        # With more room it is another judge, and all is asked.
        server.answer = in_turn(Answer("0.8"))
        more = chosen.model_copy(update={"max_tokens": 16, "n_runs": 1})
        graded = grade(items(12), more, tmp_path / "g.jsonl")
    assert {sample.value for sample in graded.samples.values()} == {0.8}
    assert len(server.asked) == 25 + 12


@pytest.mark.parametrize(
    ("text", "reasoning"), [("<think>\nOkay", None), (None, "Okay"), ("", "Okay")]
)
def test_a_judge_without_room_to_think_is_told_of(
    tmp_path: Path, text: str | None, reasoning: str | None
) -> None:
    with serving(lambda asked: cut(text, reasoning)) as (chosen, _):
        graded = grade(items(12), chosen, tmp_path / "g.jsonl")
    assert (
        "(cut after 3 tokens) · the judge thinks first: raise --judge-reasoning-tokens 0, or"
        in (str(graded.stopped))
    )
    assert "enable_thinking" in str(graded.stopped)


def test_few_questions_without_a_grade_are_a_stop_too(tmp_path: Path) -> None:
    with serving(in_turn(Answer("Well")), n_runs=1) as (chosen, server):
        graded = grade(items(2), chosen, tmp_path / "g.jsonl")
        again = grade(items(2), chosen, tmp_path / "g.jsonl")
    assert "none of the first 2 questions got a grade" in str(graded.stopped)
    assert str(again.stopped) == str(graded.stopped)
    assert len(server.asked) == 2 * 10


def test_once_a_judge_has_given_a_grade_others_may_lack_theirs(tmp_path: Path) -> None:
    def answer(asked: Asked) -> Answer:
        return Answer("0.8" if number_of(asked) == 4 else "Well")

    with serving(answer, n_runs=1) as (chosen, server):
        graded = grade(items(8), chosen, tmp_path / "g.jsonl")
        assert graded.stopped is None
        assert len(server.asked) == 7 * 5 + 1
        again = grade(items(8), chosen, tmp_path / "g.jsonl")  # the rest is asked, and no more
    assert again.stopped is None
    assert len(server.asked) == 2 * 7 * 5 + 1


# --- servers that take other parameters


def test_a_server_that_takes_no_high_temperature_has_replied_all_the_same(tmp_path: Path) -> None:
    def answer(asked: Asked) -> Answer:
        if asked.body["temperature"] > 1:  # type: ignore[operator]
            return Answer(status=400, body={"error": {"message": "temperature: range: 0..1"}})
        return Answer("Well" if number_of(asked) == 1 else "0.8")

    with serving(answer, n_runs=1, workers=1) as (chosen, server):
        graded = grade(items(3), chosen, tmp_path / "g.jsonl")
    assert graded.samples[name(1)].ungraded == "no score: 4 replies, the last 'Well'"
    assert graded.samples[name(1)].n_unread == 1
    assert len(server.asked) == 2 + 5


def test_what_a_server_refuses_makes_another_judge_and_is_asked_once(tmp_path: Path) -> None:
    def answer(asked: Asked) -> Answer:
        if "max_tokens" in asked.body:
            return Answer(status=400, body={"error": {"message": OTHER_NAME}})
        if "temperature" in asked.body:
            return Answer(status=400, body={"error": {"message": OTHER_TEMPERATURE}})
        return Answer("0.8")

    with serving(answer, n_runs=2) as (chosen, server):
        graded = grade(items(6), chosen, tmp_path / "g.jsonl")
        assert {sample.value for sample in graded.samples.values()} == {0.8}
        assert graded.judge == chosen.judge.model_copy(update={"omitted": ("temperature",)})
        assert len(server.asked) == 2 + 12
        assert counts(graded)[0] == 2 + 12
        again = grade(items(6), chosen, tmp_path / "g.jsonl")
        assert (again.samples, again.judge) == (graded.samples, graded.judge)
        assert len(server.asked) == 2 + 12
        more = grade(items(7), chosen, tmp_path / "g.jsonl")
        assert len(server.asked) == 2 + 12 + 2 + 2
        assert len(more.samples) == 7
        # A server that takes all is another judge, of which no grade is known: that is told.
        server.answer = in_turn(Answer("0.4"))
        said: list[str] = []
        other = grade(items(8), chosen, tmp_path / "g.jsonl", console=Console(said.append))
    assert [text.split(": about ")[1].split(",")[0] for text in said if ": about" in text] == [
        "2 calls",
        "15 calls",
    ]
    assert other.judge == chosen.judge
    assert {sample.value for sample in other.samples.values()} == {0.4}
    assert list(other.unused) == ["other parameters (without temperature)"]


def test_a_server_that_wants_more_tokens_gets_them(tmp_path: Path) -> None:
    def answer(asked: Asked) -> Answer:
        if asked.body["max_tokens"] < 16:  # type: ignore[operator]
            message = "Invalid 'max_tokens': integer below minimum value. Expected a value >= 16"
            return Answer(status=400, body={"error": {"message": message}})
        return Answer("0.8")

    with serving(answer, n_runs=1) as (chosen, server):
        graded = grade(items(3), chosen, tmp_path / "g.jsonl")
    assert {sample.value for sample in graded.samples.values()} == {0.8}
    assert len(server.asked) == 4
    assert graded.judge == chosen.judge


def test_a_grade_in_parts_is_read(tmp_path: Path) -> None:
    content = [{"type": "thinking", "thinking": "0.2?"}, {"type": "text", "text": "0.9"}]
    body = {"choices": [{"message": {"role": "assistant", "content": content}}], "model": "m"}
    with serving(in_turn(Answer(body=body)), n_runs=1) as (chosen, server):
        graded = grade(items(4), chosen, tmp_path / "g.jsonl")
    assert {sample.value for sample in graded.samples.values()} == {0.9}
    assert len(server.asked) == 4


# --- faults


def test_faults_are_accounted_for(tmp_path: Path) -> None:
    tried: Counter[int] = Counter()
    first = {
        1: Answer(status=429, body=b"slow down", headers={"Retry-After": "0"}),
        2: Answer(status=500, body=b"oops"),
        3: Answer(body=b"garbage"),
        4: Answer(cut="half way"),
        5: Answer("no score"),
    }

    def answer(asked: Asked) -> Answer:
        number = number_of(asked)
        tried[number] += 1
        return first[number] if tried[number] == 1 and number in first else Answer("0.5")

    limits = Limits(price=(30, 60))
    with serving(answer, n_runs=1, limits=limits, workers=1) as (chosen, server):
        graded = grade(items(7), chosen, tmp_path / "g.jsonl")
        estimate = [
            estimated_tokens(asked.message) for asked in server.asked if number_of(asked) in (3, 4)
        ]
    assert {each.value for each in graded.samples.values()} == {0.5}
    assert len(server.asked) == 12
    n_prompt = 8 * PROMPT_TOKENS + estimate[0] + estimate[2]
    n_reply = 8 * REPLY_TOKENS + 2 * 3
    assert counts(graded) == (12, 5, n_prompt, n_reply, 2)
    assert graded.spent_now.dollars == pytest.approx((30 * n_prompt + 60 * n_reply) / 1e6)


def test_a_sample_that_the_server_never_answers_is_ungraded(tmp_path: Path) -> None:
    def answer(asked: Asked) -> Answer:
        if number_of(asked) == 2:
            return Answer(status=500, body=b"oops")
        if number_of(asked) == 4:
            return Answer(status=400, body={"error": {"message": "filtered"}})
        return Answer("1.0")

    with serving(answer, n_runs=1) as (chosen, server):
        graded = grade(items(6), chosen, tmp_path / "g.jsonl")
    assert graded.samples[name(2)].ungraded == "HTTP 500: oops (3 of 3 tries)"
    assert graded.samples[name(4)].ungraded == "HTTP 400: filtered"
    assert [graded.samples[name(i)].value for i in (0, 1, 3, 5)] == [1.0] * 4
    assert len(server.asked) == 4 + 3 + 1
    assert counts(graded) == (8, 2, 4 * PROMPT_TOKENS, 4 * REPLY_TOKENS, 0)
    assert graded.stopped is None


def test_a_judge_that_has_gone_is_given_up(tmp_path: Path) -> None:
    def answer(asked: Asked) -> Answer:
        return Answer("1.0") if asked.number < 3 else Answer(status=503, body=b"gone")

    with serving(answer, n_runs=1, workers=1, tries=2) as (chosen, server):
        graded = grade(items(30), chosen, tmp_path / "g.jsonl")
    assert len(server.asked) == 3 + 5 * 2
    assert str(graded.stopped).startswith("judge: 5 questions in a row got no reply, the last one")
    values = [each.value for each in graded.samples.values()]
    assert values == [1.0] * 3 + [None] * 27
    assert (graded.samples[name(5)].ungraded or "").startswith("HTTP 503: gone")
    assert (graded.samples[name(20)].ungraded or "").startswith("not asked: judge: 5 questions")


def test_a_judge_that_is_not_there_is_given_up(tmp_path: Path) -> None:
    with JudgeServer() as server:
        chosen = settings(server.url, workers=1, limits=Limits(max_calls=1000))
    said: list[str] = []
    graded = grade(items(30), chosen, tmp_path / "g.jsonl", console=Console(said.append))
    assert graded.stopped is not None
    assert "cannot be reached" in str(graded.stopped)
    assert counts(graded) == (0, 0, 0, 0, 0)
    assert any("cannot be reached" in text and "asked again in" in text for text in said)


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_wrong_key_or_model_stops_after_one_call(tmp_path: Path, status: int) -> None:
    said: list[str] = []

    def answer(asked: Asked) -> Answer:
        body = {"error": {"message": f"no {asked.headers['authorization']}"}}
        return Answer(status=status, body=body)

    with serving(answer, key=SecretStr(KEY)) as (chosen, server):
        graded = grade(items(30), chosen, tmp_path / "g.jsonl", console=Console(said.append))
    assert len(server.asked) == 1
    assert f"HTTP {status}: no Bearer [key] · check" in str(graded.stopped)
    assert all(each.value is None for each in graded.samples.values())
    assert counts(graded) == (1, 0, 0, 0, 0)
    assert KEY not in (tmp_path / "g.jsonl").read_text() + repr(graded) + "".join(said)


def test_what_was_graded_before_a_stop_is_kept(tmp_path: Path) -> None:
    def answer(asked: Asked) -> Answer:
        return Answer("0.4") if asked.number < 6 else Answer(status=401, body=b"expired")

    with serving(answer, n_runs=1, workers=2) as (chosen, server):
        graded = grade(items(20), chosen, tmp_path / "g.jsonl")
        assert 7 <= len(server.asked) <= 8  # one may have been under way
        assert [each.value for each in graded.samples.values()].count(0.4) == 6
        server.answer = in_turn(Answer("0.4"))
        n = len(server.asked)
        again = grade(items(20), chosen, tmp_path / "g.jsonl")
    assert len(server.asked) == n + 14
    assert {each.value for each in again.samples.values()} == {0.4}
    assert again.spent.n_calls == len(server.asked)


def test_a_key_that_the_judge_repeats_is_in_no_file(tmp_path: Path) -> None:
    reply = Answer(f"my key is {KEY}", model=KEY)
    with serving(in_turn(reply), key=SecretStr(KEY), n_runs=1) as (chosen, _):
        graded = grade(items(1), chosen, tmp_path / "g.jsonl")
    text = (tmp_path / "g.jsonl").read_text()
    assert "my key is [key]" in text
    assert KEY not in text + repr(graded) + repr(chosen) + chosen.model_dump_json()


# --- many at once


def test_so_many_calls_are_under_way_and_no_more(tmp_path: Path) -> None:
    full = threading.Event()

    def answer(asked: Asked) -> Answer:
        if asked.number == 3:  # the first one goes alone, then three at a time
            full.set()
        return Answer("1.0", wait=full if asked.number in (1, 2) else None)

    with serving(answer, workers=3) as (chosen, server):
        graded = grade(items(20), chosen, tmp_path / "g.jsonl")
    assert server.most_at_once == 3
    assert len(server.asked) == 40
    assert counts(graded)[0] == 40


# --- limits


def test_an_estimate_above_a_limit_asks_nothing(tmp_path: Path) -> None:
    said: list[str] = []
    with serving(limits=Limits(max_calls=19)) as (chosen, server):
        with pytest.raises(JudgeError, match=r"--judge-max-calls 19: 20 calls, .* nothing was"):
            grade(items(10), chosen, tmp_path / "g.jsonl", console=Console(said.append))
        dear = Limits(price=(30, 60), budget=0.01)
        with pytest.raises(JudgeError, match=r"--judge-budget 0.01: an estimated 20 calls, .*\$"):
            grade(items(10), chosen.model_copy(update={"limits": dear}), tmp_path / "g.jsonl")
        assert server.asked == []
        enough = chosen.model_copy(update={"limits": Limits(max_calls=20)})
        grade(items(10), enough, tmp_path / "g.jsonl", console=Console(said.append))
        assert len(server.asked) == 20
        # What is in the ledger counts no more.
        small = chosen.model_copy(update={"limits": Limits(max_calls=2)})
        grade(items(11), small, tmp_path / "g.jsonl")
        assert len(server.asked) == 22
    assert len(said) == 1


def test_the_estimate_is_told_before_the_first_call(tmp_path: Path) -> None:
    said: list[str] = []
    chosen_items = items(2)
    n = 0

    def answer(asked: Asked) -> Answer:
        nonlocal n
        assert len(said) == 1
        n += estimated_tokens(asked.message)
        return Answer("1.0")

    with serving(answer, limits=Limits(price=(30, 60)), workers=1) as (chosen, server):
        grade(chosen_items, chosen, tmp_path / "g.jsonl", console=Console(said.append))
        assert said == [
            f"judge gpt-4-0613 at {server.url}: about 4 calls, {n:,} prompt tokens (a token for 3 "
            f"bytes) and 12 reply tokens, ${(30 * n + 60 * 12) / 1e6:.2f}; at most 20 calls if no "
            "reply is a grade and each is asked for again, "
            f"${(30 * n + 60 * 12) * 5 / 1e6:.2f} in all"
        ]


def test_retries_end_at_the_limit_of_calls(tmp_path: Path) -> None:
    def answer(asked: Asked) -> Answer:
        return Answer("prose" if number_of(asked) % 2 else "1.0")

    with serving(answer, n_runs=1, limits=Limits(max_calls=20)) as (chosen, server):
        graded = grade(items(12), chosen, tmp_path / "g.jsonl")
    assert len(server.asked) == 20
    assert counts(graded)[0] == 20
    assert "--judge-max-calls 20 is reached" in str(graded.stopped)
    n_graded = sum(each.value is not None for each in graded.samples.values())
    assert sum(line.score is not None for line in lines(tmp_path / "g.jsonl")) == n_graded
    assert sum(line.n_calls for line in lines(tmp_path / "g.jsonl")) == 20
    left = [each.ungraded or "" for each in graded.samples.values() if each.value is None]
    assert all(text.startswith(("no score", "not asked", "--judge", "stopped")) for text in left)


# --- crashes

KILLED = """
import sys, threading
from pathlib import Path
from tests.judge.test_grading import items, settings
from vipbench.judge.grading import grade
grade(items(16), settings(sys.argv[1], workers=3), Path(sys.argv[2]))
"""


def test_a_killed_process_loses_only_what_was_under_way(tmp_path: Path) -> None:
    path, never, hung = tmp_path / "g.jsonl", threading.Event(), threading.Semaphore(0)

    def answer(asked: Asked) -> Answer:
        if asked.number < 10:
            return Answer("0.5")
        hung.release()
        return Answer("0.5", wait=never)

    with JudgeServer(answer) as server:
        command = [sys.executable, "-c", KILLED, server.url, str(path)]
        process = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": "."})
        for _ in range(3):
            assert hung.acquire(timeout=60)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert len(server.asked) == 13
        assert len(lines(path)) == 10
        never.set()
        server.answer = in_turn(Answer("0.5"))
        graded = grade(items(16), settings(server.url), path)
        assert {each.value for each in graded.samples.values()} == {0.5}
        assert len(server.asked) == 32 + 3
        per_sample = Counter(map(number_of, server.asked))
    assert sorted(per_sample.values()) == [2] * 13 + [3] * 3
    assert counts(graded)[0] == 22
    assert graded.spent.n_calls == 32


def test_ctrl_c_keeps_what_is_paid_for(tmp_path: Path) -> None:
    def answer(asked: Asked) -> Answer:
        if asked.number == 5:
            signal.raise_signal(signal.SIGINT)  # reaches the main thread, wherever it is raised
        return Answer("0.5")

    with serving(answer, workers=2) as (chosen, server):
        with pytest.raises(RunInterrupted, match="what is graded is kept"):
            grade(items(500), chosen, tmp_path / "g.jsonl")
        assert len(lines(tmp_path / "g.jsonl")) == len(server.asked) < 1000


def test_a_ledger_that_cannot_be_written_stops_at_once(tmp_path: Path) -> None:
    path = tmp_path / "g.jsonl"

    def answer(asked: Asked) -> Answer:
        if asked.number == 3:
            path.unlink()
            path.mkdir()
        return Answer("0.5")

    with serving(answer, workers=1) as (chosen, server):
        with pytest.raises(RunError, match=r"g\.jsonl"):
            grade(items(50), chosen, path)
        assert len(server.asked) == 4


def test_two_processes_do_not_grade_into_one_ledger(tmp_path: Path) -> None:
    with serving() as (chosen, server), ledger.opened(tmp_path / "g.jsonl"):
        with pytest.raises(RunError, match="another process"):
            grade(items(1), chosen, tmp_path / "g.jsonl")
        assert server.asked == []


# --- small things


def test_nothing_to_grade_is_no_mistake(tmp_path: Path) -> None:
    with serving() as (chosen, server):
        graded = grade([], chosen, tmp_path / "g.jsonl")
    assert (graded.samples, graded.stopped, server.asked) == ({}, None, [])


def test_what_the_judge_sees_of_an_answer() -> None:
    request = Request(
        task="vip_bench_bbox",
        style="given",
        id="v1_0",
        turns=("Which one?",),
        image="a.png",
        fit="pad",
        max_new_tokens=8,
        key="k",
    )
    trial = Trial(
        task="vip_bench_bbox",
        style="given",
        id="v1_0",
        request=request,
        kind="graded",
        target="a<OR>b",
        group="g",
        tags={"capability": ("ocr", "rec"), "shape": ("rectangle",)},
    )
    assert make_item(trial, " a\n| b \n") == Item(
        task="vip_bench_bbox",
        style="given",
        id="v1_0",
        question="Which one?",
        answer="a<OR>b",
        prediction="a\n| b",
        capabilities=("ocr", "rec"),
    )
