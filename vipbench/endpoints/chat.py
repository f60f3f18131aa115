"""Questions to an OpenAI-compatible endpoint: retries with an end, and exact accounts.

Nothing that leaves this module holds the key, even where the server sends it back.
"""

import threading
import time
import zlib
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from random import Random
from typing import NamedTuple, NoReturn

import httpx2
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt

from vipbench.console import QUIET, Console
from vipbench.endpoints import diagnosis, first_token
from vipbench.endpoints.dialect import USUAL, Dialect, adapted, request_body
from vipbench.endpoints.endpoint import Endpoint
from vipbench.endpoints.failures import NoReply, Stopped, TryFailed
from vipbench.endpoints.gate import Gate
from vipbench.endpoints.keys import masked
from vipbench.endpoints.messages import Call
from vipbench.endpoints.meter import Meter, Tally, Tokens, estimated_call
from vipbench.endpoints.replies import (
    SHOWN,
    Answer,
    Reply,
    describe_body,
    is_filtered,
    read_reply,
    read_retry_after,
    read_status,
    read_used,
)
from vipbench.endpoints.transport import Transport, described
from vipbench.errors import VipbenchError

TRY_AGAIN = (408, 409, 425, 429)
"""Statuses that may be another one a little later, as 5xx may."""
NO_ACCESS = (401, 402, 403)
"""Statuses that a key is to blame for."""
NOT_THERE = (404, 405, 410)
"""Statuses that the address or the model's name is to blame for, as a redirect is."""
PARAMETERS = (400, 422)
"""Statuses that a parameter may be to blame for."""
FILTERS = (400, 403, 422, 451)
"""Statuses with which a server filters one question."""
MOST_CHANGES = 12
"""Of the dialect, before a server is given up: more than there are parameters to leave out."""


class Probe(NamedTuple):
    """What a server takes, and what it said to the calls that this was found out with."""

    dialect: Dialect
    """To be kept with the run, and given to the `Chat` of a run that resumes it."""
    replies: tuple[Reply, ...]
    """One a call: who answered, and whether it thinks or tells log-probabilities."""


