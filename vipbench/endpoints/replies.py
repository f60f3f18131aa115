"""What an OpenAI-compatible server sends back, whether it is a completion or not."""

import contextlib
import datetime
import email.utils
import html
import json
import math
import re
from typing import Literal, NamedTuple, TypeGuard

import httpx2

from vipbench.endpoints.meter import Tokens
from vipbench.files import writable

MAX_BODY = 1 << 21
"""Bytes of a server's answer that are read; a token has about four, and six times that escaped."""
MAX_TOKENS = 1_000_000_000
"""A count from which on a server is not believed."""
SHOWN = 200
"""Characters of a server's text that a message shows."""
Finish = Literal["stop", "length", "filter", "refusal", "tool", "unknown"]
FINISHES: dict[str, Finish] = {
    "stop": "stop",
    "eos": "stop",
    "eos_token": "stop",
    "stop_sequence": "stop",
    "end_turn": "stop",
    "length": "length",
    "max_tokens": "length",
    "max_output_tokens": "length",
    "model_length": "length",
    "content_filter": "filter",
    "safety": "filter",
    "recitation": "filter",
    "prohibited_content": "filter",
    "refusal": "refusal",
    "tool_calls": "tool",
    "function_call": "tool",
}
"""Reasons why an answer ends, in lower case, as OpenAI, vLLM, TGI, Mistral, Anthropic and Google
name them behind their OpenAI-compatible addresses."""
_FILTERED = re.compile(
    r"content_filter|content filter|responsibleaipolicyviolation|content management policy"
    r"|content_policy_violation|data_inspection_failed|safety system|moderation_blocked"
    r"|input was flagged"
)
_TAG = re.compile(r"(?is)<(script|style)\b.*?</\1\s*>|<[^>]*>")


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


class TokenLogprob(NamedTuple):
    """A token that might have come first, and how likely it was."""

    token: str
    logprob: float
    """Natural, 0 at most."""


class Reply(NamedTuple):
    """What the model said."""

    text: str | None
    """The answer; None: there is none, and `finish` says why. Nothing is stripped of it."""
    reasoning: str | None = None
    """What the model thought before, where the server tells it apart; never empty."""
    refusal: str | None = None
    """The words in which it was refused, of the model or, where `finish` is `filter`, the server's.
    """
    finish: Finish = "unknown"
    """`length`: cut at the limit; `filter`: taken away by the server, in whole or in part;
    `unknown`: the server does not say, or in a word of its own."""
    used: Tokens | None = None
    """As the server counts; None: it does not tell."""
    model: str | None = None
    """As the server names it."""
    fingerprint: str | None = None
    """The server's `system_fingerprint`."""
    first_logprobs: tuple[TokenLogprob, ...] | None = None
    """The likeliest first tokens, the chosen one included; None: not told."""


def read_reply(answer: Answer) -> Reply | None:
    """Read a chat completion from an answer of any kind; None where it is none."""
    content = read_json(answer)
    try:
        choice = content["choices"][0]  # type: ignore[index]
        message = choice["message"]
    except (KeyError, IndexError, TypeError):
        return None
    if not isinstance(content, dict) or not isinstance(choice, dict) or not _is_message(message):
        return None
    if content.get("error") or choice.get("error"):
        return None
    text, reasoning, refusal = _read_content(message.get("content"))
    reasoning = (
        _text(message.get("reasoning_content")) or _text(message.get("reasoning")) or (reasoning)
    )
    refusal = _text(message.get("refusal")) or refusal
    return Reply(
        text,
        reasoning or None,
        refusal,
        _finish(choice.get("finish_reason"), is_refused=refusal is not None and not text),
        read_used(answer),
        _text(content.get("model")),
        _text(content.get("system_fingerprint")),
        _first_logprobs(choice.get("logprobs")),
    )


def told_cut(reply: Reply, limit: int) -> Reply:
    """Return a reply that says it was cut where it fills its limit, and the server says nothing."""
    if reply.finish == "unknown" and reply.used and reply.used.n_completion >= limit:
        return reply._replace(finish="length")
    return reply


def is_cut(reply: Reply) -> bool:
    """Say whether a reply ended at the limit of tokens."""
    return reply.finish == "length"


def read_used(answer: Answer) -> Tokens | None:
    """Read what an answer says that it took, whether it is a completion or not."""
    content = read_json(answer)
    return _used_tokens(content.get("usage")) if isinstance(content, dict) else None


def read_status(answer: Answer) -> int:
    """Return the status, or that of an error which a server sends with status 200."""
    content = read_json(answer)
    error = content.get("error") if isinstance(content, dict) else None
    if answer.is_success and isinstance(error, dict):
        code = error.get("code")
        code = int(code) if isinstance(code, str) and re.fullmatch(r"[45]\d\d", code) else code
        if type(code) is int and 400 <= code <= 599:
            return code
    return answer.status


def is_filtered(answer: Answer) -> bool:
    """Say whether a server has refused one request for what it shows or asks."""
    return _FILTERED.search(answer.body[: 40 * SHOWN].decode(errors="replace").lower()) is not None


def read_message(answer: Answer) -> str:
    """Return what a server says of an error: the message in its JSON, else the start of the body.

    At most 20 x `SHOWN` characters, which may hold the key.
    """
    text = answer.body[: 20 * SHOWN].decode("utf-8-sig", errors="replace")
    content = read_json(answer)
    if isinstance(content, list) and len(content) == 1:  # Google's
        content = content[0]
    error = content.get("error", content) if isinstance(content, dict) else None
    if isinstance(error, dict):
        error = error.get("message") or error.get("detail")
    return writable(error[: 20 * SHOWN]) if isinstance(error, str) else text


