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
    describe_body,
    is_filtered,
    is_html,
    read_message,
    read_model_names,
    read_reply,
    read_retry_after,
    read_status,
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
        ([{"error": {"message": "no such model"}}], "no such model"),
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
    exact = httpx2.Headers({"retry-after": "9", "retry-after-ms": "600"})
    assert read_retry_after(exact) == 0.6
    assert read_retry_after(httpx2.Headers({"retry-after": "9", "retry-after-ms": "-6"})) == 9.0
    past = httpx2.Headers({"Retry-After": "Wed, 21 Oct 2015 07:28:00 -0000"})
    assert read_retry_after(past) == 0.0


def said(message: dict[str, object], **choice: object) -> Reply:
    reply = read_reply(answer({"choices": [{"message": message, **choice}]}))
    assert reply is not None
    return reply


def parts(*kinds: tuple[str, str, object]) -> list[dict[str, object]]:
    return [{"type": kind, name: value} for kind, name, value in kinds]


@pytest.mark.parametrize(
    ("content", "text", "reasoning", "refusal"),
    [
        (parts(("text", "text", "0.9")), "0.9", None, None),
        (parts(("text", "text", "a "), ("text", "text", "b")), "a b", None, None),
        (["a ", "b"], "a b", None, None),
        ([{"text": "a"}], "a", None, None),
        (
            parts(("thinking", "thinking", parts(("text", "text", "Hm."))), ("text", "text", "a")),
            "a",
            "Hm.",
            None,
        ),
        (parts(("reasoning", "text", "Hm.")), None, "Hm.", None),
        (parts(("refusal", "refusal", "No.")), None, None, "No."),
        ([], None, None, None),
        (parts(("image_url", "image_url", {})), None, None, None),
        ([7, None], None, None, None),
    ],
)
def test_content_as_a_list_of_parts(
    content: object, text: str | None, reasoning: str | None, refusal: str | None
) -> None:
    reply = said({"content": content})
    assert (reply.text, reply.reasoning, reply.refusal) == (text, reasoning, refusal)


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
def test_what_a_model_thinks_stands_apart(name: str) -> None:
    reply = said({"content": None, name: "Hm."}, finish_reason="length")
    assert (reply.text, reply.reasoning, reply.finish) == (None, "Hm.", "length")
    assert said({name: "Hm."}).text is None
    assert said({"content": "a", name: ""}).reasoning is None


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("stop", "stop"),
        ("eos_token", "stop"),
        ("STOP", "stop"),
        ("length", "length"),
        ("MAX_TOKENS", "length"),
        ("content_filter", "filter"),
        ("SAFETY", "filter"),
        ("refusal", "refusal"),
        ("tool_calls", "tool"),
        ("error", "unknown"),
        (None, "unknown"),
        (7, "unknown"),
    ],
)
def test_why_an_answer_ends(reason: object, finish: str) -> None:
    assert said({"content": "a"}, finish_reason=reason).finish == finish


def test_a_refusal() -> None:
    reply = said({"content": None, "refusal": "I can't."}, finish_reason="stop")
    assert (reply.text, reply.refusal, reply.finish) == (None, "I can't.", "refusal")
    assert said({"content": "a", "refusal": None}, finish_reason="stop").finish == "stop"


def test_a_byte_order_mark() -> None:
    body = b"\xef\xbb\xbf" + json.dumps(completion("0.5")).encode()
    assert read_reply(answer(body)) == Reply("0.5")


def test_a_lone_surrogate_can_be_written() -> None:
    reply = read_reply(answer(b'{"choices": [{"message": {"content": "a\\ud83d", "reasoning": '
                              b'"\\udc00"}}], "model": "\\ud800"}'))  # fmt: skip
    assert reply is not None
    assert (reply.text, reply.reasoning, reply.model) == (r"a\ud83d", r"\udc00", r"\ud800")


