"""Questions to an OpenAI-compatible endpoint: retries with an end, and exact accounts.

Nothing that leaves this module holds the key, even where the server sends it back.
"""

import contextlib
import datetime
import email.utils
import html
import json
import math
import re
import threading
import time
import urllib.parse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import NamedTuple, NoReturn, Self

import httpx2
from pydantic import ConfigDict, Field, SecretStr, field_validator, model_validator
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt

from vipbench.console import QUIET, Console
from vipbench.errors import JudgeError
from vipbench.schema import Record

KEY_VARIABLES = ("VIPBENCH_JUDGE_KEY", "OPENAI_API_KEY")
"""Environment variables that may hold the key; the first that is set and not empty counts."""
LOOPBACK = ("localhost", "127.0.0.1", "::1")
BYTES_PER_TOKEN = 3
"""For estimates. English prose has over four UTF-8 bytes a token, so they are rather too high."""
FRAME_TOKENS = 8
"""Of the chat format around one message, for estimates."""
MAX_BODY = 1 << 20
"""Bytes of a server's answer that are read; a completion of a few tokens has about a thousand."""
MAX_TOKENS = 1_000_000_000
"""A count from which on a server is not believed."""
SHOWN = 200
"""Characters of a server's text that a message shows."""
MASK = "[key]"
_WINDOW = 8
"""So many signs of a key in a row are recognised as a part of it."""


class Endpoint(Record):
    """A model behind an OpenAI-compatible endpoint, and how patiently it is asked."""

    model_config = ConfigDict(hide_input_in_errors=True)

    url: str
    """Where `/chat/completions` is below: see `base_url`."""
    model: str = Field(min_length=1)
    key: SecretStr | None = Field(default=None, exclude=True, repr=False)
    """Sent as `Authorization: Bearer`; None: nothing is sent."""
    max_tokens: int = Field(default=3, ge=1)
    """Of a reply."""
    tries: int = Field(default=6, ge=1)
    """How often a call is made until the server answers it."""
    first_wait: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    """Seconds before the second try, doubled before each further one; half to all of it."""
    max_wait: float = Field(default=60.0, ge=0, allow_inf_nan=False)
    """Longest wait in seconds; a server that asks for a longer one is given up."""
    timeout: float = Field(default=60.0, gt=0, allow_inf_nan=False)
    """Seconds until an answer must be there as a whole."""

    @field_validator("url")
    @classmethod
    def _usable(cls, url: str) -> str:
        return base_url(url)

    @field_validator("key")
    @classmethod
    def _sendable(cls, key: SecretStr | None) -> SecretStr | None:
        if key is not None and not re.fullmatch(r"[\x21-\x7e]+", key.get_secret_value()):
            raise JudgeError(
                "judge key: is empty, or holds white space or a sign that is not ASCII; expected "
                "the key alone"
            )
        return key


class Limits(Record):
    """What may be spent by one command."""

    price: tuple[float, float] | None = None
    """Dollars for a million tokens, of prompts and of replies."""
    budget: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """Dollars."""
    max_calls: int | None = Field(default=None, ge=0)
    """Requests, those that are tried again included."""

    @model_validator(mode="after")
    def _priced(self) -> Self:
        if self.price and not all(0 <= each < math.inf for each in self.price):
            raise JudgeError(f"--judge-price {self.price}: expected two prices from 0")
        if self.budget is not None and self.price is None:
            raise JudgeError(
                "--judge-budget: cannot be kept without prices; give --judge-price IN,OUT too "
                "(dollars for a million tokens)"
            )
        return self

    def cost(self, n_prompt_tokens: int, n_completion_tokens: int) -> float | None:
        """Return dollars, or None where no price is known."""
        if self.price is None:
            return None
        return (n_prompt_tokens * self.price[0] + n_completion_tokens * self.price[1]) / 1e6


@dataclass
class Tally:
    """What was sent, and what it took."""

    n_calls: int = 0
    """Requests that were sent, those without a reply included."""
    n_prompt_tokens: int = 0
    n_completion_tokens: int = 0
    n_estimated: int = 0
    """Calls whose tokens the server did not tell; they are estimated."""


class Reply(NamedTuple):
    """What the model said."""

    text: str
    model: str | None
    """As the server names it."""


class NoReply(Exception):
    """One question stays without a reply; others may get theirs."""


class Stopped(Exception):
    """Somebody else has stopped all questions."""


class _Failed(Exception):
    """One call came to nothing; the same may do the next time."""

    def __init__(self, reason: str, wait: float | None = None) -> None:
        """Keep the reason, and the seconds that the server wants to be left alone."""
        super().__init__(reason)
        self.wait = wait


