"""The parameters that a server takes, chosen by its answers and never by a model's name.

A server that refuses a request says why, and mostly how it wants it. What it says becomes a
`Dialect`, which is settled before the first sample and is the same for every sample from then on.
"""

import re
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from vipbench.endpoints.messages import Call
from vipbench.schema import Record

OPTIONAL = ("temperature", "top_p", "seed", "top_logprobs", "logprobs", "reasoning_effort")
"""Parameters that are left out where a server refuses them."""
TOKENS_KEYS = ("max_tokens", "max_completion_tokens")
RESERVED = frozenset({"model", "messages", "stream", "n", *TOKENS_KEYS})
"""What an extra body must not replace."""
_REFUSED = re.compile(
    r"unsupported|(?:not|n't)(?: \w+)? (?:support|permit|allow|accept|recogni|available|valid)"
    r"|unknown|unrecogni[sz]ed|unexpected|extra[ _](?:inputs|fields|forbidden)"
    r"|only the default|only supports?|cannot (?:both )?be|incompatible|deprecated"
    r"|invalid|must be (?:1|unset|omitted|none|null)\b|no longer|remove"
)
_NUMBER = r" ?'?(\d[\d,]*)"
_LEAST = re.compile(
    rf"(?:at least|>=|greater than or equal to|minimum (?:value )?(?:of|is|:)){_NUMBER}"
)
_MOST = re.compile(
    r"(?:cannot be greater than(?: max_model_len ?=)?|at most|(?:less|smaller) than or equal to"
    r"|<=|\d > |no more than|max allowed:|(?:cannot|must not) exceed"
    r"|maximum (?:value |allowed )?(?:of|is|:)"
    rf"|range of '?\w+'? (?:is|should be) \[\d+,){_NUMBER}"
)
_CONTEXT = re.compile(rf"(?:max_model_len ?=|maximum context length (?:is|of)){_NUMBER}")
_PROMPT = re.compile(
    rf"(?:prompt contains|messages resulted in|\(){_NUMBER} (?:input tokens|in the messages"
    r"|of text input|tokens from the input messages)"
)


class Dialect(Record):
    """The parameters that a server takes; kept with a run, which resumes with no other."""

    tokens_key: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    """What the limit of an answer is called."""
    omitted: tuple[str, ...] = ()
    """Of `OPTIONAL`, sorted: what the server refuses, so that its own default holds."""
    least_tokens: int = Field(default=1, ge=1)
    """A limit below it is raised to it."""
    most_tokens: int | None = Field(default=None, ge=1)
    """A limit above it is lowered to it, at the cost of the room for reasoning; None: not known."""
    most_logprobs: int | None = Field(default=None, ge=0)
    """Most likeliest tokens that can be asked for; None: not known."""

    def n_tokens(self, call: Call) -> int:
        """Return the limit that is sent for a call."""
        wanted = max(call.n_tokens, self.least_tokens)
        return wanted if self.most_tokens is None else min(wanted, self.most_tokens)

    def describe(self) -> tuple[str, ...]:
        """Say in words what differs from what is usual, one item each; empty: nothing does."""
        said = []
        if self.tokens_key != "max_tokens":
            said.append(f"takes {self.tokens_key} in place of max_tokens")
        if self.omitted:
            said.append(f"refuses {', '.join(self.omitted)}: its own default holds")
        if self.least_tokens > 1:
            said.append(f"wants a limit of at least {self.least_tokens:,} tokens")
        if self.most_tokens is not None:
            said.append(f"takes a limit of at most {self.most_tokens:,} tokens")
        if self.most_logprobs is not None:
            said.append(f"tells at most {self.most_logprobs} log-probabilities")
        return tuple(said)


USUAL = Dialect()
"""What a server is first asked in."""


