import json

import pytest

from vipbench.digests import digest, facts
from vipbench.endpoints.dialect import USUAL, Dialect, adapted, request_body
from vipbench.endpoints.messages import Call, Sampling, user

CALL = Call((user("Which?"),), 100, reasoning_tokens=900, reasoning_effort="low", top_logprobs=20)
NO_KEY = "Unsupported parameter: 'max_tokens' is not supported with this model. Use "


def changes(words: str, call: Call = CALL, dialect: Dialect = USUAL) -> dict[str, object] | None:
    """Return what a server's words change in a dialect, by field."""
    changed = adapted(dialect, request_body(call, "m", dialect, {}), words)
    if changed is None:
        return None
    old, new = dialect.model_dump(), changed.model_dump()
    return {name: new[name] for name in new if new[name] != old[name]}


def test_everything_is_sent_explicitly() -> None:
    assert request_body(CALL, "m", USUAL, {"top_k": 1}) == {
        "model": "m",
        "messages": [{"role": "user", "content": "Which?"}],
        "temperature": 0.0,
        "top_p": 1.0,
        "seed": 0,
        "logprobs": True,
        "top_logprobs": 20,
        "reasoning_effort": "low",
        "max_tokens": 1000,
        "top_k": 1,
    }


def test_what_is_not_said_is_not_sent() -> None:
    bare = Call((user("Which?"),), 3, Sampling(temperature=None, top_p=None, seed=None))
    assert request_body(bare, "m", USUAL, {}).keys() == {"model", "messages", "max_tokens"}


def test_a_dialect_changes_what_is_sent() -> None:
    dialect = Dialect(
        tokens_key="max_completion_tokens",
        omitted=("seed", "temperature"),
        most_tokens=512,
        most_logprobs=5,
    )
    body = request_body(CALL, "m", dialect, {})
    assert body["max_completion_tokens"] == 512
    assert body["top_logprobs"] == 5
    assert not {"max_tokens", "seed", "temperature"} & body.keys()
    assert request_body(CALL, "m", Dialect(least_tokens=2000), {})["max_tokens"] == 2000


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (f"{NO_KEY}'max_completion_tokens' instead.", {"tokens_key": "max_completion_tokens"}),
        ("`max_tokens` is deprecated", {"tokens_key": "max_completion_tokens"}),
        (
            "Unsupported value: 'temperature' does not support 0.0 with this model. Only the "
            "default (1) value is supported.",
            {"omitted": ("temperature",)},
        ),
        ("temperature must be 1", {"omitted": ("temperature",)}),
        ("Unknown parameter: 'seed'.", {"omitted": ("seed",)}),
        (
            '{"detail":[{"type":"extra_forbidden","loc":["body","seed"],"msg":"Extra inputs are '
            'not permitted"}]}',
            {"omitted": ("seed",)},
        ),
        ("top_p is not supported by this model", {"omitted": ("top_p",)}),
        (
            "`temperature` and `top_p` cannot both be specified for this model.",
            {"omitted": ("top_p",)},
        ),
        (
            "Unsupported parameter: 'logprobs' is not supported with this model.",
            {"omitted": ("logprobs", "top_logprobs")},
        ),
        ("This model doesn't currently support top_logprobs", {"omitted": ("top_logprobs",)}),
        (
            "Unrecognized request argument supplied: reasoning_effort",
            {"omitted": ("reasoning_effort",)},
        ),
        (
            "Invalid 'top_logprobs': integer above maximum value. Expected a value <= 5, but got "
            "20 instead.",
            {"most_logprobs": 5},
        ),
        (
            "Requested sample logprobs of 20, which is greater than max allowed: 5",
            {"most_logprobs": 5},
        ),
        (
            'Invalid JSON payload received. Unknown name "seed": Cannot find field.',
            {"omitted": ("seed",)},
        ),
        (
            "max_tokens=1000 cannot be greater than max_model_len=512. Please request fewer "
            "output tokens. (parameter=max_tokens, value=1000)",
            {"most_tokens": 256},
        ),
        (
            "This model's maximum context length is 512 tokens. However, you requested 1000 "
            "output tokens and your prompt contains 112 input tokens, for a total of 1112 tokens.",
            {"most_tokens": 400},
        ),
        (
            "This model's maximum context length is 512 tokens. However, you requested 1000 "
            "output tokens and your prompt contains at least 1 input tokens, for a total of at "
            "least 1001 tokens.",
            {"most_tokens": 256},
        ),
        (
            "This model's maximum context length is 600 tokens. However, you requested 1100 tokens "
            "(100 in the messages, 1000 in the completion).",
            {"most_tokens": 500},
        ),
        (
            "max_tokens is too large: 1000. This model supports at most 800 completion tokens.",
            {"most_tokens": 800},
        ),
        (
            "max_tokens: 1000 > 512, which is the maximum allowed number of output tokens",
            {"most_tokens": 512},
        ),
        ("`max_tokens` must be less than or equal to `500`", {"most_tokens": 500}),
        ("Range of max_tokens should be [1, 500]", {"most_tokens": 500}),
    ],
)
def test_what_servers_say(words: str, expected: dict[str, object]) -> None:
    assert changes(words) == expected
    assert changes(json.dumps({"error": {"message": words}})) == expected


@pytest.mark.parametrize(
    "words",
    [
        "Invalid 'max_output_tokens': integer below minimum value. Expected a value >= 16, but got "
        "3 instead.",
        "max_tokens must be at least 16",
        "max_completion_tokens: minimum value is 16 tokens",
    ],
)
def test_a_least_number_of_tokens(words: str) -> None:
    short = Call((user("Which?"),), 3)
    assert changes(words, short) == {"least_tokens": 16}
    assert changes(words) != {"least_tokens": 16}  # there is room enough


@pytest.mark.parametrize(
    "words",
    [
        "",
        "The image could not be decoded",
        "Your prompt is too long",
        "Invalid image: at least 28 pixels are needed",
        "temperature and seed are fine, the image is not",
        "This model's maximum context length is 512 tokens, your messages have 600 tokens",
    ],
)
def test_what_is_about_one_question(words: str) -> None:
    short = Call((user("Which?"),), 3)
    assert changes(words, short) is None


def test_what_the_user_has_set_is_not_left_out() -> None:
    body = request_body(CALL, "m", USUAL, {"temperature": 0.3})
    assert adapted(USUAL, body, "temperature is not supported", frozenset({"temperature"})) is None


def test_one_thing_is_changed_after_another() -> None:
    dialect = USUAL
    for words in (
        "'temperature' is not supported",
        f"{NO_KEY}'max_completion_tokens'",
        "'seed' is not supported",
    ):
        changed = adapted(dialect, request_body(CALL, "m", dialect, {}), words)
        assert changed is not None
        dialect = changed
    assert dialect == Dialect(tokens_key="max_completion_tokens", omitted=("seed", "temperature"))
    assert dialect.describe() == (
        "takes max_completion_tokens in place of max_tokens",
        "refuses seed, temperature: its own default holds",
    )
    assert USUAL.describe() == ()


def test_a_dialect_is_a_part_of_an_identity() -> None:
    assert facts(USUAL) == {}
    assert digest(facts(Dialect(omitted=("seed",)))) != digest(facts(USUAL))
    assert Dialect.model_validate_json(Dialect(most_tokens=5).model_dump_json()).most_tokens == 5
