import base64
import io
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.endpoint_runs import has_image, image_of, text_of
from tests.judge_server import Answer, Asked, JudgeServer
from tests.runners.openai.test_calls import request
from vipbench.console import Console
from vipbench.endpoints.dialect import USUAL, Dialect
from vipbench.endpoints.meter import Tally
from vipbench.endpoints.pool import Outcome
from vipbench.endpoints.replies import Reply
from vipbench.errors import DataError, EndpointStopped, RunnerError
from vipbench.images.load import digest_shown
from vipbench.runners.endpoint_options import EndpointOptions
from vipbench.runners.openai.runner import GIVE_UP_AFTER, OpenAiRunner
from vipbench.runners.openai.spec import OpenAiSpec
from vipbench.runners.spec import ModelChoice
from vipbench.schema import Request, Response

PIXELS = np.zeros((20, 40, 3), np.uint8)
SMALL = Answer(status=503, body={"error": {"message": "busy"}})
COUNTED = {"prompt_tokens": 100, "completion_tokens": 2}
BARE = {"prompt_tokens": 20, "completion_tokens": 2}


def requests(n: int, **fields: Any) -> list[Request]:
    return [request(id=f"{i}", turns=(f"number {i}",), key=f"{i}", **fields) for i in range(n)]


def load(asked: Request) -> np.ndarray:
    if asked.id == "3":
        raise DataError("3.png: is broken")
    return PIXELS


@contextmanager
def running(
    answer: Callable[[Asked], Answer],
    said: list[str] | None = None,
    *,
    dialect: Dialect | None = USUAL,
    names: tuple[str, ...] = (),
    **options: Any,
) -> Iterator[tuple[OpenAiRunner, JudgeServer]]:
    with JudgeServer(answer) as server:
        endpoint = EndpointOptions(base_url=server.url, **({"tries": 1} | options))
        choice = ModelChoice(runner="openai", model="seer", endpoint=endpoint)
        runner = OpenAiSpec.build(choice)
        heard = [] if said is None else said
        runner.open(Console(heard.append), dialect, names)
        try:
            yield runner, server
        finally:
            runner.close()


def echo(asked: Asked) -> Answer:
    return Answer(text_of(asked), model="seer-1", usage=COUNTED if has_image(asked) else BARE)


def test_each_request_is_answered_as_it_comes_and_a_broken_image_is_one_failure() -> None:
    with running(echo) as (runner, server):
        found = dict(runner.answer_each(iter(requests(20)), load))
    assert len(server.asked) == 19
    assert sorted(found) == list(range(20))
    assert (found[3].state, found[3].error) == ("failed", "image: 3.png: is broken")
    assert all(found[i].text == f"number {i}" for i in range(20) if i != 3)
    assert runner.answered_by == {"seer-1": 19}
    usage = runner.usage
    assert (usage.n_calls, usage.n_prompt_tokens, usage.n_estimated) == (19, 1900, 0)


def test_images_are_sent_as_they_are_drawn_unless_the_user_says_otherwise() -> None:
    with running(echo) as (runner, server):
        [(_, response)] = runner.answer_each(iter(requests(1)), load)
    image, part = image_of(server.asked[0])
    assert (image.size, image.format, part["detail"]) == ((40, 20), "PNG", "high")
    assert response.pixels is None  # as it was loaded
    options: dict[str, Any] = {"image_format": "jpeg:80", "image_detail": "auto", "max_side": 20}
    with running(echo, **options) as (runner, server):
        [(_, response)] = runner.answer_each(iter(requests(1)), load)
    image, part = image_of(server.asked[0])
    assert (image.size, image.format, part["detail"]) == ((20, 10), "JPEG", "auto")
    assert response.pixels is not None


def test_the_server_is_tried_with_requests_whose_answers_count() -> None:
    asked = [*requests(1, max_new_tokens=4), *requests(1, max_new_tokens=100)]
    with running(echo, dialect=None) as (runner, server):
        found = runner.probe(asked, load)
        assert [each.number for each in found] == [0, 1]
        assert runner.dialect == USUAL
        assert runner.probe(asked, load) == []
    assert [has_image(each) for each in server.asked] == [True, True, False]