def request_body(
    call: Call, model: str, dialect: Dialect, extra: Mapping[str, Any]
) -> dict[str, object]:
    """Return the JSON that a call is sent as; `extra` is the user's and replaces what it names."""
    sampling = call.sampling
    logprobs = call.top_logprobs
    if logprobs is not None and dialect.most_logprobs is not None:
        logprobs = min(logprobs, dialect.most_logprobs)
    optional: dict[str, object] = {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "seed": sampling.seed,
        "logprobs": None if logprobs is None else True,
        "top_logprobs": logprobs,
        "reasoning_effort": call.reasoning_effort,
    }
    sent = {
        name: value
        for name, value in optional.items()
        if value is not None and name not in dialect.omitted
    }
    return {
        "model": model,
        "messages": [message.as_json() for message in call.messages],
        **sent,
        dialect.tokens_key: dialect.n_tokens(call),
        **extra,
    }


def adapted(
    dialect: Dialect, body: Mapping[str, object], words: str, own: frozenset[str] = frozenset()
) -> Dialect | None:
    """Return the dialect that a refused request asks for; None where it is about something else.

    Args:
        dialect: that the request was made in.
        body: of the request.
        words: of the server, the name of the parameter included where it gives one.
        own: parameters that the user has set in the extra body, which are not touched.
    """
    words = " ".join(words.replace("`", "'").split()).lower()
    return (
        _other_limit(dialect, body, words)
        or _other_name(dialect, body, words)
        or _fewer(dialect, body, words, own)
    )


def _other_name(dialect: Dialect, body: Mapping[str, object], words: str) -> Dialect | None:
    """Name the limit as the server does."""
    sent = dialect.tokens_key
    (other,) = {"max_tokens", "max_completion_tokens"} - {sent}
    is_named = re.search(rf"\b{sent}\b", words) is not None
    if sent not in body or not (is_named or re.search(rf"\b{other}\b", words)):
        return None
    if re.search(rf"\b{other}\b", words) or _REFUSED.search(words):
        return dialect.model_copy(update={"tokens_key": other})
    return None


def _other_limit(dialect: Dialect, body: Mapping[str, object], words: str) -> Dialect | None:
    """Keep within the numbers of tokens, or of log-probabilities, that the server names."""
    logprobs = body.get("top_logprobs")
    if isinstance(logprobs, int) and "logprobs" in words:
        most = _first(_MOST, words)
        if most is not None and most < logprobs:
            return dialect.model_copy(update={"most_logprobs": most})
    sent = body.get(dialect.tokens_key)
    if not isinstance(sent, int) or ("token" not in words and "max_model_len" not in words):
        return None
    context, prompt = _first(_CONTEXT, words), _first(_PROMPT, words)
    if context is not None:
        # Prompt and answer share a context; where the prompt's part is not told it gets a half.
        most = context // 2 if prompt is None else context - prompt
        return _with_most(dialect, most, sent)
    if (least := _first(_LEAST, words)) is not None and least > sent:
        return dialect.model_copy(update={"least_tokens": least})
    return _with_most(dialect, _first(_MOST, words), sent)


def _with_most(dialect: Dialect, most: int | None, sent: int) -> Dialect | None:
    if most is None or not 1 <= most < sent:
        return None
    return dialect.model_copy(update={"most_tokens": most})


def _fewer(
    dialect: Dialect, body: Mapping[str, object], words: str, own: frozenset[str]
) -> Dialect | None:
    """Leave out the parameter that the server refuses: the one that it names first."""
    places = {
        name: match.start()
        for name in OPTIONAL
        if name in body and name not in own
        if (match := re.search(rf"(?<![\w.]){name}\b", words))
    }
    if not places or not _REFUSED.search(words):
        return None
    refused = {min(places, key=lambda name: places[name])}
    if " both" in words and {"temperature", "top_p"} <= places.keys():
        refused = {"top_p"}  # the temperature says more
    if "logprobs" in refused:
        refused.add("top_logprobs")  # no server takes it alone
    return dialect.model_copy(update={"omitted": tuple(sorted({*dialect.omitted, *refused}))})


def _first(pattern: re.Pattern[str], words: str) -> int | None:
    """Return the number of a pattern's only group, where it first matches."""
    match = pattern.search(words)
    if match is None:
        return None
    return int(match[1].replace(",", ""))
