from typing import Any

import pytest

from vipbench.console import Console
from vipbench.endpoints.endpoint import Endpoint
from vipbench.endpoints.meter import Limits, estimated_tokens
from vipbench.errors import JudgeError
from vipbench.judge.estimate import check_estimate
from vipbench.judge.settings import JUDGE, JudgeSettings

QUESTIONS = ["Which?"] * 303 * 5
N_PROMPT = 1515 * estimated_tokens("Which?")


def settings(**fields: Any) -> JudgeSettings:
    endpoint = Endpoint(purpose=JUDGE, url="http://localhost", model="m")
    return JudgeSettings(endpoint=endpoint, **fields)


def estimate(**fields: Any) -> str:
    said: list[str] = []
    check_estimate(QUESTIONS, settings(**fields), Console(said.append))
    return said[0]


def test_what_is_needed_and_what_it_may_come_to() -> None:
    low = (N_PROMPT * 2 + 1515 * 64 * 8) / 1e6
    high = (5 * N_PROMPT * 2 + 5 * 1515 * (64 + 4096) * 8) / 1e6
    assert estimate(limits=Limits(price=(2, 8))) == (
        f"judge m at http://localhost/v1: about 1,515 calls, {N_PROMPT:,} prompt tokens (a token "
        f"for 3 bytes) and 96,960 reply tokens, ${low:.2f}; at most 7,575 calls if no reply is a "
        "grade and each is asked for again, 4,096 more tokens in each if the judge thinks, "
        f"${high:,.2f} in all"
    )
    assert "thinks" not in estimate(reasoning_tokens=0)


def test_the_least_is_held_against_the_limits() -> None:
    estimate(limits=Limits(max_calls=1515))
    with pytest.raises(JudgeError, match=r"--judge-max-calls 1,514: 1,515 calls, .* nothing was"):
        estimate(limits=Limits(max_calls=1514))
    with pytest.raises(JudgeError, match=r"--judge-budget 0\.1: an estimated 1,515 calls"):
        estimate(limits=Limits(price=(2, 8), budget=0.1))