class _Answer(NamedTuple):
    status: int
    headers: httpx2.Headers
    body: bytes
    whole: bool
    """False: longer than `MAX_BODY`."""


class Meter:
    """Counts calls and tokens, and lets no call through that the limits do not allow.

    A call that is under way holds what it may cost at most by the estimate; what it did cost is
    counted at its end. So a limit is reached exactly, however many calls are under way at once.
    """

    def __init__(self, limits: Limits) -> None:
        """Begin at nothing."""
        self.limits = limits
        self.total = Tally()
        self._held: list[tuple[int, int]] = []
        self._changed = threading.Condition()

    def hold(self, tokens: tuple[int, int]) -> None:
        """Wait until a call fits, or raise JudgeError if it does not fit with none under way."""
        with self._changed:
            while reason := self._refusal(tokens):
                if not self._held:
                    raise JudgeError(reason)
                self._changed.wait()
            self._held.append(tokens)

    def release(self, tokens: tuple[int, int]) -> None:
        """Take back a call that never reached the server."""
        with self._changed:
            self._held.remove(tokens)
            self._changed.notify_all()

    def settle(self, tokens: tuple[int, int], used: tuple[int, int] | None, tally: Tally) -> None:
        """Count a call in the total and in `tally`; `used` None: as estimated."""
        with self._changed:
            self._held.remove(tokens)
            for each in (self.total, tally):
                each.n_calls += 1
                each.n_prompt_tokens += (used or tokens)[0]
                each.n_completion_tokens += (used or tokens)[1]
                each.n_estimated += used is None
            self._changed.notify_all()

    def _refusal(self, tokens: tuple[int, int]) -> str | None:
        limits, total = self.limits, self.total
        if limits.max_calls is not None and total.n_calls + len(self._held) >= limits.max_calls:
            return f"--judge-max-calls {limits.max_calls:,} is reached"
        wanted = [(total.n_prompt_tokens, total.n_completion_tokens), *self._held, tokens]
        cost = limits.cost(*(sum(each) for each in zip(*wanted, strict=True)))
        if limits.budget is not None and cost is not None and cost > limits.budget:
            spent = limits.cost(total.n_prompt_tokens, total.n_completion_tokens)
            return (
                f"--judge-budget {limits.budget:g} is reached: ${spent:.4f} are spent, and the "
                "next call might exceed it"
            )
        return None


