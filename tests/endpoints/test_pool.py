import threading
from collections.abc import Iterator
from concurrent.futures import wait
from typing import Any

import pytest

from tests.endpoints.chatting import modelling, refusal
from tests.judge_server import Answer, Asked
from vipbench.endpoints import pool
from vipbench.endpoints.dialect import USUAL
from vipbench.endpoints.failures import Stopped
from vipbench.endpoints.messages import Call, user
from vipbench.endpoints.meter import Limits
from vipbench.endpoints.pool import Outcome, ask_all
from vipbench.errors import EndpointStopped, RunnerError


def calls(n: int) -> list[Call]:
    return [Call((user(f"{number}"),), 5) for number in range(n)]


def echo(asked: Asked) -> Answer:
    return Answer(asked.message)


def test_each_call_has_its_outcome() -> None:
    def answer(asked: Asked) -> Answer:
        return refusal("bad image") if asked.message == "7" else echo(asked)

    with modelling(answer) as (chat, server):
        outcomes = sorted(ask_all(chat, calls(40)))
    assert [outcome.number for outcome in outcomes] == list(range(40))
    assert [outcome.reply.text for outcome in outcomes if outcome.reply] == [
        f"{number}" for number in range(40) if number != 7
    ]
    assert outcomes[7].reply is None
    assert outcomes[7].error == "HTTP 400: bad image"
    assert all(outcome.tally.n_calls == 1 for outcome in outcomes)
    assert len(server.asked) == 40


def test_no_more_than_the_ceiling_and_the_first_alone() -> None:
    go = threading.Event()

    def answer(asked: Asked) -> Answer:
        if asked.number == 3:
            go.set()
        return Answer("x", wait=go if asked.number else None)

    with modelling(answer, connections=4) as (chat, server):
        assert len(list(ask_all(chat, calls(20)))) == 20
        assert server.most_at_once <= 4
        assert server.asked[0].message == "0"


def test_calls_are_taken_as_places_become_free() -> None:
    taken = 0

    def lazily() -> Iterator[Call]:
        nonlocal taken
        for call in calls(100):
            taken += 1
            yield call

    with modelling(echo, connections=4, dialect=USUAL) as (chat, _):
        for n, _outcome in enumerate(ask_all(chat, lazily()), start=1):
            assert taken <= n + 8


def test_what_is_under_way_at_an_error_is_yielded_before_it() -> None:
    def answer(asked: Asked) -> Answer:
        return refusal("who?", 401) if asked.number == 10 else echo(asked)

    outcomes: list[Outcome] = []
    with modelling(answer, connections=4) as (chat, server):
        with pytest.raises(EndpointStopped, match="HTTP 401: who\\?"):
            outcomes.extend(ask_all(chat, calls(100)))
        assert len(outcomes) == len(server.asked) - 1
        assert len(server.asked) <= 10 + 8
        with pytest.raises(Stopped):
            list(ask_all(chat, calls(1)))


def test_after_ctrl_c_what_is_under_way_is_yielded(monkeypatch: pytest.MonkeyPatch) -> None:
    n_waits = 0

    def waiting(futures: Any, **how: Any) -> Any:
        nonlocal n_waits
        n_waits += 1
        if n_waits == 5:
            raise KeyboardInterrupt
        return wait(futures, **how)

    monkeypatch.setattr(pool, "wait", waiting)
    outcomes: list[Outcome] = []
    with modelling(echo, connections=4, dialect=USUAL) as (chat, server):
        with pytest.raises(KeyboardInterrupt):
            outcomes.extend(ask_all(chat, calls(100)))
        assert 4 <= len(outcomes) == len(server.asked) < 20


def test_nothing_can_be_asked() -> None:
    with modelling(lambda asked: refusal("who?", 401)) as (chat, server):
        with pytest.raises(RunnerError, match="who"):
            list(ask_all(chat, calls(50)))
        assert len(server.asked) == 1


def test_leaving_early_stops() -> None:
    with modelling(echo) as (chat, server):
        for outcome in ask_all(chat, calls(100)):
            if outcome.number == 3:
                break
        assert len(server.asked) < 100


def test_a_limit_of_calls_ends_it_exactly() -> None:
    with modelling(echo, limits=Limits(max_calls=17)) as (chat, server):
        outcomes: list[Outcome] = []
        with pytest.raises(EndpointStopped, match=r"^--max-calls 17 is reached") as caught:
            outcomes.extend(ask_all(chat, calls(50)))
    assert caught.value.exit_code == 3
    assert len(outcomes) == len(server.asked) == 17
