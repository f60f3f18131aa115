import datetime
import email.utils
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from tests.judge_server import PROMPT_TOKENS, REPLY_TOKENS, Answer, Asked, JudgeServer, in_turn
from vipbench.console import QUIET, Console
from vipbench.endpoints.chat import (
    Chat,
    Endpoint,
    Limits,
    Meter,
    NoReply,
    Stopped,
    Tally,
    base_url,
    estimated_tokens,
    find_key,
    masked,
)
from vipbench.errors import JudgeError

KEY = "sk-proj-0123456789abcdefXYZ/+<&"
TEXT = "Which grade?"
ESTIMATED = estimated_tokens(TEXT)


def endpoint(url: str, **fields: Any) -> Endpoint:
    given: dict[str, Any] = {"model": "gpt-4-0613", "first_wait": 0.001, "tries": 3}
    return Endpoint(url=url, **(given | fields))


@contextmanager
def chatting(
    answer: Callable[[Asked], Answer] | None = None,
    limits: Limits | None = None,
    said: list[str] | None = None,
    **fields: Any,
) -> Iterator[tuple[Chat, JudgeServer]]:
    console = QUIET if said is None else Console(said.append)
    with JudgeServer(answer) as server:
        chat = Chat(endpoint(server.url, **fields), Meter(limits or Limits()), console=console)
        try:
            yield chat, server
        finally:
            chat.close()


def spent(chat: Chat) -> tuple[int, int, int, int]:
    total = chat.meter.total
    return (
        total.n_calls,
        total.n_prompt_tokens,
        total.n_completion_tokens,
        total.n_estimated,
    )


def test_one_question() -> None:
    tally = Tally()
    with chatting(in_turn(Answer("0.7", model="gpt-4-0613-x")), key=SecretStr(KEY)) as (
        chat,
        server,
    ):
        assert chat.ask(TEXT, 0.0, tally) == ("0.7", "gpt-4-0613-x")
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
        chat.ask(TEXT, 0.0, Tally())
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
        assert chat.ask(TEXT, 0.0, tally).text == "0.5"
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
        assert chat.ask(TEXT, 0.0, tally).text == "0.5"
    assert len(server.asked) == 3
    assert tally == Tally(3, PROMPT_TOKENS, REPLY_TOKENS, 0)


@pytest.mark.parametrize("cut", ["at once", "half way"])
def test_a_cut_connection_is_asked_again(cut: Any) -> None:
    tally = Tally()
    with chatting(in_turn(Answer(cut=cut), Answer("0.5"))) as (chat, server):
        assert chat.ask(TEXT, 0.0, tally).text == "0.5"
    assert len(server.asked) == 2
    assert tally == Tally(2, PROMPT_TOKENS + ESTIMATED, REPLY_TOKENS + 3, 1)


def test_a_slow_answer_is_given_up() -> None:
    tally, never = Tally(), threading.Event()
    with chatting(in_turn(Answer(wait=never), Answer("0.5")), timeout=0.2) as (chat, server):
        assert chat.ask(TEXT, 0.0, tally).text == "0.5"
        never.set()
    assert len(server.asked) == 2
    assert tally.n_calls == 2
    assert tally.n_estimated == 1


def test_retries_have_an_end() -> None:
    tally = Tally()
    with chatting(in_turn(Answer(status=500, body=b"oops")), tries=4) as (chat, server):
        with pytest.raises(NoReply, match=r"^HTTP 500: oops \(4 of 4 tries\)$"):
            chat.ask(TEXT, 0.0, tally)
        assert len(server.asked) == 4
    assert tally == Tally(4, 0, 0, 0)


def test_a_judge_that_is_not_there_costs_no_call() -> None:
    with JudgeServer() as server:
        url = server.url
    chat = Chat(endpoint(url), Meter(Limits(max_calls=1)))
    tally = Tally()
    with pytest.raises(NoReply, match=r"cannot be reached .*3 of 3 tries"):
        chat.ask(TEXT, 0.0, tally)
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
            chat.ask(TEXT, 0.0, Tally())
    assert len(found) == 6
    for wait, full in zip(found, [1, 2, 4, 5, 5, 5], strict=True):
        assert full / 2 <= wait <= full
    assert len(set(found)) == 6


def test_the_server_says_how_long_to_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    then = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=40)
    faults = [
        Answer(status=429, body=b"", headers={"Retry-After": "7.5"}),
        Answer(status=503, body=b"", headers={"Retry-After": email.utils.format_datetime(then)}),
        Answer(status=429, body=b"", headers={"Retry-After": "-3"}),
        Answer("0.5"),
    ]
    with chatting(in_turn(*faults), tries=9) as (chat, _):
        found = waits(chat, monkeypatch)
        assert chat.ask(TEXT, 0.0, Tally()).text == "0.5"
    assert found[0] == 7.5
    assert 20 < found[1] <= 40
    assert found[2] < 0.1


