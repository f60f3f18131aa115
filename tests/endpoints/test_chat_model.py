"""A chat as the runner of a model has it: a probe first, images, and a protocol that stays."""

import base64
import email.utils
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from pydantic import SecretStr

from tests.endpoints.chatting import KEY, modelling, refusal
from tests.judge_server import PROMPT_TOKENS, REPLY_TOKENS, Answer, Asked, in_turn
from vipbench.endpoints.chat import Chat
from vipbench.endpoints.dialect import USUAL, Dialect
from vipbench.endpoints.endpoint import Header
from vipbench.endpoints.failures import NoReply
from vipbench.endpoints.messages import Call, Image, system, user
from vipbench.endpoints.meter import Limits, Tally
from vipbench.errors import EndpointStopped, RunnerError

PNG = b"\x89PNG\r\n\x1a\n"
CALL = Call((user("Which?"),), 10)
SEEING = Call((system("Be brief."), user(Image(PNG), "Which?")), 10, reasoning_tokens=90)


def reasoning_model(asked: Asked) -> Answer:
    """Answer as OpenAI's reasoning models do, which take little of what is usual."""
    body = asked.body
    if "max_tokens" in body:
        return refusal(
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
            "'max_completion_tokens' instead.",
            param="max_tokens",
        )
    for name in ("temperature", "top_p"):
        if body.get(name, 1) != 1 or (name == "top_p" and name in body):
            return refusal(
                f"Unsupported value: '{name}' does not support {body[name]} with this model. Only "
                "the default (1) value is supported.",
                param=name,
            )
    limit = body["max_completion_tokens"]
    assert isinstance(limit, int)
    if limit < 16:
        return refusal(f"Invalid 'max_output_tokens': Expected a value >= 16, but got {limit}.")
    return Answer("0.5", choice={"finish_reason": "stop"})


def ask_many(chat: Chat, call: Call, n: int) -> list[str]:
    """Ask from eight threads; return what each question came to."""

    def ask(_: int) -> str:
        try:
            return chat.ask(call, Tally()).text or "nothing"
        except (NoReply, RunnerError, EndpointStopped) as error:
            return str(error)

    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(ask, range(n)))


# --- what the server takes


def test_what_the_server_takes_is_found_out_before_the_first_sample() -> None:
    said: list[str] = []
    tally = Tally()
    with modelling(reasoning_model, said=said) as (chat, server):
        probe = chat.probe([CALL, SEEING], tally)
        assert len(server.asked) == tally.n_calls == 6
        assert ask_many(chat, CALL, 20) == ["0.5"] * 20
        assert len(server.asked) == 26
    assert probe.dialect == Dialect(
        tokens_key="max_completion_tokens", omitted=("temperature", "top_p"), least_tokens=16
    )
    assert [reply.text for reply in probe.replies] == ["0.5", "0.5"]
    assert said == [
        "model: the server takes max_completion_tokens in place of max_tokens; refuses "
        "temperature, top_p: its own default holds; wants a limit of at least 16 tokens"
    ]
    assert tally == Tally(6, 2 * PROMPT_TOKENS, 2 * REPLY_TOKENS, 0)


def test_a_usual_server_is_not_spoken_of() -> None:
    said: list[str] = []
    with modelling(said=said) as (chat, server):
        assert chat.probe([SEEING], Tally()).dialect == USUAL
    assert said == []
    (asked,) = server.asked
    url = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
    assert asked.body == {
        "model": "seer",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {
                "role": "user",
                "content": [
                    {"type": "image_url", "image_url": {"url": url}},
                    {"type": "text", "text": "Which?"},
                ],
            },
        ],
        "temperature": 0.0,
        "top_p": 1.0,
        "seed": 0,
        "max_tokens": 100,
    }


def test_a_resumed_run_begins_where_the_first_ended() -> None:
    dialect = Dialect(
        tokens_key="max_completion_tokens", omitted=("temperature", "top_p"), least_tokens=16
    )
    said: list[str] = []
    with modelling(reasoning_model, dialect=dialect, said=said) as (chat, server):
        assert chat.ask(CALL, Tally()).text == "0.5"
        assert len(server.asked) == 1
    with modelling(reasoning_model, dialect=USUAL) as (chat, server):
        with pytest.raises(EndpointStopped, match="has changed what it takes") as caught:
            chat.ask(CALL, Tally())
        assert len(server.asked) == 1
    assert caught.value.exit_code == 3
    assert said == []