class Chat:
    """Asks one endpoint, from several threads at once, each call in the same dialect."""

    def __init__(
        self,
        endpoint: Endpoint,
        meter: Meter,
        *,
        connections: int = 8,
        console: Console = QUIET,
        dialect: Dialect | None = None,
    ) -> None:
        """Prepare; nothing is sent yet.

        Args:
            endpoint: who is asked.
            meter: counts, and lets through what the limits allow.
            connections: calls at once, at most; how many there are follows the server's refusals.
            console: takes what goes wrong, each thing once, and what the server takes.
            dialect: in which a run was begun, which nothing changes; None: it is found out by
                `probe`, or else by the first call, which should then go alone.
        """
        self.endpoint = endpoint
        self.meter = meter
        self.stop = threading.Event()
        """Once set, no further call is made."""
        self.gate = Gate(connections)
        self._console = console
        self._said: set[str] = set()
        self._dialect = dialect or USUAL
        self._is_settled = dialect is not None
        self._is_probing = False
        self._has_answered = False
        self._n_changes = 0
        self._limit_said = ""
        """What the server said of its limit of tokens, with a space before it."""
        self._ends: float | None = None
        self._lock = threading.Lock()
        self._transport = Transport(endpoint, connections)

    @property
    def dialect(self) -> Dialect:
        """The parameters that the server takes, as far as it is known."""
        return self._dialect

    @property
    def is_settled(self) -> bool:
        """Whether the dialect is known, and stays."""
        return self._is_settled

    def close(self) -> None:
        """Give the connections back."""
        self._transport.close()

    def probe(self, calls: Sequence[Call], tally: Tally) -> Probe:
        """Find out what the server takes, before the first sample; say it on the console once.

        Args:
            calls: like those that will be asked: one with the least and one with the most room,
                with images where there will be some. Each costs a call or several.
            tally: takes what they take.

        Raises:
            VipbenchError: Of the endpoint's purpose: nothing can be asked, and why.
            Stopped: `stop` was set meanwhile.
        """
        self._is_probing = not self._is_settled
        try:
            replies = tuple(self.ask(call, tally) for call in calls)
        except NoReply as error:
            raise self._failure(
                f"no answer to a question that tries it out: {error}{self._hint()}"
            ) from None
        finally:
            self._is_probing = False
        self._settle()
        return Probe(self._dialect, replies)

    def ask(self, call: Call, tally: Tally) -> Reply:
        """Ask one question and return the reply; what it takes is added to `tally`.

        A question that the server filters has a reply without a text, whose `finish` says so.

        Raises:
            NoReply: The server refuses this question, or fails at each try.
            Stopped: `stop` was set meanwhile.
            VipbenchError: No question at all will be answered, the server has changed what it
                takes, or a limit is reached; of the class that the endpoint's purpose names.
        """
        retrying = Retrying(
            retry=retry_if_exception_type(TryFailed),
            stop=self._is_enough,
            wait=self._wait,
            sleep=self._sleep,
            before_sleep=self._tell,
            reraise=True,
        )
        try:
            return retrying(self._try, call, tally)
        except TryFailed as error:
            tried = retrying.statistics.get("attempt_number", 1)
            reason = f"{error} ({tried} of {self.endpoint.tries} tries)"
            raise NoReply(reason, is_refused=False) from None

    def counts_images(self, call: Call, reply: Reply, tally: Tally) -> bool | None:
        """Say whether the server counts more tokens for a call than for its texts alone.

        Asks for the texts alone, with the same room. False: the model may have seen no
        image at all, without an error. None: the server does not count. Raises as `ask`.
        """
        messages = tuple(
            replace(message, parts=tuple(part for part in message.parts if isinstance(part, str)))
            for message in call.messages
        )
        used = self.ask(replace(call, messages=messages), tally).used
        if used is None or reply.used is None:
            return None
        return reply.used.n_prompt > used.n_prompt

    def lacks_first_token(self) -> bool | None:
        """Say whether the server leaves out the token that the tokenizer puts before a prompt.

        None: it does not tell, or the user says in the extra body what is added.
        """
        if first_token.OPTION in self.endpoint.extra_body:
            return None
        return first_token.lacks_first_token(self._transport)

    def clean(self, text: str) -> str:
        """Mask the key and secret headers in a text of the server."""
        return masked(text, self.endpoint.secrets)

    # --- one try

    def _try(self, call: Call, tally: Tally) -> Reply:
        """Make a call once, in as many dialects as it takes; TryFailed where a retry may do."""
        while True:
            dialect = self._dialect
            answer = self._send(call, dialect, tally)
            if answer.is_success and (reply := read_reply(answer)) is not None:
                return self._accept(reply)
            answer = answer._replace(status=read_status(answer))
            if answer.status in FILTERS and is_filtered(answer):
                reason = f"HTTP {answer.status}: {self._said_by(answer)}"
                return self._accept(Reply(None, refusal=reason, finish="filter"))
            if answer.status not in PARAMETERS or not self._adapt(call, dialect, answer):
                self._refuse(call, answer)

    def _send(self, call: Call, dialect: Dialect, tally: Tally) -> Answer:
        """Send a call when the limits allow it, and count what it took, whatever comes of it."""
        n_tokens = self._room(call, dialect)
        body = request_body(call, self.endpoint.model, dialect, self.endpoint.extra_body)
        estimate = estimated_call(call, n_tokens)
        with self.gate.passing() as number:
            self.meter.hold(estimate)
            account = partial(self.meter.release, estimate)
            try:
                seconds = self._seconds_left()
                # From here on the server may work on it and charge for it, whatever comes of it.
                account = partial(self.meter.settle, estimate, None, tally)
                answer = self._transport.post(body, seconds)
                used = read_used(answer) if answer.is_success else Tokens(0, 0)
                account = partial(self.meter.settle, estimate, used, tally)
            except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout) as error:
                account = partial(self.meter.release, estimate)
                raise TryFailed(f"cannot be reached ({described(error)})") from None
            except httpx2.RequestError as error:
                raise TryFailed(f"no answer ({described(error)})") from None
            finally:
                account()
            if read_status(answer) == 429:
                self.gate.refused(number)
            elif answer.is_success:
                self.gate.answered()
        return answer

    def _seconds_left(self) -> float:
        """Return how long an answer may take; Stopped or the purpose's error where it may not."""
        if self.stop.is_set():
            raise Stopped
        deadline, now = self.endpoint.deadline, time.monotonic()
        if deadline is None:
            return self.endpoint.timeout
        with self._lock:
            self._ends = self._ends or now + deadline
        if now >= self._ends:
            raise self._is_late()
        return min(self.endpoint.timeout, self._ends - now)

    def _is_late(self) -> VipbenchError:
        return self._failure(
            f"{self.endpoint.purpose.option('deadline')} {self.endpoint.deadline:g}: these seconds "
            "are over · what is answered is kept · the same command asks for the rest"
        )

    def _accept(self, reply: Reply) -> Reply:
        self._has_answered = True
        if not self._is_probing:
            self._settle()
        model, fingerprint = (
            None if text is None else self.clean(text)[:SHOWN]
            for text in (reply.model, reply.fingerprint)
        )
        return reply._replace(model=model, fingerprint=fingerprint)

    # --- the dialect

    def _settle(self) -> None:
        """Keep the dialect from now on, and say once what differs from what is usual."""
        with self._lock:
            is_new, self._is_settled = not self._is_settled, True
        if is_new and (items := self._dialect.describe()):
            self._console.say(f"{self.endpoint.purpose.name}: the server {'; '.join(items)}")

    def _adapt(self, call: Call, dialect: Dialect, answer: Answer) -> bool:
        """Say whether a refused call may be sent again, in another dialect."""
        endpoint = self.endpoint
        body = request_body(call, endpoint.model, dialect, endpoint.extra_body)
        words = self.clean(answer.body[: 40 * SHOWN].decode(errors="replace"))
        changed = adapted(dialect, body, words, frozenset(endpoint.extra_body))
        if changed is None or changed == dialect:
            return False
        with self._lock:
            if self._dialect is not dialect:
                return True  # another thread was faster
            if not self._is_settled:
                self._n_changes += 1
                self._dialect = changed
                if changed.most_tokens != dialect.most_tokens:
                    self._limit_said = f" (HTTP {answer.status}: {self._said_by(answer)})"
                return self._n_changes <= MOST_CHANGES
        if changed.most_tokens != dialect.most_tokens:
            return False  # this question is too long
        before = "; ".join(dialect.describe()) or "takes what is usual"
        raise self._failure(
            f"the server has changed what it takes (HTTP {answer.status}: "
            f"{self._said_by(answer)}), which before was: {before} · answers of two protocols are "
            "not mixed · start the run over, or give the same command once it is as before",
            is_stopped=True,
        )

    def _room(self, call: Call, dialect: Dialect) -> int:
        """Return the limit of a call's answer; the purpose's error where it is too little."""
        n_tokens = dialect.n_tokens(call)
        if n_tokens < call.answer_tokens:
            raise self._failure(
                f"the server takes a limit of at most {n_tokens:,} tokens{self._limit_said} · "
                f"expected {call.answer_tokens:,}, the room for an answer · give the server a "
                "longer context (vLLM: --max-model-len), or leave out the tasks that ask for so "
                "much (max_new_tokens in their files)"
            )
        return n_tokens

    # --- refusals

    def _failure(self, message: str, *, is_stopped: bool = False) -> VipbenchError:
        purpose = self.endpoint.purpose
        return purpose.failure(
            f"{purpose.name}: {message}", has_answered=is_stopped or self._has_answered
        )

    def _refuse(self, call: Call, answer: Answer) -> NoReturn:
        """Raise what an answer means that is no completion."""
        purpose, status = self.endpoint.purpose, answer.status
        said = self._said_by(answer)
        if answer.is_success:
            raise TryFailed(f"HTTP {status} is not a chat completion: {said}")
        reason = f"HTTP {status}: {said}"
        if not self._has_answered:
            self._refuse_images(call, answer)
        if status == 429 and "insufficient_quota" in answer.body.decode(errors="replace"):
            raise self._failure(f"{reason}; the account has no credit left")
        if status in TRY_AGAIN or status >= 500:
            raise TryFailed(reason, wait=read_retry_after(answer.headers))
        if status in NO_ACCESS:
            source = " or ".join(purpose.key_variables)
            sent = "" if self.endpoint.key else " · no key was sent"
            raise self._failure(
                f"{reason} · check the key ({source}, {purpose.option('key-env')} or "
                f"{purpose.option('key-file')}){sent}"
            )
        if status < 400:
            reason += f", redirects to {self.clean(answer.headers.get('location', 'nowhere'))}"
        if status in NOT_THERE or status < 400:
            raise self._failure(
                f"{self.endpoint.address('chat/completions')}: {reason} · check "
                f"{purpose.option('url')} and {purpose.option('model')} {self.endpoint.model}"
                f"{self._hint()}"
            )
        raise NoReply(reason)

    def _refuse_images(self, call: Call, answer: Answer) -> None:
        """Raise where no image, or none of this size or number, will ever be taken."""
        status, said = answer.status, self._said_by(answer)
        words = self.clean(answer.body[: 40 * SHOWN].decode(errors="replace"))
        reason = f"HTTP {status}: {said}"
        if status in TRY_AGAIN:
            return
        if diagnosis.sees_no_image(call, words):
            raise self._failure(
                f"{self.endpoint.model} takes no images ({reason}) · expected a model that sees · "
                f"check {self.endpoint.purpose.option('model')}, and that the server has loaded "
                "what it sees with"
            )
        if diagnosis.refuses_number(call, words):
            raise self._failure(
                f"a question of {len(call.images)} images is refused ({reason}) · raise the "
                "server's limit of images"
            )
        if diagnosis.refuses_size(call, status, words):
            raise self._failure(
                f"an image is over the server's limit ({reason}) · sent were "
                f"{diagnosis.describe_sizes(call)} · make images smaller, or raise the server's "
                "limit"
            )

    def _hint(self) -> str:
        """Say what a server's list of models tells of a wrong name or address; mostly nothing."""
        if self._has_answered:
            return ""
        names = self._transport.list_models()
        if names is not None:
            return self.clean(diagnosis.known_models(self.endpoint, names))
        root = str(httpx2.URL(self.endpoint.url).copy_with(path="/v1", query=None))
        for base in dict.fromkeys((self.endpoint.address("v1"), root)):
            found = base != self.endpoint.url and self._transport.list_models(f"{base}/models")
            if found is not False and found is not None:
                option = self.endpoint.purpose.option("url")
                return f" · it answers elsewhere: give {option} {base}"
        return ""

    def _said_by(self, answer: Answer) -> str:
        """Return, in one line and short, what a server says about itself."""
        words = " ".join(self.clean(describe_body(answer)).split())
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
        text = zlib.crc32(state.args[0].text.encode(errors="replace"))
        jitter = Random(f"{self.endpoint.seed}/{text}/{state.attempt_number}").uniform(0.5, 1)
        return max(full * jitter, _failure(state).wait or 0.0)

    def _sleep(self, seconds: float) -> None:
        if self._ends is not None and time.monotonic() + seconds >= self._ends:
            raise self._is_late()
        if self.stop.wait(seconds):
            raise Stopped

    def _tell(self, state: RetryCallState) -> None:
        reason = str(_failure(state))
        kind = reason.partition(":")[0]
        if kind not in self._said:
            self._said.add(kind)
            name, pause = self.endpoint.purpose.name, state.upcoming_sleep
            self._console.say(f"{name}: {reason}; asked again in {pause:.1f} s")


def _failure(state: RetryCallState) -> TryFailed:
    error = state.outcome.exception() if state.outcome else None
    assert isinstance(error, TryFailed)
    return error