def test_a_server_that_wants_hours_is_given_up() -> None:
    fault = Answer(status=429, body=b"quota", headers={"Retry-After": "3600"})
    with chatting(in_turn(fault), tries=9) as (chat, server):
        with pytest.raises(NoReply, match=r"HTTP 429: quota \(1 of 9 tries\)"):
            chat.ask(TEXT, 0.0, Tally())
        assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Answer(status=401, body={"error": {"message": "bad key"}}), "HTTP 401: bad key; check"),
        (Answer(status=403, body={"error": "not yours"}), "HTTP 403: not yours; check the key"),
        (Answer(status=402, body=b"pay"), "HTTP 402: pay"),
        (Answer(status=404, body={"detail": "no such model"}), "no such model; check --judge-url"),
        (Answer(status=405, body=b""), "HTTP 405: nothing; check --judge-url"),
        (Answer(status=301, body=b"", headers={"Location": "/"}), "HTTP 301"),
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
            chat.ask(TEXT, 0.0, tally)
        assert len(server.asked) == 1
    assert tally == Tally(1, 0, 0, 0)


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_question_that_is_refused_is_not_asked_again(status: int) -> None:
    with chatting(in_turn(Answer(status=status, body={"error": {"message": "too long"}}))) as (
        chat,
        server,
    ):
        with pytest.raises(NoReply, match=f"^HTTP {status}: too long$"):
            chat.ask(TEXT, 0.0, Tally())
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
            assert chat.ask(TEXT, 0.0, tally).text == "0.5"
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
        chat.ask(TEXT, 0.0, Tally())
        assert spent(chat) == (1, ESTIMATED, 3, 1)


def test_a_model_that_says_nothing_has_replied() -> None:
    with chatting(in_turn(Answer(None, model=7))) as (chat, _):
        assert chat.ask(TEXT, 0.0, Tally()) == ("", None)


def test_each_kind_of_trouble_is_told_once() -> None:
    said: list[str] = []
    faults = [Answer(status=500, body=b"a"), Answer(status=500, body=b"b"), Answer(cut="at once")]
    with chatting(in_turn(*faults, Answer("1.0")), said=said, tries=9) as (chat, _):
        chat.ask(TEXT, 0.0, Tally())
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
            future = pool.submit(chat.ask, TEXT, 0.0, Tally())
            assert tried.wait(20)
            chat.stop.set()
            with pytest.raises(Stopped):
                future.result(20)
        with pytest.raises(Stopped):
            chat.ask(TEXT, 0.0, Tally())
    assert len(server.asked) == 1


# --- limits


def ask_many(chat: Chat, n: int) -> list[str]:
    """Ask from eight threads; return what each question came to."""

    def ask(_: int) -> str:
        try:
            return chat.ask(TEXT, 0.0, Tally()).text
        except JudgeError as error:
            return str(error)

    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(ask, range(n)))


def test_no_call_beyond_the_limit_is_sent_from_any_thread() -> None:
    with chatting(limits=Limits(max_calls=13)) as (chat, server):
        results = ask_many(chat, 40)
        assert spent(chat)[0] == 13
    assert len(server.asked) == 13
    assert results.count("1.0") == 13
    assert results.count("--judge-max-calls 13 is reached") == 27


def test_retries_count_as_calls() -> None:
    fault = in_turn(Answer(status=500, body=b""))
    with chatting(fault, limits=Limits(max_calls=2), tries=9) as (chat, server):
        with pytest.raises(JudgeError, match="max-calls 2 is reached"):
            chat.ask(TEXT, 0.0, Tally())
        assert len(server.asked) == 2


def test_no_money_beyond_the_budget_is_spent_from_any_thread() -> None:
    # A call costs 100 x 10 + 2 x 100 = 1,200 millionths of a dollar, by the estimate 420.
    limits = Limits(price=(10, 100), budget=0.0124)
    assert limits.cost(ESTIMATED, 3) == pytest.approx(0.00042)
    with chatting(limits=limits) as (chat, server):
        results = ask_many(chat, 40)
        cost = limits.cost(*spent(chat)[1:3])
    n = len(server.asked)
    assert cost == pytest.approx(n * 0.0012)
    assert results.count("1.0") == n
    # What is under way was let through by the estimate; nothing is sent after the limit.
    assert 10 <= n <= 10 + 8


