from typing import Any

from vipbench.endpoints.messages import Image
from vipbench.runfolder.endpoint_use import EndpointFacts
from vipbench.runners.openai.calls import to_call
from vipbench.schema import Request

IMAGE = Image(b"png", detail="high")


def request(**fields: Any) -> Request:
    defaults: dict[str, Any] = {"turns": ("Which?",), "max_new_tokens": 8, "key": "k"}
    names = {"task": "t", "style": "s", "id": "1", "image": "a.png", "fit": "pad"}
    return Request(**(names | defaults | fields))


def facts(**fields: Any) -> EndpointFacts:
    return EndpointFacts(host="a.example", **fields)


def test_sampling_and_room_are_always_said() -> None:
    call = to_call(request(), [IMAGE], facts(reasoning_tokens=100, reasoning_effort="low"))
    assert (call.sampling.temperature, call.sampling.top_p, call.sampling.seed) == (0, 1, 0)
    assert (call.answer_tokens, call.reasoning_tokens, call.n_tokens) == (8, 100, 108)
    assert (call.reasoning_effort, call.top_logprobs) == ("low", None)
    sampled = to_call(request(temperature=0.7, seed=2**40 + 5), [IMAGE], facts())
    assert sampled.sampling.temperature == 0.7
    assert 0 <= (sampled.sampling.seed or 0) < 2**31


def test_log_probabilities_are_asked_for_where_letters_answer() -> None:
    assert to_call(request(options=("A", "B")), [IMAGE], facts()).top_logprobs == 20


def test_the_image_stands_before_or_behind_the_first_text() -> None:
    turns = ("Which?", "B", "Why?")
    first = to_call(request(turns=turns), [IMAGE], facts(system="Be brief.")).messages
    assert [message.role for message in first] == ["system", "user", "assistant", "user"]
    assert [message.parts for message in first] == [
        ("Be brief.",),
        (IMAGE, "Which?"),
        ("B",),
        ("Why?",),
    ]
    last = to_call(request(turns=turns), [IMAGE], facts(image_order="last")).messages
    assert last[0].parts == ("Which?", IMAGE)
