import math

import pytest

from tests.runners.openai.test_calls import request
from vipbench.endpoints.meter import Tokens
from vipbench.endpoints.replies import Reply, TokenLogprob
from vipbench.runners.openai.answers import option_logprobs, split_thought, to_response

USED = Tokens(100, 20, 15)


@pytest.mark.parametrize(
    ("reply", "state", "text", "error"),
    [
        (Reply("B", finish="stop"), "answered", "B", None),
        (Reply("B", finish="unknown"), "answered", "B", None),
        (Reply("", finish="stop"), "answered", "", None),
        (Reply("B bec", finish="length"), "cut_off", "B bec", None),
        (Reply(None, "Let me see", finish="length"), "cut_off", "", None),
        (Reply(None, refusal="I may not.", finish="refusal"), "refused", None, "I may not."),
        (Reply("I may not.", finish="refusal"), "refused", "I may not.", None),
        (Reply(None, finish="refusal"), "refused", None, "refused without a word"),
        (Reply("B and", finish="filter"), "filtered", None, "withheld"),
        (Reply(None, refusal="HTTP 400: no", finish="filter"), "filtered", None, "HTTP 400: no"),
        (Reply(None, finish="stop"), "failed", None, "no text"),
        (Reply(None, "Let me see", finish="stop"), "failed", None, "no text"),
        (Reply(None, finish="tool"), "failed", None, "a call of a tool"),
    ],
)
def test_a_reply_is_in_one_state(
    reply: Reply, state: str, text: str | None, error: str | None
) -> None:
    response = to_response(request(), reply._replace(used=USED))
    assert (response.state, response.text) == (state, text)
    assert (response.error is None) == (response.text is not None)
    assert error is None or error in (response.error or "")
    assert response.reasoning == reply.reasoning
    assert (response.n_prompt_tokens, response.n_new_tokens) == (100, 20)
    assert response.n_reasoning_tokens == 15


@pytest.mark.parametrize(
    ("text", "answer", "thought"),
    [
        ("B", "B", None),
        ("<think>A cup?</think>\n\nB", "B", "A cup?"),
        ("\n<think>\n</think>B", "B", None),
        ("A cup.</think>B", "B", "A cup."),
        ("<think>A cup and", "", "A cup and"),
        ("I <think> it is B", "I <think> it is B", None),
    ],
)
def test_a_thought_is_split_off(text: str, answer: str, thought: str | None) -> None:
    assert split_thought(text) == (answer, thought)
    response = to_response(request(), Reply(text, finish="stop"))
    assert (response.text, response.reasoning) == (answer, thought)


def told(**logprobs: float) -> tuple[TokenLogprob, ...]:
    return tuple(TokenLogprob(token, value) for token, value in logprobs.items())


def test_a_letter_with_and_without_space_is_one_option() -> None:
    first = (*told(A=math.log(0.2), ĠA=math.log(0.3), B=math.log(0.1), An=-3.0, a=-2.0),
             TokenLogprob("▁B", math.log(0.05)), TokenLogprob(" B", math.log(0.05)))  # fmt: skip
    found = option_logprobs(("A", "B"), first)
    assert found == pytest.approx((math.log(0.5), math.log(0.2)))


def test_a_letter_that_is_not_told_leaves_all_unknown() -> None:
    assert option_logprobs(("A", "B"), told(A=-0.1, The=-2.0)) is None
    assert option_logprobs(("A", "B"), None) is None
    assert option_logprobs((), told(A=-0.1)) is None


def test_probabilities_never_exceed_one_and_may_be_nothing() -> None:
    assert option_logprobs(("A",), (*told(A=0.0), TokenLogprob(" A", -0.5))) == (0.0,)
    assert option_logprobs(("A",), told(A=-math.inf)) == (-math.inf,)


def test_the_first_token_of_a_thought_is_none_of_the_answer() -> None:
    asked = request(options=("A", "B"))
    likely = Reply("B", finish="stop", first_logprobs=told(A=-1.0, B=-0.5))
    assert to_response(asked, likely).option_logprobs == (-1.0, -0.5)
    assert to_response(asked, likely._replace(finish="length")).option_logprobs == (-1.0, -0.5)
    assert to_response(asked, likely._replace(reasoning="A cup.")).option_logprobs is None
