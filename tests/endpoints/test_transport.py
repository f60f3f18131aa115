import httpx2
import pytest
from pydantic import SecretStr

from tests.endpoints.chatting import KEY, endpoint
from tests.judge_server import Answer, Asked, JudgeServer
from vipbench.endpoints.endpoint import Header
from vipbench.endpoints.transport import Transport


def sent_to(path: str, **fields: object) -> Asked:
    """Return what a server gets that has this path."""
    with JudgeServer() as server:
        url = server.url.removesuffix("/v1") + path
        transport = Transport(endpoint(url, **fields), 1)
        transport.post({"text": "ü\ud800"}, 20)
        transport.close()
    return server.asked[0]


def test_headers_and_addresses() -> None:
    title = Header(name="X-Title", value=SecretStr("vipbench"))
    asked = sent_to("/api/v1", key=SecretStr(KEY), headers=(title,))
    assert asked.path == "/api/v1/chat/completions"
    assert asked.headers["authorization"] == f"Bearer {KEY}"
    assert asked.headers["x-title"] == "vipbench"
    assert asked.headers["content-type"] == "application/json"
    assert asked.body == {"text": "ü\ud800"}


def test_azure_gets_its_path_and_its_version() -> None:
    path = "/openai/deployments/d"
    asked = sent_to(f"{path}/chat/completions?api-version=2024-10-21")
    assert asked.path == f"{path}/chat/completions?api-version=2024-10-21"


def test_a_header_replaces_that_of_the_key() -> None:
    own = Header(name="Authorization", value=SecretStr("Basic abc"))
    asked = sent_to("/v1", key=SecretStr(KEY), headers=(own,))
    assert asked.headers["authorization"] == "Basic abc"


def test_a_list_of_models() -> None:
    lists: dict[str, object] = {"/v1/models": {"data": [{"id": "a"}, {"id": 7}, "b"]}}
    with JudgeServer(lists=lists) as server:
        transport = Transport(endpoint(server.url), 1)
        assert transport.list_models() == ["a"]
        assert transport.list_models(f"{server.url}/v1/models") is None
        transport.close()
    assert server.got == ["/v1/models", "/v1/v1/models"]
    gone = Transport(endpoint(server.url), 1)
    assert gone.list_models() is None
    gone.close()


def test_a_broken_encoding_is_no_answer() -> None:
    fault = Answer(body=b"no gzip", headers={"Content-Encoding": "gzip"})
    with JudgeServer(lambda asked: fault) as server:
        transport = Transport(endpoint(server.url), 1)
        with pytest.raises(httpx2.RequestError):
            transport.post({}, 20)
        transport.close()
