"""Which server is measured, and what it is asked to forget."""

import pytest

from tests.judge_server import Answer, Asked, JudgeServer
from vipbench.bench.peer import CACHES, find_peer, forget, peer_spec
from vipbench.bench.records import Peer
from vipbench.bench.settings import BenchSettings
from vipbench.errors import RunnerError


def listed(*names: str) -> dict[str, object]:
    return {"/v1/models": {"data": [{"id": name} for name in names]}}


def test_a_server_says_itself_what_it_calls_its_model() -> None:
    assert find_peer(BenchSettings()) is None
    with JudgeServer(lists=listed("seer")) as server:
        peer = find_peer(BenchSettings(peer=server.url, peer_body={"top_k": 1}))
        assert peer == Peer(url=server.url, model="seer", extra_body={"top_k": 1})
        named = find_peer(BenchSettings(peer=server.url.removesuffix("/v1"), peer_model="mine"))
        assert named == Peer(url=server.url, model="mine")
        assert server.got == ["/v1/models"]
        assert not server.asked


def test_a_server_with_several_models_or_none_is_refused() -> None:
    with (
        JudgeServer(lists=listed("a", "b")) as server,
        pytest.raises(RunnerError, match=r"names a, b · give --peer-model NAME"),
    ):
        find_peer(BenchSettings(peer=server.url))
    with JudgeServer() as server, pytest.raises(RunnerError, match="no list of models"):
        find_peer(BenchSettings(peer=server.url))
    with pytest.raises(RunnerError, match="is not an address"):
        find_peer(BenchSettings(peer="nowhere"))


def test_images_are_sent_fitted() -> None:
    spec = peer_spec(Peer(url="http://localhost:1/v1", model="m"), 56, 8)
    assert (spec.facts.max_side, spec.facts.is_fitted) == (56, True)
    assert spec.choice.endpoint.concurrency == 8


def test_a_server_that_can_forgets_all_it_has_read() -> None:
    def answer(asked: Asked) -> Answer:
        return Answer(status=200 if can else 404)

    for can in (True, False):
        with JudgeServer(answer) as server:
            assert forget(server.url) is can
            assert [asked.path for asked in server.asked] == [f"/{name}" for name in CACHES]
    assert forget("http://127.0.0.1:9/v1") is False
