from pathlib import Path
from typing import Any

import pytest

from tests.runners.openai.test_calls import request
from vipbench.errors import RunnerError
from vipbench.runners.endpoint_options import EndpointOptions
from vipbench.runners.openai.spec import OpenAiSpec
from vipbench.runners.registry import find_spec, list_runners, make_runner
from vipbench.runners.spec import ModelChoice

URL = "https://a.example/v1"


def spec(*, fit: Any = None, model: str | None = "seer", **options: Any) -> OpenAiSpec:
    endpoint = EndpointOptions(**({"base_url": URL} | options))
    return OpenAiSpec(ModelChoice(runner="openai", model=model, endpoint=endpoint, fit=fit))


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VIPBENCH_MODEL_KEY", raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-elsewhere")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"base_url": None}, "has no address · give --base-url"),
        ({"base_url": "a.example"}, "--base-url: is not an address"),
        ({"base_url": "https://u:p@a.example"}, "--base-url: holds more than an address"),
        ({"model": None}, "has no model · give --model"),
        ({"fit": "pad"}, "--fit pad: needs the side of the square"),
        ({"price_in": 1.0}, "--price-in and --price-out: one is missing"),
        ({"budget": 1.0}, "--budget: cannot be kept without prices"),
        ({"headers": ("X",)}, "--header: is not NAME=VALUE"),
        ({"extra_body": {"model": "b"}}, "--extra-body: sets model"),
        ({"api_key_env": "NOT_THERE"}, "--api-key-env NOT_THERE: is not set"),
        ({"api_key_file": Path("/not/there")}, "--api-key-file /not/there: cannot be read"),
    ],
)
def test_mistakes_are_found_before_anything_is_sent(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(RunnerError) as error:
        spec(**fields).check()
    assert message in str(error.value)


def test_workers_are_no_connections() -> None:
    choice = ModelChoice(
        runner="openai", model="m", workers=2, endpoint=EndpointOptions(base_url=URL)
    )
    with pytest.raises(RunnerError, match=r"--workers 2: .* say with --concurrency N"):
        OpenAiSpec(choice).check()


def test_other_runners_ask_no_endpoint() -> None:
    choice = ModelChoice(runner="oracle", endpoint=EndpointOptions(base_url=URL, max_side=64))
    with pytest.raises(RunnerError, match="--base-url, --max-side: runner oracle asks no endpoint"):
        find_spec("oracle")(choice).check()


def test_a_key_of_a_provider_goes_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    (said,) = spec().remarks()
    assert "no key is sent: OPENAI_API_KEY goes to api.openai.com only" in said
    assert spec().endpoint.key is None
    monkeypatch.setenv("VIPBENCH_MODEL_KEY", "sk-own")
    asked = spec()
    assert asked.remarks() == [f"endpoint: {URL}, key from VIPBENCH_MODEL_KEY"]
    assert "sk-own" not in f"{asked.endpoint!r}{asked.facts!r}"


def test_the_facts_are_what_was_asked_for() -> None:
    facts = spec(
        base_url="http://Host.example:8000/v1",
        image_format="jpeg:80",
        image_detail="low",
        image_order="last",
        max_side=64,
        fit="pad",
        system="Be brief.",
        reasoning_tokens=9,
        reasoning_effort="low",
        extra_body={"top_k": 1},
        headers=("X-A=1", "X-Api-Key=2"),
    ).facts
    assert facts.model_dump(exclude={"headers"}) == {
        "host": "host.example",
        "image_format": "jpeg:80",
        "image_detail": "low",
        "image_order": "last",
        "max_side": 64,
        "is_fitted": True,
        "system": "Be brief.",
        "top_p": 1.0,
        "reasoning_tokens": 9,
        "reasoning_effort": "low",
        "extra_body": {"top_k": 1},
    }
    assert facts.headers.keys() == {"x-a", "x-api-key"}
    assert facts.headers["x-api-key"] is None


def test_images_are_fitted_only_where_that_is_asked_for() -> None:
    assert spec(max_side=64).make().image_size is None
    assert spec(max_side=64, fit="squash").make().image_size == 64


def test_an_estimate_adds_up_prompts_images_and_limits() -> None:
    asked = spec(price_in=2.0, price_out=10.0, reasoning_tokens=92, budget=0.001)
    estimate = asked.estimate([request(turns=("x" * 30,)), request(turns=("x" * 30,))])
    assert estimate[:4] == (2, 2, 2 * (1600 + 10 + 8), 2 * 100)
    assert estimate.most_dollars == pytest.approx(0.008472)
    assert estimate.budget == 0.001
    assert spec().estimate([]).most_dollars is None


def test_it_is_listed_and_can_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "endpoint" in list_runners()["openai"]
    with pytest.raises(RunnerError, match="has no address"):
        make_runner("openai", model="m")
