"""What an OpenAI-compatible server sends back, whether it is a completion or not."""

import contextlib
import datetime
import email.utils
import json
import re
from typing import NamedTuple, TypeGuard

import httpx2

from vipbench.endpoints.meter import Tokens
from vipbench.files import writable

MAX_BODY = 1 << 20
"""Bytes of a server's answer that are read; a completion of a few tokens has about a thousand."""
MAX_TOKENS = 1_000_000_000
"""A count from which on a server is not believed."""
SHOWN = 200
"""Characters of a server's text that a message shows."""


class Answer(NamedTuple):
    """An answer over HTTP."""

    status: int
    headers: httpx2.Headers
    body: bytes
    is_whole: bool
    """False: longer than `MAX_BODY`, and cut there."""

    @property
    def is_success(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300


class Completion(NamedTuple):
    """What an answer holds of a chat completion."""

    text: str | None
    """Empty where the model said nothing; None: not a chat completion."""
    model: str | None
    """As the server names it."""
    used: Tokens | None
    """None where the server does not tell."""


def read_completion(answer: Answer) -> Completion:
    """Read a chat completion from an answer of any kind."""
    content = _content(answer)
    if not isinstance(content, dict):
        return Completion(None, None, None)
    used = _used_tokens(content.get("usage"))
    try:
        text = content["choices"][0]["message"]["content"]
    except (KeyError, IndexError, TypeError):
        return Completion(None, None, used)
    text = "" if text is None else text
    model = content.get("model")
    return Completion(
        writable(text) if isinstance(text, str) else None,
        writable(model) if isinstance(model, str) else None,
        used,
    )


def read_message(answer: Answer) -> str:
    """Return what a server says of an error: the message in its JSON, else the start of the body.

    At most 20 x `SHOWN` characters, which may hold the key.
    """
    text = answer.body[: 20 * SHOWN].decode(errors="replace")
    content = _content(answer)
    error = content.get("error", content) if isinstance(content, dict) else None
    if isinstance(error, dict):
        error = error.get("message") or error.get("detail")
    return writable(error[: 20 * SHOWN]) if isinstance(error, str) else text


def read_retry_after(headers: httpx2.Headers) -> float | None:
    """Read how many seconds a server wants to be left alone; None where it does not say."""
    text = headers.get("retry-after", "").strip()
    if re.fullmatch(r"\d{1,9}(\.\d+)?", text):
        return float(text)
    try:
        date = email.utils.parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=datetime.UTC)
    return max((date - datetime.datetime.now(datetime.UTC)).total_seconds(), 0.0)


def _content(answer: Answer) -> object:
    """Decode the JSON of an answer; None where it is none."""
    content: object = None
    with contextlib.suppress(ValueError, RecursionError):
        content = json.loads(answer.body) if answer.is_whole else None
    return content


def _used_tokens(usage: object) -> Tokens | None:
    if not isinstance(usage, dict):
        return None
    n_prompt, n_completion = usage.get("prompt_tokens"), usage.get("completion_tokens")
    if not (_is_count(n_prompt) and _is_count(n_completion)):
        return None
    return Tokens(n_prompt, n_completion)


def _is_count(value: object) -> TypeGuard[int]:
    return type(value) is int and 0 <= value < MAX_TOKENS
