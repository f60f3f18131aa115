import datetime
import email.utils
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from pydantic import SecretStr

from tests.endpoints.chatting import CALL, ESTIMATED, KEY, TEXT, chatting, endpoint, spent
from tests.judge_server import PROMPT_TOKENS, REPLY_TOKENS, Answer, Asked, JudgeServer, in_turn
from vipbench.endpoints.chat import Chat
from vipbench.endpoints.failures import NoReply, Stopped
from vipbench.endpoints.meter import Limits, Meter, Tally
from vipbench.errors import JudgeError
from vipbench.judge.settings import JUDGE


def test_one_question() -> None:
    tally = Tally()
    with chatting(in_turn(Answer("0.7", model="gpt-4-0613-x")), key=SecretStr(KEY)) as (
        chat,
        server,
    ):
        reply = chat.ask(CALL, tally)
    assert (reply.text, reply.model) == ("0.7", "gpt-4-0613-x")
    (asked,) = server.asked
    assert asked.path == "/v1/chat/completions"
    assert asked.headers["authorization"] == f"Bearer {KEY}"
    assert asked.body == {
        "model": "gpt-4-0613",
        "messages": [{"role": "user", "content": TEXT}],
        "temperature": 0.0,
        "max_tokens": 3,
    }
    assert tally == chat.meter.total == Tally(1, PROMPT_TOKENS, REPLY_TOKENS, 0)


def test_without_a_key_nothing_is_sent() -> None:
    with chatting() as (chat, server):
        chat.ask(CALL, Tally())
    assert "authorization" not in server.asked[0].headers


BODY: list[tuple[str, Answer]] = [
    ("garbage", Answer(body=b"<html>so sorry</html>")),
    ("empty", Answer(body=b"")),
    ("list", Answer(body=[1, 2])),
    ("no choices", Answer(body={"choices": []})),
    ("no message", Answer(body={"choices": [{"text": "1.0"}]})),
    ("number", Answer(body={"choices": [{"message": {"content": 1.0}}]})),
    ("error", Answer(body={"error": {"message": "overloaded"}})),
    ("brackets", Answer(body=b"[" * 100_000)),
    ("too long", Answer(body=b" " * 3_000_000)),
]
"""Answers with status 200 that are no completions."""


@pytest.mark.parametrize("fault", [fault for _, fault in BODY], ids=[name for name, _ in BODY])
def test_a_garbage_body_is_asked_again(fault: Answer) -> None:
    tally = Tally()
    with chatting(in_turn(fault, Answer("0.5"))) as (chat, server):
        assert chat.ask(CALL, tally).text == "0.5"
    assert len(server.asked) == 2
    # The server may charge for the first one.
    assert tally == Tally(2, PROMPT_TOKENS + ESTIMATED, REPLY_TOKENS + 3, 1)


@pytest.mark.parametrize(
    "fault",
    [
        Answer(status=429, body={"error": {"message": "slow down"}}),
        Answer(status=429, body=b"slow down", headers={"Retry-After": "0"}),
        Answer(status=429, body=b"slow down", headers={"Retry-After": "soon"}),
        Answer(status=500, body=b"oops"),
        Answer(status=503, body=b""),
        Answer(status=529, body={"detail": "busy"}),
        Answer(status=408, body=b"late"),
    ],
)
def test_a_refusal_for_now_is_asked_again_and_costs_nothing(fault: Answer) -> None:
    tally = Tally()
    with chatting(in_turn(fault, fault, Answer("0.5"))) as (chat, server):
        assert chat.ask(CALL, tally).text == "0.5"
    assert len(server.asked) == 3
    assert tally == Tally(3, PROMPT_TOKENS, REPLY_TOKENS, 0)


@pytest.mark.parametrize("cut", ["at once", "half way"])
def test_a_cut_connection_is_asked_again(cut: Any) -> None:
    tally = Tally()
    with chatting(in_turn(Answer(cut=cut), Answer("0.5"))) as (chat, server):
        assert chat.ask(CALL, tally).text == "0.5"
    assert len(server.asked) == 2
    assert tally == Tally(2, PROMPT_TOKENS + ESTIMATED, REPLY_TOKENS + 3, 1)