def test_an_error_beside_an_answer_is_no_answer() -> None:
    assert read_reply(answer({**completion("half"), "error": {"message": "broken off"}})) is None
    choice = {"message": {"content": "half"}, "error": {"message": "broken off"}}
    assert read_reply(answer({"choices": [choice]})) is None
    assert read_reply(answer({**completion("whole"), "error": None})) is not None


@pytest.mark.parametrize(
    ("usage", "used"),
    [
        ({"prompt_tokens": 5, "completion_tokens": 9}, Tokens(5, 9)),
        (
            {
                "prompt_tokens": 5,
                "completion_tokens": 9,
                "completion_tokens_details": {"reasoning_tokens": 7},
            },
            Tokens(5, 9, 7),
        ),
        ({"prompt_tokens": 5, "completion_tokens": 9, "reasoning_tokens": 7}, Tokens(5, 9, 7)),
        (
            {
                "prompt_tokens": 5,
                "completion_tokens": 2,
                "total_tokens": 14,
                "completion_tokens_details": {"reasoning_tokens": 7},
            },
            Tokens(5, 9, 7),
        ),
        (
            {"prompt_tokens": 5, "completion_tokens": 9, "completion_tokens_details": None},
            Tokens(5, 9),
        ),
        ({"prompt_tokens": 5, "completion_tokens": 9, "reasoning_tokens": -1}, Tokens(5, 9)),
        ({"prompt_tokens": 5}, None),
    ],
)
def test_tokens(usage: dict[str, object], used: Tokens | None) -> None:
    assert read_used(answer(completion("a", usage=usage))) == used


@pytest.mark.parametrize(
    "logprobs",
    [
        None,
        {},
        {"content": []},
        {"content": [7]},
        {"content": [{"token": "A"}]},
        {"content": [{"token": "A", "logprob": "high"}]},
        {"content": [{"token": ["A"], "logprob": -1}]},
        {"content": [{"token": "A", "logprob": 3.0}]},
        {"tokens": ["A"]},
    ],
)
def test_log_probabilities_that_are_none(logprobs: object) -> None:
    assert said({"content": "A"}, logprobs=logprobs).first_logprobs is None


def test_log_probabilities_of_the_first_token() -> None:
    first = {
        "token": "A",
        "logprob": -0.5,
        "top_logprobs": [{"token": "B", "logprob": -0.25}, {"token": "A", "logprob": -0.5}],
    }
    reply = said({"content": "A."}, logprobs={"content": [first, {"token": ".", "logprob": 0}]})
    assert reply.first_logprobs == (("B", -0.25), ("A", -0.5))


def test_the_status_that_an_error_has() -> None:
    for error, status in (
        ({"code": 429}, 429),
        ({"code": "503"}, 503),
        ({"code": 200}, 200),
        ({"code": "rate_limit"}, 200),
        ("busy", 200),
    ):
        assert read_status(answer({"error": error})) == status
    assert read_status(answer({"error": {"code": 500}})._replace(status=404)) == 404
    assert read_status(answer(completion("a"))) == 200


def test_a_filter() -> None:
    for body in (
        {"error": {"message": "no", "code": "content_filter"}},
        {"error": {"message": "The response was filtered due to … content management policy."}},
        {"error": {"innererror": {"code": "ResponsibleAIPolicyViolation"}}},
        {"error": {"message": "moderation is required; your input was flagged for violence"}},
    ):
        assert is_filtered(answer(body))
    assert not is_filtered(answer({"error": {"message": "bad image"}}))


def test_a_page_for_people() -> None:
    for body in (b"<html>so <b>sorry</b>", b"\xef\xbb\xbf\n<!DOCTYPE HTML><p>so sorry"):
        assert is_html(answer(body))
        assert describe_body(answer(body)) == "an HTML page: so sorry"
    assert not is_html(answer(b"so <html>"))
    assert describe_body(answer({"error": "busy"})) == "busy"


def test_models() -> None:
    assert read_model_names(answer({"data": [{"id": "a"}, {"name": "b"}, "c"]})) == ["a"]
    assert read_model_names(answer({"models": []})) is None
    assert read_model_names(answer({"data": []})._replace(status=404)) is None
