"""A chat with a server on loopback, for the tests of what it is made of."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tests.judge_server import Answer, Asked, JudgeServer
from vipbench.console import QUIET, Console
from vipbench.endpoints.chat import Chat
from vipbench.endpoints.endpoint import Endpoint
from vipbench.endpoints.messages import Call, Sampling, user
from vipbench.endpoints.meter import Limits, Meter, estimated_tokens
from vipbench.judge.settings import JUDGE

KEY = "sk-proj-0123456789abcdefXYZ/+<&"
TEXT = "Which grade?"
CALL = Call((user(TEXT),), 3, Sampling(temperature=0.0, top_p=None, seed=None))
ESTIMATED = estimated_tokens(TEXT)


def endpoint(url: str, **fields: Any) -> Endpoint:
    defaults: dict[str, Any] = {"model": "gpt-4-0613", "first_wait": 0.001, "tries": 3}
    return Endpoint(purpose=JUDGE, url=url, **(defaults | fields))


@contextmanager
def chatting(
    answer: Callable[[Asked], Answer] | None = None,
    limits: Limits | None = None,
    said: list[str] | None = None,
    **fields: Any,
) -> Iterator[tuple[Chat, JudgeServer]]:
    console = QUIET if said is None else Console(said.append)
    with JudgeServer(answer) as server:
        chat = Chat(
            endpoint(server.url, **fields), Meter(limits or Limits(), JUDGE), console=console
        )
        try:
            yield chat, server
        finally:
            chat.close()


def spent(chat: Chat) -> tuple[int, int, int, int]:
    total = chat.meter.total
    return (
        total.n_calls,
        total.n_prompt_tokens,
        total.n_completion_tokens,
        total.n_estimated,
    )