def test_a_server_that_changes_its_mind_stops_the_run() -> None:
    def answer(asked: Asked) -> Answer:
        return Answer("x") if asked.number < 5 else reasoning_model(asked)

    with modelling(answer) as (chat, server):
        chat.probe([CALL], Tally())
        for _ in range(4):
            chat.ask(CALL, Tally())
        with pytest.raises(EndpointStopped) as caught:
            chat.ask(CALL, Tally())
        assert len(server.asked) == 6
        assert chat.dialect == USUAL
    assert caught.value.exit_code == 3
    assert str(caught.value).startswith(
        "model: the server has changed what it takes (HTTP 400: Unsupported parameter: 'max_tokens'"
    )


def test_a_question_that_is_too_long_is_no_change() -> None:
    long = (
        "This model's maximum context length is 512 tokens. However, you requested 10 output "
        "tokens and your prompt contains 510 input tokens."
    )
    with modelling(in_turn(Answer("x"), refusal(long), Answer("y"))) as (chat, _):
        chat.probe([CALL], Tally())
        with pytest.raises(NoReply, match="maximum context length"):
            chat.ask(CALL, Tally())
        assert chat.ask(CALL, Tally()).text == "y"


def test_room_for_reasoning_shrinks_and_room_for_an_answer_does_not() -> None:
    def answer(asked: Asked) -> Answer:
        limit = asked.body["max_tokens"]
        assert isinstance(limit, int)
        if limit > 64:
            return refusal(f"max_tokens={limit} cannot be greater than max_model_len=128.")
        return Answer("x")

    with modelling(answer) as (chat, server):
        assert chat.probe([SEEING], Tally()).dialect == Dialect(most_tokens=64)
        assert [asked.body["max_tokens"] for asked in server.asked] == [100, 64]
    with modelling(answer) as (chat, _):
        wide = replace(SEEING, answer_tokens=80)
        with pytest.raises(
            RunnerError, match=r"at most 64 tokens \(HTTP 400: .*\) · expected 80"
        ) as caught:
            chat.probe([wide], Tally())
    assert caught.value.exit_code == 2


def test_what_the_user_sets_is_sent_as_it_is() -> None:
    extra = {"temperature": 0.7, "chat_template_kwargs": {"enable_thinking": False}}
    with modelling(extra_body=extra) as (chat, server):
        chat.ask(CALL, Tally())
    assert server.asked[0].body.items() >= extra.items()


# --- what the server says


def test_all_of_a_reply() -> None:
    chosen = {"token": "A", "logprob": -0.1, "top_logprobs": [{"token": "B", "logprob": -3}]}
    body = {
        "choices": [
            {
                "message": {"content": "A cup", "reasoning_content": "Hm.", "refusal": None},
                "finish_reason": "length",
                "logprobs": {"content": [chosen]},
            }
        ],
        "model": "seer-2026",
        "system_fingerprint": "fp_1",
        "usage": {
            "prompt_tokens": 5,
            "completion_tokens": 9,
            "completion_tokens_details": {"reasoning_tokens": 7},
        },
    }
    with modelling(in_turn(Answer(body=body))) as (chat, _):
        tally = Tally()
        reply = chat.ask(replace(CALL, top_logprobs=2), tally)
    assert reply == (
        "A cup", "Hm.", None, "length", (5, 9, 7), "seer-2026", "fp_1", (("A", -0.1), ("B", -3.0))
    )  # fmt: skip
    assert tally == Tally(1, 5, 9, 0, 7)


@pytest.mark.parametrize("status", [400, 403])
def test_a_filtered_question_is_a_state_of_its_own(status: int) -> None:
    fault = refusal("The response was filtered due to … content management policy.", status)
    with modelling(in_turn(Answer("x"), fault, Answer("y"))) as (chat, server):
        assert chat.ask(CALL, Tally()).finish == "unknown"
        reply = chat.ask(CALL, Tally())
        assert (reply.text, reply.finish) == (None, "filter")
        assert (reply.refusal or "").startswith(f"HTTP {status}: The response was filtered")
        assert chat.ask(CALL, Tally()).text == "y"
        assert len(server.asked) == 3


