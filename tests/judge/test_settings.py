from typing import Any

import pytest

from vipbench.digests import facts
from vipbench.endpoints.endpoint import Endpoint
from vipbench.endpoints.meter import Limits
from vipbench.errors import JudgeError
from vipbench.judge.ledger import grade_key
from vipbench.judge.rubric import OWN_PROMPT
from vipbench.judge.settings import JUDGE, JudgeSettings

ENDPOINT = Endpoint(purpose=JUDGE, url="http://localhost", model="gpt-4-0613")


def test_the_limits_are_those_of_a_judge_that_thinks() -> None:
    chosen = JudgeSettings(endpoint=ENDPOINT)
    assert (chosen.n_runs, chosen.workers, chosen.prompt) == (5, 8, OWN_PROMPT)
    judge = chosen.judge
    assert (judge.temperature, judge.max_tokens, judge.reasoning_tokens) == (0.0, 64, 4096)


def test_the_published_parameters_have_the_key_that_they_had() -> None:
    judge = JudgeSettings(endpoint=ENDPOINT, max_tokens=3, reasoning_tokens=0).judge
    assert facts(judge).keys() == {"model", "prompt_digest", "temperature", "max_tokens"}


def test_what_can_move_a_grade_is_in_its_key() -> None:
    def key(**fields: Any) -> str:
        endpoint = ENDPOINT.model_copy(update={"extra_body": fields.pop("extra_body", {})})
        judge = JudgeSettings(endpoint=endpoint, **fields).judge
        return grade_key(judge, "q", "a", "p")

    keys = [
        key(),
        key(max_tokens=16),
        key(reasoning_tokens=0),
        key(extra_body={"reasoning_effort": "low"}),
        key(extra_body={"reasoning_effort": "high"}),
    ]
    assert len(set(keys)) == len(keys)
    one, other = {"a": 1, "b": {"c": 2, "d": 3}}, {"b": {"d": 3, "c": 2}, "a": 1}
    assert key(extra_body=one) == key(extra_body=other)


def test_limits_that_cannot_be_kept_are_refused() -> None:
    with pytest.raises(JudgeError, match=r"--judge-budget: .* · give --judge-price IN,OUT too"):
        JudgeSettings(endpoint=ENDPOINT, limits=Limits(budget=1.0))


def test_settings_are_written_without_purpose_and_key() -> None:
    written = JudgeSettings(endpoint=ENDPOINT).model_dump(mode="json")
    assert not {"purpose", "key"} & set(written["endpoint"])
