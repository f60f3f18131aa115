import datetime
import email.utils
import json

import httpx2
import pytest

from vipbench.endpoints.meter import Tokens
from vipbench.endpoints.replies import (
    MAX_BODY,
    SHOWN,
    Answer,
    Reply,
    read_message,
    read_reply,
    read_retry_after,
    read_used,
)


def answer(body: object, *, is_whole: bool = True, **headers: str) -> Answer:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer(200, httpx2.Headers(headers), content, is_whole)


def completion(content: object, **fields: object) -> dict[str, object]:
    return {"choices": [{"message": {"content": content}}], **fields}


def test_a_completion() -> None:
    usage = {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}
    whole = answer(completion("0.5", model="m", usage=usage))
    assert read_reply(whole) == Reply("0.5", used=Tokens(7, 2), model="m")
    assert read_reply(whole._replace(is_whole=False)) is None
    assert read_used(whole._replace(is_whole=False)) is None


@pytest.mark.parametrize(
    ("body", "text"),
    [(completion(None), None), (completion(""), ""), (completion("0.5"), "0.5")],
)
def test_the_text_of_a_completion(body: object, text: str | None) -> None:
    reply = read_reply(answer(body))
    assert reply is not None
    assert reply.text == text


@pytest.mark.parametrize(
    "body",
    [
        completion(0.5),
        {"choices": []},
        {"choices": {}},
        {"choices": [{"text": "0.5"}]},
        [],
        b"",
        b"<html>",
        b"\xff\xfe",
        b"[" * 100_000,
    ],
)
def test_what_is_not_a_completion_is_none(body: object) -> None:
    assert read_reply(answer(body)) is None


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"error": {"message": "no such model", "code": 404}}, "no such model"),
        ({"error": {"detail": "busy"}}, "busy"),
        ({"error": "overloaded"}, "overloaded"),
        ({"message": "late"}, "late"),
        ({"error": {"code": 7}}, '{"error": {"code": 7}}'),
        ([1], "[1]"),
        (b"<html>sorry", "<html>sorry"),
        (b"\xff", "\ufffd"),
        (b"", ""),
    ],
)
def test_the_message_of_an_error(body: object, message: str) -> None:
    assert read_message(answer(body)) == message


def test_a_long_message_is_cut() -> None:
    for body in (b"x" * MAX_BODY, {"error": "x" * 50_000}):
        assert read_message(answer(body)) == "x" * 20 * SHOWN


def test_how_long_a_server_wants_to_be_left_alone() -> None:
    for text, seconds in (("7", 7.0), ("7.5", 7.5), ("", None), ("soon", None), ("9" * 10, None)):
        assert read_retry_after(httpx2.Headers({"retry-after": text})) == seconds
    date = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=40)
    later = httpx2.Headers({"Retry-After": email.utils.format_datetime(date)})
    assert 20 < (read_retry_after(later) or 0) <= 40
    past = httpx2.Headers({"Retry-After": "Wed, 21 Oct 2015 07:28:00 -0000"})
    assert read_retry_after(past) == 0.0