def test_the_budget_is_kept_where_the_estimate_is_right() -> None:
    usage = {"prompt_tokens": ESTIMATED, "completion_tokens": 3}
    limits = Limits(price=(10, 100), budget=0.00042 * 7 + 0.0001)
    with chatting(in_turn(Answer(usage=usage)), limits=limits) as (chat, server):
        results = ask_many(chat, 40)
    assert len(server.asked) == 7
    assert "--judge-budget 0.00304 is reached: $0.0029 are spent" in results[-1]


def test_a_budget_needs_prices() -> None:
    with pytest.raises(JudgeError, match="give --judge-price"):
        Limits(budget=1.0)
    with pytest.raises(JudgeError, match="two prices from 0"):
        Limits(price=(float("nan"), 1.0))


# --- the address


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("https://api.openai.com/v1", "https://api.openai.com/v1"),
        ("https://api.openai.com/v1/", "https://api.openai.com/v1"),
        ("http://localhost:8000", "http://localhost:8000/v1"),
        ("http://localhost:8000/", "http://localhost:8000/v1"),
        (" http://[::1]:8000/v1 ", "http://[::1]:8000/v1"),
        ("https://x.org/proxy/openai/v1", "https://x.org/proxy/openai/v1"),
        ("https://x.org/v1/chat/completions", "https://x.org/v1"),
    ],
)
def test_addresses(url: str, base: str) -> None:
    assert base_url(url) == base
    assert base_url(base) == base


@pytest.mark.parametrize("url", ["", "api.openai.com/v1", "ftp://x.org", "http://", "http://x:y"])
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(JudgeError, match="is no address"):
        base_url(url)


@pytest.mark.parametrize(
    "url", [f"https://me:{KEY[:9]}@x.org/v1", f"https://x.org/v1?key={KEY[:9]}", "http://x.org/#k"]
)
def test_an_address_with_a_secret_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(JudgeError, match=r"holds more than an address \(x\.org\)") as caught:
        endpoint(url)
    assert KEY[:9] not in str(caught.value)


# --- the key


def test_where_the_key_comes_from(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(f"\n{KEY}\n")
    both = {"VIPBENCH_JUDGE_KEY": " ours ", "OPENAI_API_KEY": "theirs"}
    for path, environment, value, source in (
        (file, both, KEY, str(file)),
        (None, both, "ours", "VIPBENCH_JUDGE_KEY"),
        (None, both | {"VIPBENCH_JUDGE_KEY": ""}, "theirs", "OPENAI_API_KEY"),
    ):
        key, found = find_key(path, environment)
        assert key is not None
        assert (key.get_secret_value(), found) == (value, source)
    assert find_key(None, {"OPENAI_API_KEY": " "}) == (None, None)


def test_a_key_file_that_cannot_be_used(tmp_path: Path) -> None:
    empty, binary = tmp_path / "empty", tmp_path / "binary"
    empty.write_text("\n")
    binary.write_bytes(b"\xff\xfe")
    for path, words in (
        (tmp_path / "none", "cannot be read"),
        (tmp_path, "cannot be read"),
        (empty, "is empty"),
        (binary, "is no text"),
    ):
        with pytest.raises(JudgeError, match=words):
            find_key(path, {"OPENAI_API_KEY": "x"})


@pytest.mark.parametrize("key", [f"{KEY}\r\nX-Other: 1", "two words", "schlüssel", ""])
def test_a_key_that_cannot_be_sent_is_not_shown(key: str) -> None:
    with pytest.raises(JudgeError, match="judge key") as caught:
        endpoint("http://localhost", key=SecretStr(key))
    assert not key or key not in str(caught.value)


def test_settings_do_not_show_the_key() -> None:
    made = endpoint("http://localhost", key=SecretStr(KEY))
    for shown in (repr(made), str(made), made.model_dump_json(), repr(made.model_dump())):
        assert KEY not in shown
    with pytest.raises(ValidationError) as caught:
        Endpoint(url="http://localhost", model="m", key=KEY, tries=0)  # type: ignore[arg-type]
    assert KEY not in str(caught.value)


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
                chat.ask(TEXT, 0.0, Tally())
            said += [str(caught.value), repr(caught.value)]
    for text in said:
        assert all(KEY[i : i + 8] not in text for i in range(len(KEY) - 8))


def test_a_key_in_place_of_the_model_is_masked() -> None:
    with chatting(in_turn(Answer("1.0", model=f"gpt for {KEY}")), key=SecretStr(KEY)) as (chat, _):
        assert chat.ask(TEXT, 0.0, Tally()).model == "gpt for [key]"


def test_other_text_is_left_as_it_is() -> None:
    assert masked("0.5 sk-proj and more", SecretStr(KEY)) == "0.5 sk-proj and more"
    assert masked("abc", SecretStr("b")) == "a[key]c"
    assert masked("abc", None) == "abc"
