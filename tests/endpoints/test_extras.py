import pytest

from tests.endpoints.chatting import KEY, MODEL, endpoint
from vipbench.endpoints.extras import parse_extra_body, parse_headers
from vipbench.errors import RunnerError


def test_headers() -> None:
    title, key = parse_headers(["X-Title = a=b ", "X-Api-Key=env:OTHER"], {"OTHER": KEY}, MODEL)
    assert (title.name, title.value.get_secret_value()) == ("X-Title", "a=b")
    assert not title.is_secret
    assert title.digest is not None
    assert (key.name, key.value.get_secret_value(), key.digest) == ("X-Api-Key", KEY, None)
    assert key.is_secret


def test_identity_knows_names_and_digests_alone() -> None:
    headers = parse_headers(["X-Title=vipbench-1", f"Authorization=Bearer {KEY}"], {}, MODEL)
    made = endpoint("http://localhost", headers=headers)
    other = endpoint("http://localhost", headers=parse_headers(["x-title=two"], {}, MODEL))
    assert made.header_facts.keys() == {"x-title", "authorization"}
    assert made.header_facts["authorization"] is None
    assert made.header_facts["x-title"] != other.header_facts["x-title"]
    assert made.sent_headers["authorization"] == f"Bearer {KEY}"
    for shown in (repr(made), str(made), made.model_dump_json(), repr(headers)):
        assert KEY not in shown
        assert "vipbench-1" not in shown


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (["X-Title"], r"^--header: is not NAME=VALUE"),
        ([f"={KEY}"], r"^--header: is not NAME=VALUE"),
        ([f"X-Key=a\r\n{KEY}"], r"^--header 'X-Key': is not a header"),
        ([f"X Key={KEY}"], r"^--header 'X Key': is not a header"),
        ([f"X-Key=ü{KEY}"], r"^--header 'X-Key': is not a header"),
        (["Content-Length=3"], r"^--header 'Content-Length': is not a header, or not the user's"),
        (["X-Key=env:NONE"], r"^--header X-Key: the variable NONE is not set"),
        (["X-Key=1", "x-key=2"], r"^--header x-key: is given twice"),
    ],
)
def test_what_is_no_header_is_not_shown(texts: list[str], words: str) -> None:
    with pytest.raises(RunnerError, match=words) as caught:
        parse_headers(texts, {}, MODEL)
    assert KEY not in str(caught.value)


def test_an_extra_body() -> None:
    text = '{"chat_template_kwargs": {"enable_thinking": false}}'
    assert parse_extra_body(text, MODEL) == {"chat_template_kwargs": {"enable_thinking": False}}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is not JSON"),
        ("{'a': 1}", "is not JSON"),
        ('{"a": NaN}', "NaN is no JSON"),
        ("[1]", "is not a JSON object"),
        ('{"model": "x", "a": 1, "max_tokens": 3}', "sets max_tokens, model · "),
        ('{"stream": true}', "sets stream"),
        ("[" * 100_000, "is not JSON"),
    ],
)
def test_what_is_no_extra_body(text: str, words: str) -> None:
    with pytest.raises(RunnerError, match=f"^--extra-body: .*{words}"):
        parse_extra_body(text, MODEL)