class Chat:
    """Asks one endpoint, from several threads at once."""

    def __init__(
        self,
        endpoint: Endpoint,
        meter: Meter,
        *,
        connections: int = 8,
        console: Console = QUIET,
    ) -> None:
        """Prepare; nothing is sent yet. `console` takes what goes wrong, each thing once."""
        self.endpoint = endpoint
        self.meter = meter
        self.stop = threading.Event()
        """Once set, no further call is made."""
        self._console = console
        self._said: set[str] = set()
        self._jitter = Random()
        self._tokens_key = "max_tokens"
        key = endpoint.key.get_secret_value() if endpoint.key else None
        local = httpx2.URL(endpoint.url).host in LOOPBACK
        self._client = httpx2.Client(
            headers={"Authorization": f"Bearer {key}"} if key else {},
            timeout=endpoint.timeout,
            limits=httpx2.Limits(max_connections=connections),
            trust_env=not local,  # a proxy does not know what localhost is here
        )

    def close(self) -> None:
        """Give the connections back."""
        self._client.close()

    def ask(self, text: str, temperature: float, tally: Tally) -> Reply:
        """Send one user message and return the reply; what it takes is added to `tally`.

        Raises:
            NoReply: The server refuses this message, or fails at each try.
            Stopped: `stop` was set meanwhile.
            JudgeError: No message at all will be answered, or a limit is reached.
        """
        retrying = Retrying(
            retry=retry_if_exception_type(_Failed),
            stop=self._is_enough,
            wait=self._wait,
            sleep=self._sleep,
            before_sleep=self._tell,
            reraise=True,
        )
        try:
            return retrying(self._call, text, temperature, tally)
        except _Failed as error:
            tried = retrying.statistics.get("attempt_number", 1)
            raise NoReply(f"{error} ({tried} of {self.endpoint.tries} tries)") from None

    def clean(self, text: str) -> str:
        """Mask the key in a text of the server."""
        return masked(text, self.endpoint.key)

    def _call(self, text: str, temperature: float, tally: Tally) -> Reply:
        if self.stop.is_set():
            raise Stopped
        tokens_key = self._tokens_key
        body = {
            "model": self.endpoint.model,
            "messages": [{"role": "user", "content": text}],
            "temperature": temperature,
            tokens_key: self.endpoint.max_tokens,
        }
        tokens = (estimated_tokens(text), self.endpoint.max_tokens)
        self.meter.hold(tokens)
        if self.stop.is_set():
            self.meter.release(tokens)
            raise Stopped
        try:
            answer = self._post(body)
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout) as error:
            self.meter.release(tokens)
            raise _Failed(f"cannot be reached ({_words(error)})") from None
        except httpx2.RequestError as error:
            # The server may have worked on it, and may charge for it.
            self.meter.settle(tokens, None, tally)
            raise _Failed(f"no answer ({_words(error)})") from None
        except BaseException:
            self.meter.settle(tokens, None, tally)
            raise
        completion = _completion(answer)
        failed = not 200 <= answer.status < 300
        used = (0, 0) if failed else completion.used
        self.meter.settle(tokens, used, tally)
        if answer.status == 400 and self._renames_tokens(answer, tokens_key):
            return self._call(text, temperature, tally)
        if failed:
            self._refuse(answer)
        if completion.text is None:
            said = self._said_by(answer)
            raise _Failed(f"HTTP {answer.status} is no chat completion: {said}")
        model = None if completion.model is None else self.clean(completion.model)[:SHOWN]
        return Reply(completion.text, model)

    def _post(self, body: Mapping[str, object]) -> _Answer:
        """Send, and read to the end; a server that drips is left after twice `timeout` at most."""
        ends = time.monotonic() + self.endpoint.timeout
        url = f"{self.endpoint.url}/chat/completions"
        with self._client.stream("POST", url, json=body) as response:
            parts: list[bytes] = []
            for part in response.iter_bytes():
                parts.append(part)
                if sum(map(len, parts)) > MAX_BODY:
                    return _Answer(response.status_code, response.headers, b"".join(parts), False)
                if time.monotonic() > ends:
                    raise httpx2.ReadTimeout("the answer does not end")
            return _Answer(response.status_code, response.headers, b"".join(parts), True)

    def _renames_tokens(self, answer: _Answer, sent: str) -> bool:
        """Say whether a server wants the newer name of `max_tokens`, which is used from then on."""
        if sent != "max_tokens" or "max_completion_tokens" not in self._said_by(answer):
            return False
        self._tokens_key = "max_completion_tokens"
        return True

    def _refuse(self, answer: _Answer) -> NoReturn:
        """Raise what a status other than 2xx means."""
        status = answer.status
        said = self._said_by(answer)
        reason = f"HTTP {status}: {said}"
        if status == 429 and "insufficient_quota" in answer.body.decode(errors="replace"):
            raise JudgeError(f"judge: {reason}; the account has no credit left")
        if status in (408, 409, 425, 429) or status >= 500:
            raise _Failed(reason, wait=_retry_after(answer.headers))
        if status in (401, 402, 403):
            source = " or ".join(KEY_VARIABLES)
            raise JudgeError(f"judge: {reason}; check the key ({source}, or --judge-key-file)")
        if status in (404, 405, 410) or status < 400:
            raise JudgeError(
                f"judge: {self.endpoint.url}/chat/completions: {reason}; check --judge-url and "
                f"--judge-model {self.endpoint.model}"
            )
        raise NoReply(reason)

    def _said_by(self, answer: _Answer) -> str:
        """Return, in one line and short, what a server says about itself."""
        text = answer.body[: 20 * SHOWN].decode(errors="replace")
        with contextlib.suppress(ValueError, RecursionError):
            content = json.loads(answer.body) if answer.whole else None
            error = content.get("error", content) if isinstance(content, dict) else None
            if isinstance(error, dict):
                error = error.get("message") or error.get("detail")
            text = error if isinstance(error, str) else text
        words = " ".join(self.clean(text[: 20 * SHOWN]).split())
        return words[:SHOWN] or "nothing"

    # --- waiting

    def _is_enough(self, state: RetryCallState) -> bool:
        wanted = _failure(state).wait
        patient = wanted is None or wanted <= self.endpoint.max_wait
        return not patient or stop_after_attempt(self.endpoint.tries)(state)

    def _wait(self, state: RetryCallState) -> float:
        """Return seconds: exponential with jitter, and no less than the server asks for."""
        doubled = self.endpoint.first_wait * 2.0 ** (state.attempt_number - 1)
        full = min(doubled, self.endpoint.max_wait)
        return max(full * self._jitter.uniform(0.5, 1), _failure(state).wait or 0.0)

    def _sleep(self, seconds: float) -> None:
        if self.stop.wait(seconds):
            raise Stopped

    def _tell(self, state: RetryCallState) -> None:
        reason = str(_failure(state))
        kind = reason.partition(":")[0]
        if kind not in self._said:
            self._said.add(kind)
            self._console.say(f"judge: {reason}; asked again in {state.upcoming_sleep:.1f} s")