def test_only_answers_of_the_settled_dialect_count() -> None:
    def answer(asked: Asked) -> Answer:
        if asked.body.get("max_tokens") == 100:
            return Answer(status=400, body={"error": {"message": "max_tokens must be at most 50"}})
        return echo(asked)

    asked = [*requests(1, max_new_tokens=4), *requests(1, max_new_tokens=8)]
    with running(answer, dialect=None, reasoning_tokens=92) as (runner, _):
        found = runner.probe(asked, load)
    assert [each.number for each in found] == [1]
    assert runner.dialect == Dialect(most_tokens=50)


def test_a_server_that_counts_no_image_is_told_of() -> None:
    said: list[str] = []
    with running(lambda asked: Answer("B", usage=COUNTED), said, dialect=None) as (runner, _):
        runner.probe(requests(1), load)
    assert "the model may see none" in said[-1]


def test_a_server_that_leaves_out_the_first_token_is_told_of() -> None:
    def vllm(asked: Asked) -> Answer:
        if asked.path != "/tokenize":
            return echo(asked)
        return Answer(body={"tokens": [1, 7] if asked.body["add_special_tokens"] else [7]})

    for body, n_said in ((None, 1), ({"add_special_tokens": True}, 0)):
        said: list[str] = []
        with running(vllm, said, dialect=None, extra_body=body) as (runner, server):
            server.lists["/v1/models"] = {"data": [{"id": "seer", "owned_by": "vllm"}]}
            runner.probe(requests(1), load)
        assert len(said) == n_said
        assert all("""--extra-body '{"add_special_tokens": true}'""" in line for line in said)


def test_nothing_can_be_asked() -> None:
    with (
        running(lambda asked: SMALL, dialect=None) as (runner, _),
        pytest.raises(RunnerError, match="no answer to a question that tries it out: HTTP 503"),
    ):
        runner.probe(requests(1), load)


def test_one_question_without_an_answer_is_failed_once_another_has_one() -> None:
    def answer(asked: Asked) -> Answer:
        return SMALL if "number 2" in text_of(asked) else echo(asked)

    with running(answer, concurrency=1) as (runner, _):
        found = dict(runner.answer_each(iter(requests(6)), lambda each: PIXELS))
    assert {number for number, response in found.items() if response.state == "failed"} == {2}
    assert "HTTP 503: busy (1 of 1 tries)" in (found[2].error or "")


