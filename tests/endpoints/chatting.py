"""A chat with a server on loopback, for the tests of what it is made of."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tests.judge_server import Answer, Asked, JudgeServer
from vipbench.console import QUIET, Console
from vipbench.endpoints.chat import Chat
from vipbench.endpoints.dialect import Dialect
from vipbench.endpoints.endpoint import Endpoint, Purpose
from vipbench.endpoints.messages import Call, Sampling, user
from vipbench.endpoints.meter import Limits, Meter, estimated_tokens
from vipbench.errors import EndpointStopped, RunnerError
from vipbench.judge.settings import JUDGE

MODEL = Purpose(
    name="model",
    option_prefix="--",
    key_variables=("VIPBENCH_MODEL_KEY", "OPENAI_API_KEY"),
    error=RunnerError,
    stopped=EndpointStopped,
    options={
        "url": "--base-url",
        "key-env": "--api-key-env",
        "key-file": "--api-key-file",
        "price": "--price-in and --price-out",
    },
)
"""As the runner of such a model may be."""
KEY = "sk-proj-0123456789abcdefXYZ/+<&"
TEXT = "Which grade?"
CALL = Call((user(TEXT),), 3, Sampling(temperature=0.0, top_p=None, seed=None))
ESTIMATED = estimated_tokens(TEXT)


def endpoint(url: str, **fields: Any) -> Endpoint:
    defaults: dict[str, Any] = {"model": "gpt-4-0613", "first_wait": 0.001, "tries": 3}
    return Endpoint(purpose=JUDGE, url=url, **(defaults | fields))


def refusal(message: str, status: int = 400, **fields: object) -> Answer:
    """Return an error as OpenAI words it."""
    return Answer(status=status, body={"error": {"message": message, **fields}})


@contextmanager
def modelling(
    answer: Callable[[Asked], Answer] | None = None,
    *,
    limits: Limits | None = None,
    said: list[str] | None = None,
    lists: dict[str, object] | None = None,
    dialect: Dialect | None = None,
    connections: int = 8,
    path: str = "/v1",
    **fields: Any,
) -> Iterator[tuple[Chat, JudgeServer]]:
    """Chat as the runner of a model does."""
    console = QUIET if said is None else Console(said.append)
    defaults: dict[str, Any] = {"model": "seer", "first_wait": 0.001, "tries": 3}
    with JudgeServer(answer, lists) as server:
        url = server.url.removesuffix("/v1") + path
        chat = Chat(
            Endpoint(purpose=MODEL, url=url, **(defaults | fields)),
            Meter(limits or Limits(), MODEL),
            connections=connections,
            console=console,
            dialect=dialect,
        )
        try:
            yield chat, server
        finally:
            chat.close()


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