def test_an_error_with_status_200_is_an_error() -> None:
    busy = Answer(body={"error": {"message": "upstream overloaded", "code": 529}})
    with modelling(in_turn(busy, Answer("x"))) as (chat, server):
        assert chat.ask(CALL, Tally()).text == "x"
        assert len(server.asked) == 2
    bad = Answer(body={"error": {"message": "who?", "code": "401"}})
    with modelling(in_turn(bad)) as (chat, server):
        with pytest.raises(RunnerError, match="HTTP 401: who"):
            chat.ask(CALL, Tally())
        assert len(server.asked) == 1


def test_a_page_for_people_is_named_one() -> None:
    page = b"<!DOCTYPE html><html><head><title>Sign in</title><style>a{}</style></head></html>"
    assert "200 is not a chat completion: an HTML page: Sign in" in raised(Answer(body=page))


@pytest.mark.parametrize("cut", [b'{"choices": [{"message": {"content": "0.', b"data: {}\n\n", b""])
def test_a_truncated_body_is_asked_again(cut: bytes) -> None:
    with modelling(in_turn(Answer(body=cut), Answer("x"))) as (chat, server):
        assert chat.ask(CALL, Tally()).text == "x"
        assert len(server.asked) == 2


def test_the_type_that_a_server_claims_does_not_count() -> None:
    plain = Answer("x", headers={"Content-Type": "text/html; charset=latin-1"})
    with modelling(in_turn(plain)) as (chat, _):
        assert chat.ask(CALL, Tally()).text == "x"


# --- what nothing can be asked of


def raised(answer: Answer, calls: list[Call] | None = None, **fields: Any) -> str:
    """Return the error of a probe, which is the user's to mend."""
    with modelling(in_turn(answer), **fields) as (chat, _), pytest.raises(RunnerError) as caught:
        chat.probe(calls or [CALL], Tally())
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_an_unknown_model_is_told_the_known_ones() -> None:
    lists = {"/v1/models": {"data": [{"id": "seer-7b"}, {"id": "writer"}]}}
    gone = refusal("The model `seer` does not exist", 404)
    assert raised(gone, lists=lists).endswith(
        "The model `seer` does not exist · check --base-url and --model seer · the server has "
        "seer-7b, writer · did you mean 'seer-7b'?"
    )
    invalid = refusal("seer is not a valid model ID")
    assert raised(invalid, lists=lists).endswith("did you mean 'seer-7b'?")


def test_an_address_without_its_version_is_told() -> None:
    lists = {"/api/v1/models": {"data": [{"id": "seer"}]}}
    message = raised(Answer(status=404, body=b"404"), lists=lists, path="/api")
    assert " · it answers elsewhere: give --base-url http://127.0.0.1:" in message
    assert message.endswith("/api/v1")
    root: dict[str, object] = {"/v1/models": {"data": []}}
    assert raised(Answer(status=404, body=b"404"), lists=root, path="/v2").endswith("/v1")
    page = Answer(body=b"<html>Welcome</html>")
    assert raised(page, lists=lists, path="/api").endswith("/api/v1")


def test_a_wrong_key_is_told_without_showing_it() -> None:
    message = raised(refusal(f"Incorrect API key: {KEY}", 401), key=SecretStr(KEY))
    assert message == (
        "model: HTTP 401: Incorrect API key: [key] · check the key (VIPBENCH_MODEL_KEY or "
        "OPENAI_API_KEY, --api-key-env or --api-key-file)"
    )
    assert raised(refusal("who?", 401)).endswith(" · no key was sent")


def test_a_secret_header_that_is_sent_back_is_masked() -> None:
    header = Header(name="X-Api-Key", value=SecretStr(KEY))
    assert "HTTP 401: you sent [key]" in raised(refusal(f"you sent {KEY}", 401), headers=(header,))