def test_a_slow_answer_is_given_up() -> None:
    tally, never = Tally(), threading.Event()
    with chatting(in_turn(Answer(wait=never), Answer("0.5")), timeout=0.2) as (chat, server):
        assert chat.ask(CALL, tally).text == "0.5"
        never.set()
    assert len(server.asked) == 2
    assert tally.n_calls == 2
    assert tally.n_estimated == 1


def test_retries_have_an_end() -> None:
    tally = Tally()
    with chatting(in_turn(Answer(status=500, body=b"oops")), tries=4) as (chat, server):
        with pytest.raises(NoReply, match=r"^HTTP 500: oops \(4 of 4 tries\)$"):
            chat.ask(CALL, tally)
        assert len(server.asked) == 4
    assert tally == Tally(4, 0, 0, 0)


def test_a_judge_that_is_not_there_costs_no_call() -> None:
    with JudgeServer() as server:
        url = server.url
    chat = Chat(endpoint(url), Meter(Limits(max_calls=1), JUDGE))
    tally = Tally()
    with pytest.raises(NoReply, match=r"cannot be reached .*3 of 3 tries"):
        chat.ask(CALL, tally)
    assert tally == chat.meter.total == Tally()
    chat.close()


def waits(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    found: list[float] = []
    monkeypatch.setattr(chat, "_sleep", found.append)
    return found


def test_waits_are_doubled_with_jitter_up_to_the_longest(monkeypatch: pytest.MonkeyPatch) -> None:
    fault = in_turn(Answer(status=500, body=b""))
    with chatting(fault, first_wait=1.0, max_wait=5.0, tries=7) as (chat, _):
        found = waits(chat, monkeypatch)
        with pytest.raises(NoReply):
            chat.ask(CALL, Tally())
    assert len(found) == 6
    for wait, full in zip(found, [1, 2, 4, 5, 5, 5], strict=True):
        assert full / 2 <= wait <= full
    assert len(set(found)) == 6


def test_the_server_says_how_long_to_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    date = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=40)
    faults = [
        Answer(status=429, body=b"", headers={"Retry-After": "7.5"}),
        Answer(status=503, body=b"", headers={"Retry-After": email.utils.format_datetime(date)}),
        Answer(status=429, body=b"", headers={"Retry-After": "-3"}),
        Answer("0.5"),
    ]
    with chatting(in_turn(*faults), tries=9) as (chat, _):
        found = waits(chat, monkeypatch)
        assert chat.ask(CALL, Tally()).text == "0.5"
    assert found[0] == 7.5
    assert 20 < found[1] <= 40
    assert found[2] < 0.1


def test_a_server_that_wants_hours_is_given_up() -> None:
    fault = Answer(status=429, body=b"quota", headers={"Retry-After": "3600"})
    with chatting(in_turn(fault), tries=9) as (chat, server):
        with pytest.raises(NoReply, match=r"HTTP 429: quota \(1 of 9 tries\)"):
            chat.ask(CALL, Tally())
        assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Answer(status=401, body={"error": {"message": "bad key"}}), "HTTP 401: bad key · check"),
        (Answer(status=403, body={"error": "not yours"}), "HTTP 403: not yours · check the key"),
        (Answer(status=402, body=b"pay"), "HTTP 402: pay"),
        (Answer(status=404, body={"detail": "no such model"}), "no such model · check --judge-url"),
        (Answer(status=405, body=b""), "HTTP 405: nothing · check --judge-url"),
        (
            Answer(status=301, body=b"", headers={"Location": "/"}),
            "HTTP 301: nothing, redirects to / ",
        ),
        (
            Answer(status=429, body={"error": {"message": "m", "code": "insufficient_quota"}}),
            "no credit left",
        ),
    ],
)
def test_what_no_question_will_get_past_is_raised_at_once(fault: Answer, words: str) -> None:
    tally = Tally()
    with chatting(in_turn(fault)) as (chat, server):
        with pytest.raises(JudgeError, match=words):
            chat.ask(CALL, tally)
        assert len(server.asked) == 1
    assert tally == Tally(1, 0, 0, 0)


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_question_that_is_refused_is_not_asked_again(status: int) -> None:
    with chatting(in_turn(Answer(status=status, body={"error": {"message": "too long"}}))) as (
        chat,
        server,
    ):
        with pytest.raises(NoReply, match=f"^HTTP {status}: too long$"):
            chat.ask(CALL, Tally())
        assert len(server.asked) == 1


