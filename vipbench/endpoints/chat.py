"""Questions to an OpenAI-compatible endpoint: retries with an end, and exact accounts.

Nothing that leaves this module holds the key, even where the server sends it back.
"""

import threading
import time
from collections.abc import Mapping
from random import Random
from typing import NamedTuple, NoReturn

import httpx2
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt

from vipbench.console import QUIET, Console
from vipbench.endpoints.endpoint import Endpoint
from vipbench.endpoints.keys import masked
from vipbench.endpoints.meter import Meter, Tally, Tokens, estimated_tokens
from vipbench.endpoints.replies import (
    MAX_BODY,
    SHOWN,
    Answer,
    Completion,
    read_completion,
    read_message,
    read_retry_after,
)

LOOPBACK = ("localhost", "127.0.0.1", "::1")
TRY_AGAIN = (408, 409, 425, 429)
"""Statuses that may be another one a little later, as 5xx may."""
NO_ACCESS = (401, 402, 403)
"""Statuses that a key is to blame for."""
NOT_THERE = (404, 405, 410)
"""Statuses that the address or the model's name is to blame for, as a redirect is."""


class Call(NamedTuple):
    """One question, and how its reply is decoded."""

    text: str
    """Of the user's message."""
    temperature: float
    max_tokens: int
    """Of the reply."""

    @property
    def estimate(self) -> Tokens:
        """What it takes at most, by an estimate."""
        return Tokens(estimated_tokens(self.text), self.max_tokens)


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

    def ask(self, call: Call, tally: Tally) -> Reply:
        """Send one user message and return the reply; what it takes is added to `tally`.

        Raises:
            NoReply: The server refuses this message, or fails at each try.
            Stopped: `stop` was set meanwhile.
            VipbenchError: No message at all will be answered, or a limit is reached; of the class
                that the endpoint's purpose names.
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
            return retrying(self._try, call, tally)
        except _Failed as error:
            tried = retrying.statistics.get("attempt_number", 1)
            raise NoReply(f"{error} ({tried} of {self.endpoint.tries} tries)") from None

    def clean(self, text: str) -> str:
        """Mask the key in a text of the server."""
        return masked(text, self.endpoint.key)

    def _try(self, call: Call, tally: Tally) -> Reply:
        """Make a call once; _Failed where another try may do better."""
        if self.stop.is_set():
            raise Stopped
        tokens_key = self._tokens_key
        answer, completion = self._send(call, tokens_key, tally)
        if answer.status == 400 and self._renames_tokens(answer, tokens_key):
            return self._try(call, tally)
        if not answer.is_success:
            self._refuse(answer)
        if completion.text is None:
            raise _Failed(f"HTTP {answer.status} is not a chat completion: {self._said_by(answer)}")
        model = None if completion.model is None else self.clean(completion.model)[:SHOWN]
        return Reply(completion.text, model)

    def _send(self, call: Call, tokens_key: str, tally: Tally) -> tuple[Answer, Completion]:
        """Send a call when the limits allow it, and count what it took, whatever comes of it."""
        body = {
            "model": self.endpoint.model,
            "messages": [{"role": "user", "content": call.text}],
            "temperature": call.temperature,
            tokens_key: call.max_tokens,
        }
        estimate = call.estimate
        self.meter.hold(estimate)
        if self.stop.is_set():
            self.meter.release(estimate)
            raise Stopped
        try:
            answer = self._post(body)
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout) as error:
            self.meter.release(estimate)
            raise _Failed(f"cannot be reached ({_described(error)})") from None
        except httpx2.RequestError as error:
            # The server may have worked on it, and may charge for it.
            self.meter.settle(estimate, None, tally)
            raise _Failed(f"no answer ({_described(error)})") from None
        except BaseException:
            self.meter.settle(estimate, None, tally)
            raise
        completion = read_completion(answer)
        used = completion.used if answer.is_success else Tokens(0, 0)
        self.meter.settle(estimate, used, tally)
        return answer, completion

    def _post(self, body: Mapping[str, object]) -> Answer:
        """Send, and read to the end; a server that drips is left after twice `timeout` at most."""
        ends = time.monotonic() + self.endpoint.timeout
        url = f"{self.endpoint.url}/chat/completions"
        with self._client.stream("POST", url, json=body) as response:
            parts: list[bytes] = []
            for part in response.iter_bytes():
                parts.append(part)
                if sum(map(len, parts)) > MAX_BODY:
                    return Answer(response.status_code, response.headers, b"".join(parts), False)
                if time.monotonic() > ends:
                    raise httpx2.ReadTimeout("the answer does not end")
            return Answer(response.status_code, response.headers, b"".join(parts), True)

    def _renames_tokens(self, answer: Answer, sent: str) -> bool:
        """Say whether a server wants the newer name of `max_tokens`, which is used from then on."""
        if sent != "max_tokens" or "max_completion_tokens" not in self._said_by(answer):
            return False
        self._tokens_key = "max_completion_tokens"
        return True

    def _refuse(self, answer: Answer) -> NoReturn:
        """Raise what a status other than 2xx means."""
        purpose, status = self.endpoint.purpose, answer.status
        reason = f"HTTP {status}: {self._said_by(answer)}"
        if status == 429 and "insufficient_quota" in answer.body.decode(errors="replace"):
            raise purpose.error(f"{purpose.name}: {reason}; the account has no credit left")
        if status in TRY_AGAIN or status >= 500:
            raise _Failed(reason, wait=read_retry_after(answer.headers))
        if status in NO_ACCESS:
            source = " or ".join(purpose.key_variables)
            raise purpose.error(
                f"{purpose.name}: {reason} · check the key ({source}, or "
                f"{purpose.option('key-file')})"
            )
        if status in NOT_THERE or status < 400:
            raise purpose.error(
                f"{purpose.name}: {self.endpoint.url}/chat/completions: {reason} · check "
                f"{purpose.option('url')} and {purpose.option('model')} {self.endpoint.model}"
            )
        raise NoReply(reason)

    def _said_by(self, answer: Answer) -> str:
        """Return, in one line and short, what a server says about itself."""
        words = " ".join(self.clean(read_message(answer)).split())
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
            name, pause = self.endpoint.purpose.name, state.upcoming_sleep
            self._console.say(f"{name}: {reason}; asked again in {pause:.1f} s")


def _failure(state: RetryCallState) -> _Failed:
    error = state.outcome.exception() if state.outcome else None
    assert isinstance(error, _Failed)
    return error


def _described(error: httpx2.RequestError) -> str:
    name = type(error).__name__
    said = " ".join(str(error).split())[:SHOWN]
    return f"{name}: {said}" if said else name
