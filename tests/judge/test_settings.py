import pytest

from vipbench.endpoints.endpoint import Endpoint
from vipbench.endpoints.meter import Limits
from vipbench.errors import JudgeError
from vipbench.judge.rubric import OWN_PROMPT
from vipbench.judge.settings import JUDGE, JudgeSettings

ENDPOINT = Endpoint(purpose=JUDGE, url="http://localhost", model="gpt-4-0613")


def test_the_published_parameters() -> None:
    chosen = JudgeSettings(endpoint=ENDPOINT)
    assert (chosen.n_runs, chosen.workers, chosen.prompt) == (5, 8, OWN_PROMPT)
    assert (chosen.judge.temperature, chosen.judge.max_tokens) == (0.0, 3)


def test_limits_that_cannot_be_kept_are_refused() -> None:
    with pytest.raises(JudgeError, match=r"--judge-budget: .* · give --judge-price IN,OUT too"):
        JudgeSettings(endpoint=ENDPOINT, limits=Limits(budget=1.0))


def test_settings_are_written_without_purpose_and_key() -> None:
    written = JudgeSettings(endpoint=ENDPOINT).model_dump(mode="json")
    assert not {"purpose", "key"} & set(written["endpoint"])
