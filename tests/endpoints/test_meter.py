from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.endpoints.chatting import CALL, ESTIMATED, chatting, spent
from tests.judge_server import Answer, in_turn
from vipbench.endpoints.chat import Chat
from vipbench.endpoints.meter import Limits, Meter, Tally
from vipbench.errors import JudgeError
from vipbench.judge.settings import JUDGE


def ask_many(chat: Chat, n: int) -> list[str]:
    """Ask from eight threads; return what each question came to."""

    def ask(_: int) -> str:
        try:
            return chat.ask(CALL, Tally()).text or "nothing"
        except JudgeError as error:
            return str(error)

    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(ask, range(n)))


def test_no_call_beyond_the_limit_is_sent_from_any_thread() -> None:
    with chatting(limits=Limits(max_calls=13)) as (chat, server):
        results = ask_many(chat, 40)
        assert spent(chat)[0] == 13
    assert len(server.asked) == 13
    assert results.count("1.0") == 13
    assert results.count("--judge-max-calls 13 is reached") == 27


def test_retries_count_as_calls() -> None:
    fault = in_turn(Answer(status=500, body=b""))
    with chatting(fault, limits=Limits(max_calls=2), tries=9) as (chat, server):
        with pytest.raises(JudgeError, match="max-calls 2 is reached"):
            chat.ask(CALL, Tally())
        assert len(server.asked) == 2


def test_no_money_beyond_the_budget_is_spent_from_any_thread() -> None:
    # A call costs 100 x 10 + 2 x 100 = 1,200 millionths of a dollar, by the estimate 420.
    limits = Limits(price=(10, 100), budget=0.0124)
    assert limits.cost(ESTIMATED, 3) == pytest.approx(0.00042)
    with chatting(limits=limits) as (chat, server):
        results = ask_many(chat, 40)
        cost = limits.cost(*spent(chat)[1:3])
    n = len(server.asked)
    assert cost == pytest.approx(n * 0.0012)
    assert results.count("1.0") == n
    # What is under way was let through by the estimate; nothing is sent after the limit.
    assert 10 <= n <= 10 + 8


def test_the_budget_is_kept_where_the_estimate_is_right() -> None:
    usage = {"prompt_tokens": ESTIMATED, "completion_tokens": 3}
    limits = Limits(price=(10, 100), budget=0.00042 * 7 + 0.0001)
    with chatting(in_turn(Answer(usage=usage)), limits=limits) as (chat, server):
        results = ask_many(chat, 40)
    assert len(server.asked) == 7
    assert "--judge-budget 0.00304 is reached: $0.0029 are spent" in results[-1]


def test_a_budget_needs_prices() -> None:
    with pytest.raises(JudgeError, match="give --judge-price"):
        Meter(Limits(budget=1.0), JUDGE)
    with pytest.raises(JudgeError, match="two prices from 0"):
        Meter(Limits(price=(float("nan"), 1.0)), JUDGE)