def test_a_model_that_sees_nothing() -> None:
    message = raised(refusal("seer is not a multimodal model"), [SEEING])
    assert message.startswith("model: seer takes no images (HTTP 400: seer is not a multimodal")
    router = refusal("No endpoints found that support image input", 404)
    assert "takes no images" in raised(router, [SEEING])


def test_an_image_over_the_limit() -> None:
    message = raised(Answer(status=413, body=b"Request Entity Too Large"), [SEEING])
    assert "is over the server's limit (HTTP 413" in message
    assert "sent were 8 bytes" in message
    two = Call((user(Image(PNG), Image(PNG), "Same?"),), 10)
    assert "a question of 2 images is refused" in raised(refusal("At most 1 image(s)"), [two])


def test_one_image_over_the_limit_is_one_sample() -> None:
    late = refusal("image exceeds 5 MB maximum")
    with modelling(in_turn(Answer("x"), late, Answer("y"))) as (chat, _):
        chat.probe([SEEING], Tally())
        with pytest.raises(NoReply, match="image exceeds 5 MB maximum"):
            chat.ask(SEEING, Tally())
        assert chat.ask(SEEING, Tally()).text == "y"


def test_a_server_that_is_not_there() -> None:
    with modelling() as (chat, _):
        pass
    again = Chat(chat.endpoint, chat.meter)
    with pytest.raises(RunnerError, match="cannot be reached"):
        again.probe([CALL], Tally())
    again.close()


def test_access_that_is_lost_in_the_middle_has_another_code() -> None:
    with modelling(in_turn(Answer("x"), refusal("expired", 401))) as (chat, _):
        chat.probe([CALL], Tally())
        with pytest.raises(EndpointStopped, match="expired") as caught:
            chat.ask(CALL, Tally())
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(("n_with", "n_without", "seen"), [(300, 20, True), (20, 20, False)])
def test_whether_images_are_counted(n_with: int, n_without: int, seen: bool) -> None:
    def answer(asked: Asked) -> Answer:
        n = n_with if "image_url" in str(asked.body) else n_without
        return Answer("x", usage={"prompt_tokens": n, "completion_tokens": 1})

    with modelling(answer) as (chat, server):
        (reply,) = chat.probe([SEEING], Tally()).replies
        assert chat.counts_images(SEEING, reply, Tally()) is seen
    assert [asked.body["max_tokens"] for asked in server.asked] == [100, 100]
    assert [message["content"] for message in server.asked[1].body["messages"]] == [  # type: ignore[attr-defined]
        "Be brief.",
        "Which?",
    ]


# --- patience