def test_newer_servers_get_the_newer_name_of_max_tokens() -> None:
    def answer(asked: Asked) -> Answer:
        if "max_tokens" in asked.body:
            message = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
            return Answer(status=400, body={"error": {"message": message}})
        return Answer("0.5")

    tally = Tally()
    with chatting(answer) as (chat, server):
        for _ in range(2):
            assert chat.ask(CALL, tally).text == "0.5"
    assert [asked.body.get("max_completion_tokens") for asked in server.asked] == [None, 3, 3]
    assert tally.n_calls == 3


@pytest.mark.parametrize(
    "usage",
    [
        None,
        "many",
        {},
        {"prompt_tokens": 5},
        {"prompt_tokens": -5, "completion_tokens": 1},
        {"prompt_tokens": 5.5, "completion_tokens": 1},
        {"prompt_tokens": True, "completion_tokens": 1},
        {"prompt_tokens": 10**30, "completion_tokens": 1},
    ],
)
def test_usage_that_is_not_told_is_estimated(usage: object) -> None:
    with chatting(in_turn(Answer("0.5", usage=usage))) as (chat, _):
        chat.ask(CALL, Tally())
        assert spent(chat) == (1, ESTIMATED, 3, 1)


def test_a_model_that_says_nothing_has_replied() -> None:
    with chatting(in_turn(Answer(None, model=7))) as (chat, _):
        reply = chat.ask(CALL, Tally())
    assert (reply.text, reply.model) == (None, None)


def test_each_kind_of_trouble_is_told_once() -> None:
    said: list[str] = []
    faults = [Answer(status=500, body=b"a"), Answer(status=500, body=b"b"), Answer(cut="at once")]
    with chatting(in_turn(*faults, Answer("1.0")), said=said, tries=9) as (chat, _):
        chat.ask(CALL, Tally())
    assert len(said) == 2
    assert said[0].startswith("judge: HTTP 500: a; asked again in 0.0 s")
    assert said[1].startswith("judge: no answer (RemoteProtocolError")


def test_a_stop_ends_the_waiting() -> None:
    tried = threading.Event()

    def answer(asked: Asked) -> Answer:
        tried.set()
        return Answer(status=500, body=b"")

    with chatting(answer, first_wait=60.0) as (chat, server):
        with ThreadPoolExecutor(1) as pool:
            future = pool.submit(chat.ask, CALL, Tally())
            assert tried.wait(20)
            chat.stop.set()
            with pytest.raises(Stopped):
                future.result(20)
        with pytest.raises(Stopped):
            chat.ask(CALL, Tally())
    assert len(server.asked) == 1


# --- the key


FORMS = [
    KEY,
    f"Bearer {KEY}!",
    KEY[3:20],
    f"{KEY}{KEY}",
    KEY.replace("/", "\\/"),
    "sk-proj-0123456789abcdefXYZ%2F%2B%3C%26",
    "sk-proj-0123456789abcdefXYZ/+&lt;&amp;",
    "x" * 3990 + KEY,
]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("status", [200, 400, 401, 404, 500])
def test_a_key_that_is_sent_back_is_masked(form: str, status: int) -> None:
    def echo(asked: Asked) -> Answer:
        body = {"error": {"message": f"Incorrect key: {form}"}}
        return Answer(status=status, body=body if asked.number % 2 else repr(body).encode())

    said: list[str] = []
    with chatting(echo, key=SecretStr(KEY), said=said, tries=2) as (chat, _):
        for _ in range(2):
            with pytest.raises((NoReply, JudgeError)) as caught:
                chat.ask(CALL, Tally())
            said += [str(caught.value), repr(caught.value)]
    for text in said:
        assert all(KEY[i : i + 8] not in text for i in range(len(KEY) - 8))


def test_a_key_in_place_of_the_model_is_masked() -> None:
    with chatting(in_turn(Answer("1.0", model=f"gpt for {KEY}")), key=SecretStr(KEY)) as (chat, _):
        assert chat.ask(CALL, Tally()).model == "gpt for [key]"