class _Completion(NamedTuple):
    text: str | None
    """None: not a chat completion."""
    model: str | None
    used: tuple[int, int] | None
    """Tokens of prompt and reply."""


def _completion(answer: _Answer) -> _Completion:
    """Read what a completion holds; an empty text where the model said nothing."""
    try:
        content = json.loads(answer.body) if answer.whole else None
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        return _Completion(None, None, None)
    usage, model = content.get("usage"), content.get("model")
    used = None
    if isinstance(usage, dict):
        counts = [usage.get("prompt_tokens"), usage.get("completion_tokens")]
        known = [count for count in counts if type(count) is int and 0 <= count < MAX_TOKENS]
        used = (known[0], known[1]) if len(known) == len(counts) else None
    try:
        text = content["choices"][0]["message"]["content"]
    except (KeyError, IndexError, TypeError):
        return _Completion(None, None, used)
    text = "" if text is None else text
    return _Completion(
        text if isinstance(text, str) else None, model if isinstance(model, str) else None, used
    )


def base_url(text: str) -> str:
    """Return the address that `/chat/completions` is put after.

    A host alone (`http://localhost:8000`) gets `/v1`; any other path is taken as it is, and a
    trailing `/chat/completions` is left out. JudgeError where it is no such address, or holds a
    password or a query, which would be written down with it.
    """
    try:
        url = httpx2.URL(text.strip())
    except (httpx2.InvalidURL, UnicodeError):
        raise JudgeError("--judge-url: is no address; expected https://HOST/v1") from None
    if url.scheme not in ("http", "https") or not url.host:
        raise JudgeError("--judge-url: is no address; expected https://HOST/v1")
    if url.userinfo or url.query or url.fragment:
        raise JudgeError(
            f"--judge-url: holds more than an address ({url.host}); leave out user, password and "
            f"what follows '?'; a key belongs into {KEY_VARIABLES[0]} or --judge-key-file"
        )
    path = url.path.rstrip("/").removesuffix("/chat/completions") or "/v1"
    return str(url.copy_with(path=path))


def find_key(
    file: Path | None, environment: Mapping[str, str]
) -> tuple[SecretStr | None, str | None]:
    """Return the key and where it comes from: the file, else the environment; both may be None.

    JudgeError where the file cannot be read or holds no key.
    """
    if file is None:
        for name in KEY_VARIABLES:
            if environment.get(name, "").strip():
                return SecretStr(environment[name].strip()), name
        return None, None
    try:
        text = file.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise JudgeError(f"--judge-key-file {file}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise JudgeError(f"--judge-key-file {file}: is no text; expected the key alone") from None
    if not text:
        raise JudgeError(f"--judge-key-file {file}: is empty; expected the key alone")
    return SecretStr(text), str(file)


def estimated_tokens(text: str) -> int:
    """Estimate the tokens of a message."""
    return math.ceil(len(text.encode(errors="replace")) / BYTES_PER_TOKEN) + FRAME_TOKENS


def masked(text: str, key: SecretStr | None) -> str:
    """Put `[key]` in place of a key and of each longer part of it, as JSON, URL or HTML too."""
    secret = key.get_secret_value() if key else ""
    if not secret:
        return text
    for form in (secret, json.dumps(secret)[1:-1], urllib.parse.quote(secret), html.escape(secret)):
        text = text.replace(form, MASK)
    return "".join(_without(text, secret))


def _without(text: str, secret: str) -> Iterator[str]:
    parts = {secret[i : i + _WINDOW] for i in range(len(secret) - _WINDOW + 1)}
    hidden_to = 0
    for i, letter in enumerate(text):
        if text[i : i + _WINDOW] in parts:
            if i >= hidden_to:
                yield MASK
            hidden_to = i + _WINDOW
        if i >= hidden_to:
            yield letter


def _failure(state: RetryCallState) -> _Failed:
    error = state.outcome.exception() if state.outcome else None
    assert isinstance(error, _Failed)
    return error


def _retry_after(headers: httpx2.Headers) -> float | None:
    """Read how many seconds a server wants to be left alone; None where it does not say."""
    text = headers.get("retry-after", "").strip()
    if re.fullmatch(r"\d{1,9}(\.\d+)?", text):
        return float(text)
    try:
        then = email.utils.parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    if then.tzinfo is None:
        then = then.replace(tzinfo=datetime.UTC)
    return max((then - datetime.datetime.now(datetime.UTC)).total_seconds(), 0.0)


def _words(error: httpx2.RequestError) -> str:
    name = type(error).__name__
    said = " ".join(str(error).split())[:SHOWN]
    return f"{name}: {said}" if said else name