def describe_body(answer: Answer) -> str:
    """Return what a server says, and of what kind it is where it should not be: at most as above.

    An HTML page, such as a login, is named one, with its first words.
    """
    if not is_html(answer):
        return read_message(answer)
    text = answer.body[: 100 * SHOWN].decode("utf-8-sig", errors="replace")
    return f"an HTML page: {html.unescape(' '.join(_TAG.sub(' ', text).split()))}"[: 20 * SHOWN]


def is_html(answer: Answer) -> bool:
    """Say whether an answer is a page for people, whatever it calls itself."""
    start = answer.body[:1000].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    return start.startswith((b"<!doctype html", b"<html", b"<head", b"<body"))


def read_model_names(answer: Answer) -> list[str] | None:
    """Read the list that a server gives at `/models`; None where it is none."""
    content = read_json(answer)
    models = content.get("data") if isinstance(content, dict) else None
    if not answer.is_success or not isinstance(models, list):
        return None
    names = [each.get("id") for each in models if isinstance(each, dict)]
    return [writable(name) for name in names if isinstance(name, str)]


def read_retry_after(headers: httpx2.Headers) -> float | None:
    """Read how many seconds a server wants to be left alone; None where it does not say.

    In `retry-after-ms`, which is the more exact, or in `Retry-After` as seconds or as a date.
    """
    if re.fullmatch(r"\d{1,12}(\.\d+)?", text := headers.get("retry-after-ms", "").strip()):
        return float(text) / 1000
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


def read_json(answer: Answer) -> object:
    """Decode the JSON of an answer, with a byte-order mark or without; None where it is none."""
    content: object = None
    with contextlib.suppress(ValueError, RecursionError):
        content = json.loads(answer.body) if answer.is_whole else None
    return content


# --- parts of a completion


def _is_message(message: object) -> TypeGuard[dict[str, object]]:
    """Say whether this may be what a model said: a number, say, is no text."""
    if not isinstance(message, dict):
        return False
    known = ("content", "reasoning_content", "reasoning", "refusal", "tool_calls")
    content = message.get("content")
    return any(name in message for name in known) and isinstance(content, str | list | None)


def _read_content(content: object) -> tuple[str | None, str | None, str | None]:
    """Return text, reasoning and refusal of a message's content: text, or a list of parts."""
    if not isinstance(content, list):
        return _text(content), None, None
    texts, thoughts, refusals = [], [], []
    for part in content:
        if isinstance(part, str):
            texts.append(part)
        elif isinstance(part, dict):
            kind = part.get("type", "text")
            if kind in ("thinking", "reasoning"):
                thoughts.append(_inner_text(part))
            elif kind == "refusal":
                refusals.append(str(part.get("refusal", "")))
            elif isinstance(part.get("text"), str):
                texts.append(part["text"])
    return _joined(texts), _joined(thoughts), _joined(refusals)


def _inner_text(part: dict[str, object]) -> str:
    """Return the text of a part that a model thought: itself text, or a list of parts."""
    inner = next((part[name] for name in ("thinking", "reasoning", "text") if name in part), "")
    return _read_content(inner)[0] or ""


def _joined(texts: list[str]) -> str | None:
    return writable("".join(texts)) if texts else None


def _text(value: object) -> str | None:
    return writable(value) if isinstance(value, str) else None


def _finish(reason: object, *, is_refused: bool) -> Finish:
    known: Finish = "unknown"
    if isinstance(reason, str):
        known = FINISHES.get(reason.lower(), "unknown")
    return "refusal" if is_refused and known in ("stop", "unknown") else known


def _first_logprobs(logprobs: object) -> tuple[TokenLogprob, ...] | None:
    try:
        first = logprobs["content"][0]  # type: ignore[index]
        listed = [first, *(first.get("top_logprobs") or [])]
        found = {writable(each["token"]): float(each["logprob"]) for each in listed}
    except (KeyError, IndexError, TypeError, ValueError, AttributeError):
        return None
    pairs = [TokenLogprob(token, value) for token, value in found.items() if _is_logprob(value)]
    return tuple(sorted(pairs, key=lambda pair: -pair.logprob)) or None


def _is_logprob(value: float) -> bool:
    return not math.isnan(value) and value < 1e-3  # rounding may leave it just above 0


def _used_tokens(usage: object) -> Tokens | None:
    if not isinstance(usage, dict):
        return None
    n_prompt, n_completion = usage.get("prompt_tokens"), usage.get("completion_tokens")
    if not (_is_count(n_prompt) and _is_count(n_completion)):
        return None
    total = usage.get("total_tokens")
    if _is_count(total):  # some leave reasoning out of the completion, and bill it
        n_completion = max(n_completion, total - n_prompt)
    details = usage.get("completion_tokens_details")
    n_reasoning = details.get("reasoning_tokens") if isinstance(details, dict) else None
    if n_reasoning is None:
        n_reasoning = usage.get("reasoning_tokens")
    return Tokens(n_prompt, n_completion, n_reasoning if _is_count(n_reasoning) else None)


def _is_count(value: object) -> TypeGuard[int]:
    return type(value) is int and 0 <= value < MAX_TOKENS