def test_an_answer_that_was_under_way_with_it_fails_no_other_question(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def times(number: int, began: float, ended: float, error: str | None = None) -> Outcome:
        reply = None if error else Reply("A", finish="stop")
        return Outcome(number, reply, error, Tally(), began, ended)

    def outcomes(chat: object, calls: Iterator[object]) -> Iterator[Outcome]:
        assert len(list(calls)) == 3
        yield times(0, 1.0, 2.0, "gone")
        yield times(1, 1.5, 3.0)  # the server may have taken it before it went away
        kept.append(set(found))
        yield times(2, 2.5, 3.5)

    monkeypatch.setattr("vipbench.runners.openai.runner.ask_all", outcomes)
    found: dict[int, Response] = {}
    kept: list[set[int]] = []
    with running(echo, concurrency=2) as (runner, _):
        for number, response in runner.answer_each(iter(requests(3)), lambda each: PIXELS):
            found[number] = response
    assert kept == [{1}]
    assert list(found) == [1, 0, 2]
    assert found[0].state == "failed"


def test_a_server_that_is_away_leaves_its_questions_to_the_next_command() -> None:
    def answer(asked: Asked) -> Answer:
        return echo(asked) if asked.number < 4 else SMALL

    found: dict[int, Response] = {}
    with running(answer, concurrency=1) as (runner, server):
        with pytest.raises(EndpointStopped, match="5 questions in a row got no answer") as error:
            found.update(runner.answer_each(iter(requests(30)), lambda each: PIXELS))
        assert error.value.exit_code == 3
        assert "the same command asks for the rest" in str(error.value)
    assert sorted(found) == [0, 1, 2, 3]
    assert len(server.asked) == 4 + GIVE_UP_AFTER


def test_a_server_that_never_answered_is_the_users_mistake() -> None:
    with running(lambda asked: SMALL, concurrency=1) as (runner, _), pytest.raises(RunnerError):
        list(runner.answer_each(iter(requests(30)), lambda each: PIXELS))


def test_what_is_under_way_when_it_is_given_up_is_kept() -> None:
    gone, release = threading.Event(), threading.Event()

    def answer(asked: Asked) -> Answer:
        if text_of(asked) == "number 0":
            return echo(asked)
        if text_of(asked) == "number 1":
            gone.wait(20)
            answered = echo(asked)
            answered.wait = release
            return answered
        if asked.number >= 1 + GIVE_UP_AFTER:
            gone.set()
            threading.Timer(0.3, release.set).start()
        return SMALL

    found: dict[int, Response] = {}
    with (
        running(answer, concurrency=2) as (runner, _),
        pytest.raises(EndpointStopped),
    ):
        found.update(each for each in runner.answer_each(iter(requests(30)), lambda each: PIXELS))
    assert sorted(found) == [0, 1]


def test_a_name_that_changes_is_told_once() -> None:
    said: list[str] = []

    def answer(asked: Asked) -> Answer:
        return Answer("B", model="seer-1" if asked.number < 5 else "seer-2")

    with running(answer, said, concurrency=1) as (runner, _):
        list(runner.answer_each(iter(requests(10)), lambda each: PIXELS))
    assert runner.answered_by == {"seer-1": 5, "seer-2": 5}
    assert len([text for text in said if "now called 'seer-2'" in text]) == 1
    said.clear()
    with running(answer, said, names=("seer-0",), concurrency=1) as (runner, _):
        list(runner.answer_each(iter(requests(2)), lambda each: PIXELS))
    assert "was 'seer-0' before" in said[0]


def test_a_model_that_thinks_first_is_told_of() -> None:
    said: list[str] = []

    def answer(asked: Asked) -> Answer:
        message: dict[str, object] = {"content": None, "reasoning_content": "Let me see"}
        return Answer(message=message, choice={"finish_reason": "length"})

    with running(answer, said) as (runner, _):
        found = dict(runner.answer_each(iter(requests(3)), lambda each: PIXELS))
    assert {each.state for each in found.values()} == {"cut_off"}
    assert len([text for text in said if "give --reasoning-tokens N" in text]) == 1


def test_it_answers_a_batch_like_any_runner() -> None:
    with running(echo) as (runner, _):
        found = runner.generate(requests(5), [PIXELS] * 5)
    assert [response.text for response in found] == [f"number {i}" for i in range(5)]


def test_several_images_are_sent_in_order_each_shrunk_by_itself() -> None:
    [asked] = requests(1, images=("a.png", "b.png"))
    shown = (PIXELS, np.full((10, 10, 3), 200, np.uint8))
    with running(echo, max_side=20) as (runner, server):
        [response] = runner.generate([asked], [shown])
    body: Any = server.asked[0].body
    parts = body["messages"][-1]["content"]
    assert [part["type"] for part in parts] == ["image_url", "image_url", "text"]
    sent = [decoded(part) for part in parts[:2]]
    assert [each.shape for each in sent] == [(10, 20, 3), (10, 10, 3)]
    assert np.array_equal(sent[1], shown[1])
    assert response.pixels == digest_shown(tuple(sent))


def decoded(part: dict[str, Any]) -> np.ndarray:
    data = part["image_url"]["url"].partition(",")[2]
    return np.array(Image.open(io.BytesIO(base64.b64decode(data))))
