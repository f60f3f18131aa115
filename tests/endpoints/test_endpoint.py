import pytest
from pydantic import SecretStr, ValidationError

from tests.endpoints.chatting import KEY, MODEL, endpoint
from vipbench.endpoints.endpoint import Endpoint, Purpose, base_url
from vipbench.errors import EndpointStopped, JudgeError, JudgeStopped, RunnerError
from vipbench.judge.settings import JUDGE

OTHER = Purpose("model", "--endpoint-", ("VIPBENCH_ENDPOINT_KEY",), RunnerError)


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("https://api.openai.com/v1", "https://api.openai.com/v1"),
        ("https://api.openai.com/v1/", "https://api.openai.com/v1"),
        ("http://localhost:8000", "http://localhost:8000/v1"),
        ("http://localhost:8000/", "http://localhost:8000/v1"),
        (" http://[::1]:8000/v1 ", "http://[::1]:8000/v1"),
        ("https://x.org/proxy/openai/v1", "https://x.org/proxy/openai/v1"),
        ("https://x.org/v1/chat/completions", "https://x.org/v1"),
    ],
)
def test_addresses(url: str, base: str) -> None:
    assert base_url(url, JUDGE) == base
    assert base_url(base, JUDGE) == base


@pytest.mark.parametrize("url", ["", "api.openai.com/v1", "ftp://x.org", "http://", "http://x:y"])
def test_what_is_not_an_address(url: str) -> None:
    with pytest.raises(JudgeError, match="is not an address"):
        base_url(url, JUDGE)


@pytest.mark.parametrize(
    "url", [f"https://me:{KEY[:9]}@x.org/v1", f"https://x.org/v1?key={KEY[:9]}", "http://x.org/#k"]
)
def test_an_address_with_a_secret_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(JudgeError, match=r"holds more than an address \(x\.org\)") as caught:
        endpoint(url)
    assert KEY[:9] not in str(caught.value)


@pytest.mark.parametrize("key", [f"{KEY}\r\nX-Other: 1", "two words", "schlüssel", ""])
def test_a_key_that_cannot_be_sent_is_not_shown(key: str) -> None:
    with pytest.raises(JudgeError, match="judge key") as caught:
        endpoint("http://localhost", key=SecretStr(key))
    assert not key or key not in str(caught.value)


def test_settings_do_not_show_the_key() -> None:
    made = endpoint("http://localhost", key=SecretStr(KEY))
    for shown in (repr(made), str(made), made.model_dump_json(), repr(made.model_dump())):
        assert KEY not in shown
    with pytest.raises(ValidationError) as caught:
        Endpoint(purpose=JUDGE, url="http://localhost", model="m", key=KEY, tries=0)  # type: ignore[arg-type]
    assert KEY not in str(caught.value)


def test_another_purpose_has_words_and_an_error_of_its_own() -> None:
    with pytest.raises(RunnerError, match=r"^--endpoint-url: is not an address"):
        Endpoint(purpose=OTHER, url="nowhere", model="m")
    with pytest.raises(RunnerError, match=r"VIPBENCH_ENDPOINT_KEY or --endpoint-key-file$"):
        base_url("https://me@x.org", OTHER)
    with pytest.raises(RunnerError, match=r"^model key: "):
        Endpoint(purpose=OTHER, url="http://localhost", model="m", key=SecretStr("two words"))


AZURE = "https://x.openai.azure.com/openai/deployments/d"


@pytest.mark.parametrize(
    "url",
    [
        f"{AZURE}/chat/completions?api-version=2024-10-21",
        f"{AZURE}?api-version=2024-10-21",
    ],
)
def test_the_addresses_of_azure(url: str) -> None:
    made = endpoint(url, key=SecretStr(KEY))
    assert made.url == f"{AZURE}?api-version=2024-10-21"
    assert made.address("chat/completions") == f"{AZURE}/chat/completions?api-version=2024-10-21"
    assert made.sent_headers == {"api-key": KEY}
    with pytest.raises(JudgeError, match="holds more than an address"):
        endpoint(f"{AZURE}?api-version=2024-10-21&api-key=abc")


def test_other_addresses_get_a_bearer() -> None:
    for url in ("https://openrouter.ai/api/v1", "https://x.openai.azure.com.evil.org/v1"):
        made = endpoint(url, key=SecretStr(KEY))
        assert made.sent_headers == {"authorization": f"Bearer {KEY}"}
        assert made.address("models") == f"{url}/models"
    assert endpoint("http://localhost").sent_headers == {}


def test_options_that_a_purpose_names() -> None:
    assert MODEL.option("url") == "--base-url"
    assert MODEL.option("budget") == "--budget"
    assert JUDGE.option("url") == "--judge-url"
    hash(MODEL)


def test_what_failed_before_and_after_the_first_answer() -> None:
    assert type(MODEL.failure("m", has_answered=False)) is RunnerError
    assert type(MODEL.failure("m", has_answered=True)) is EndpointStopped
    assert type(JUDGE.failure("m", has_answered=True)) is JudgeStopped