def waits(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    found: list[float] = []
    monkeypatch.setattr(chat, "_sleep", found.append)
    return found


def test_both_spellings_of_retry_after(monkeypatch: pytest.MonkeyPatch) -> None:
    date = email.utils.formatdate(time.time() + 40, usegmt=True)
    faults = [
        Answer(status=429, body=b"", headers=headers)
        for headers in (
            {"retry-after-ms": "2500"},
            {"Retry-After": "9", "retry-after-ms": "3500.5"},
            {"Retry-After": "7"},
            {"Retry-After": date},
        )
    ]
    with modelling(in_turn(*faults, Answer("x")), tries=9) as (chat, _):
        found = waits(chat, monkeypatch)
        assert chat.ask(CALL, Tally()).text == "x"
    assert found[:3] == [2.5, 3.5005, 7.0]
    assert 20 < found[3] <= 40


def test_jitter_is_keyed_by_the_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for seed in (0, 0, 1):
        fault = in_turn(Answer(status=500, body=b""))
        with modelling(fault, seed=seed, first_wait=1.0, tries=5) as (chat, _):
            found.append(waits(chat, monkeypatch))
            with pytest.raises(NoReply):
                chat.ask(CALL, Tally())
    assert found[0] == found[1] != found[2]
    assert all(full / 2 <= wait <= full for wait, full in zip(found[0], [1, 2, 4, 8], strict=True))


def test_a_run_has_a_deadline() -> None:
    never = threading.Event()

    def answer(asked: Asked) -> Answer:
        return Answer("x", wait=never if asked.number else None)

    start = time.monotonic()
    with modelling(answer, deadline=0.6, timeout=30.0, tries=9) as (chat, server):
        chat.probe([CALL], Tally())
        with pytest.raises(EndpointStopped, match=r"--deadline 0\.6: these seconds are over"):
            chat.ask(CALL, Tally())
        never.set()
        assert len(server.asked) == 2
    assert time.monotonic() - start < 15


def test_a_wait_beyond_the_deadline_is_not_begun() -> None:
    busy = Answer(status=429, body=b"", headers={"Retry-After": "50"})
    start = time.monotonic()
    with modelling(in_turn(Answer("x"), busy), deadline=40.0) as (chat, _):
        chat.ask(CALL, Tally())
        with pytest.raises(EndpointStopped, match="--deadline 40"):
            chat.ask(CALL, Tally())
    assert time.monotonic() - start < 20


def test_calls_at_once_are_halved_by_a_refusal() -> None:
    def answer(asked: Asked) -> Answer:
        return Answer(status=429, body=b"") if asked.number == 1 else Answer("x")

    with modelling(answer, dialect=USUAL, connections=8) as (chat, _):
        chat.ask(CALL, Tally())
        assert chat.gate.limit == 8
        chat.ask(CALL, Tally())
        assert chat.gate.limit == 4


def test_no_more_are_sent_than_the_server_takes() -> None:
    # The server takes two at once, and says so to each that is more.
    lock, at_once = threading.Lock(), 0
    all_in = threading.Barrier(8)
    refusals: list[int] = []

    def answer(asked: Asked) -> Answer:
        nonlocal at_once
        with lock:
            at_once += 1
            is_refused = at_once > 2
        if asked.number < 8:
            all_in.wait(20)
        with lock:
            at_once -= 1
        if is_refused:
            refusals.append(asked.number)
            return Answer(status=429, body=b"", headers={"retry-after-ms": "1"})
        return Answer("x")

    with modelling(answer, dialect=USUAL, tries=100) as (chat, server):
        assert ask_many(chat, CALL, 60) == ["x"] * 60
        assert len(server.asked) == 60 + len(refusals) == chat.meter.total.n_calls
        assert len(refusals) >= 6


# --- money


def test_no_money_beyond_the_budget_whatever_the_estimate() -> None:
    # An image counts ten times what is estimated: the first call shows it.
    def answer(asked: Asked) -> Answer:
        return Answer("x", usage={"prompt_tokens": 20_000, "completion_tokens": 500})

    limits = Limits(price=(2.0, 10.0), budget=0.5)
    with modelling(answer, limits=limits) as (chat, server):
        chat.probe([SEEING], Tally())
        results = ask_many(chat, SEEING, 30)
        cost = chat.meter.cost
    assert cost == pytest.approx(len(server.asked) * 0.045)
    assert cost is not None
    assert 0.5 - 0.045 < cost <= 0.5
    assert results.count("x") == len(server.asked) - 1
    assert "--budget 0.5 is reached: $0.4950 are spent" in results[-1]


def test_a_budget_that_is_too_small_for_one_call() -> None:
    with modelling(limits=Limits(price=(2.0, 10.0), budget=0.0001)) as (chat, server):
        with pytest.raises(RunnerError, match=r"--budget 0\.0001") as caught:
            chat.probe([SEEING], Tally())
        assert server.asked == []
    assert caught.value.exit_code == 2


def test_a_limit_below_the_room_for_an_answer_is_told_in_the_servers_words() -> None:
    said = "max_tokens=1024 cannot be greater than max_model_len=512. Please request fewer tokens."

    def answer(asked: Asked) -> Answer:
        return Answer() if asked.body["max_tokens"] == 10 else refusal(said, param="max_tokens")

    with modelling(answer) as (chat, _), pytest.raises(EndpointStopped) as raised:
        chat.probe([CALL, replace(CALL, answer_tokens=1024)], Tally())
    assert str(raised.value) == (
        f"model: the server takes a limit of at most 256 tokens (HTTP 400: {said}) · expected "
        "1,024, the room for an answer · give the server a longer context (vLLM: --max-model-len), "
        "or leave out the tasks that ask for so much (max_new_tokens in their files)"
    )
