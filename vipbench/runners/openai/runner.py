"""A runner that asks an OpenAI-compatible endpoint, several requests at once, each by itself."""

import contextlib
from collections import Counter
from collections.abc import Iterator, Sequence

from vipbench.console import QUIET, Console
from vipbench.endpoints import first_token
from vipbench.endpoints.chat import Chat
from vipbench.endpoints.dialect import Dialect
from vipbench.endpoints.endpoint import Endpoint
from vipbench.endpoints.failures import NoReply, Stopped
from vipbench.endpoints.messages import Call
from vipbench.endpoints.meter import Limits, Meter, Tally
from vipbench.endpoints.pool import Outcome, ask_all
from vipbench.endpoints.replies import Reply
from vipbench.errors import DataError, RunnerError
from vipbench.images.load import Pixels, digest_shown
from vipbench.runfolder.endpoint_use import EndpointFacts, Usage
from vipbench.runners.contract import Answered, LoadPixels, RunnerSettings
from vipbench.runners.openai.answers import to_response
from vipbench.runners.openai.calls import to_call
from vipbench.runners.openai.pictures import encode, shrink
from vipbench.schema import Request, Response

GIVE_UP_AFTER = 5
"""Questions in a row that the server did not answer, at any try, after which it is taken for gone:
they are asked again by the next command."""


class OpenAiRunner:
    """Asks one endpoint; an answer depends on nothing but its request."""

    several_images = True

    def __init__(
        self,
        endpoint: Endpoint,
        facts: EndpointFacts,
        limits: Limits,
        *,
        connections: int,
        decoding: str = "greedy",
    ) -> None:
        """Prepare; nothing is sent.

        Args:
            endpoint: who is asked.
            facts: how.
            limits: what may be spent.
            connections: requests under way, at most.
            decoding: as the run's settings say.
        """
        self.image_size = facts.max_side if facts.is_fitted else None
        self.settings = RunnerSettings(model=endpoint.model, decoding=decoding, device="")
        self.max_side = None if facts.is_fitted else facts.max_side
        """Longest side in px of an image as it is sent; None: as large as it comes."""
        self.answered_by: Counter[str] = Counter()
        """Name that the server gives the model -> answers of this process."""
        self._endpoint, self._facts, self._connections = endpoint, facts, connections
        self._meter = Meter(limits, endpoint.purpose)
        self._chat: Chat | None = None
        self._console = QUIET
        self._names: set[str] = set()
        self._has_said_cut = False
        self._n_replies = 0

    def open(
        self, console: Console, dialect: Dialect | None = None, names: Sequence[str] = ()
    ) -> None:
        """Begin to ask; `close` ends it.

        Args:
            console: takes what goes wrong, and what the server takes.
            dialect: that the run was begun in; None: `probe` finds it.
            names: that the server has given the model before, in this run.
        """
        self._console, self._names = console, set(names)
        self._chat = Chat(
            self._endpoint,
            self._meter,
            connections=self._connections,
            console=console,
            dialect=dialect,
        )

    def close(self) -> None:
        """Give the connections back."""
        if self._chat is not None:
            self._chat.close()

    @property
    def dialect(self) -> Dialect | None:
        """The parameters that the server takes; None: not known yet."""
        return self._chat.dialect if self._chat is not None and self._chat.is_settled else None

    @property
    def usage(self) -> Usage:
        """What the calls of this process have taken."""
        total = self._meter.total
        return Usage(
            n_calls=total.n_calls,
            n_prompt_tokens=total.n_prompt_tokens,
            n_completion_tokens=total.n_completion_tokens,
            n_reasoning_tokens=total.n_reasoning_tokens,
            n_estimated=total.n_estimated,
            dollars=self._meter.cost,
        )

    def probe(self, requests: Sequence[Request], load: LoadPixels) -> list[Answered]:
        """Find out with some requests what the server takes; return those answers that hold.

        An answer holds if it was made in the dialect that was settled in the end: that of the last
        request always does. Where the server does not count an image, that is said.

        Raises:
            VipbenchError: Nothing can be asked.
        """
        chat = self._opened()
        if chat.is_settled or not requests:
            return []
        before, questions = (
            chat.dialect,
            [_Question(each, load, self._facts, self.max_side) for each in requests],
        )
        try:
            calls = [question() for question in questions]
        except NoReply as error:
            raise RunnerError(f"{requests[0].task} {requests[0].id}: {error}") from None
        probe = chat.probe(calls, Tally())
        self._look_for_images(chat, calls[-1], probe.replies[-1])
        self._look_for_first_token(chat)
        first = 0 if probe.dialect == before else len(calls) - 1
        return [
            Answered(number, self._response(questions[number], probe.replies[number]))
            for number in range(first, len(calls))
        ]

    def answer_each(self, requests: Iterator[Request], load: LoadPixels) -> Iterator[Answered]:
        """Answer each request, and yield its number and response as soon as that is there.

        Requests are taken as the server has room for them. Those that it did not answer at any try
        are yielded as failed once it has answered one that was taken up after them; where it
        answers none of `GIVE_UP_AFTER` in a row, they are left out and the run stops.

        Raises:
            VipbenchError: The endpoint answers no more, or a limit is reached; what was under way
                is yielded before.
            KeyboardInterrupt: Likewise.
        """
        chat = self._opened()
        under_way: dict[int, _Question] = {}

        def calls() -> Iterator[_Question]:
            for number, request in enumerate(requests):
                under_way[number] = _Question(request, load, self._facts, self.max_side)
                yield under_way[number]

        lost: list[Outcome] = []
        in_a_row = 0
        with contextlib.suppress(Stopped):  # which is only where it is given up below
            for outcome in ask_all(chat, calls()):
                if outcome.reply is None and not outcome.is_refused:
                    lost.append(outcome)
                    in_a_row += 1
                    if in_a_row >= GIVE_UP_AFTER:
                        chat.stop.set()
                    continue
                if in_a_row < GIVE_UP_AFTER:
                    in_a_row = 0
                    # The server was there after these, so it is they that it does not answer. Of
                    # one that was under way with them, nobody knows which the server took first.
                    for each in [each for each in lost if each.ended < outcome.began]:
                        yield self._answered(under_way.pop(each.number), each)
                        lost.remove(each)
                yield self._answered(under_way.pop(outcome.number), outcome)
        if in_a_row >= GIVE_UP_AFTER:
            raise self._endpoint.purpose.failure(
                f"endpoint: {in_a_row} questions in a row got no answer, the last: "
                f"{lost[-1].error} · what is answered is kept · the same command asks for the rest",
                has_answered=self._n_replies > 0,
            )
        for each in lost:
            yield self._answered(under_way.pop(each.number), each)

    def generate(self, requests: Sequence[Request], images: Sequence[Pixels]) -> list[Response]:
        """Answer requests; one response each, in order."""
        if self._chat is None:
            self.open(QUIET)
        pixels = {id(request): image for request, image in zip(requests, images, strict=True)}
        found = dict(self.answer_each(iter(requests), lambda request: pixels[id(request)]))
        return [found[number] for number in range(len(requests))]

    def _opened(self) -> Chat:
        if self._chat is None:
            raise RunnerError("runner openai: is not open")
        return self._chat

    def _answered(self, question: "_Question", outcome: Outcome) -> Answered:
        if outcome.reply is None:
            return Answered(outcome.number, Response(error=outcome.error, finish="error"))
        return Answered(outcome.number, self._response(question, outcome.reply))

    def _response(self, question: "_Question", reply: Reply) -> Response:
        """Make the response, and take note of who has answered, and how."""
        self._n_replies += 1
        if reply.model is not None:
            if self._names and reply.model not in self._names:
                self._console.say(
                    f"endpoint: the model is now called {reply.model!r} by the server, and was "
                    f"{', '.join(map(repr, sorted(self._names)))} before: the answers of this run "
                    "may be those of several models"
                )
            self._names.add(reply.model)
            self.answered_by[reply.model] += 1
        response = to_response(question.request, reply)
        if response.state == "cut_off" and not response.text and not self._has_said_cut:
            self._has_said_cut = True
            self._console.say(
                f"endpoint: {question.request.task} {question.request.id}: was cut off before its "
                "first word, so the model thinks first · give --reasoning-tokens N, the room for "
                "that"
            )
        return response.model_copy(update={"pixels": question.digest})

    def _look_for_images(self, chat: Chat, call: Call, reply: Reply) -> None:
        """Say it where the server counts no token for an image."""
        try:
            is_counted = chat.counts_images(call, reply, Tally())
        except NoReply:
            return
        if is_counted is False:
            self._console.say(
                f"endpoint: {self._endpoint.model}: the server counts as many tokens with an image "
                "as without: the model may see none · check that it is one that sees"
            )

    def _look_for_first_token(self, chat: Chat) -> None:
        """Say it where the prompts lack the token that the checkpoint was trained with."""
        if chat.lacks_first_token():
            self._console.say(
                "endpoint: the server leaves out the token that the model's tokenizer puts before "
                "each prompt (BOS), which its chat template does not write: answers are not those "
                "of transformers · give --extra-body "
                f"'{{\"{first_token.OPTION}\": true}}'"
            )


class _Question:
    """A request on its way to becoming a call, which it does in the thread that asks it."""

    def __init__(
        self, request: Request, load: LoadPixels, facts: EndpointFacts, max_side: int | None
    ) -> None:
        self.request = request
        self.digest: str | None = None
        """Of the pixels that are sent, where they were shrunk."""
        self._load, self._facts, self._max_side = load, facts, max_side

    def __call__(self) -> Call:
        """Draw, shrink and encode the images; NoReply where one is broken."""
        try:
            drawn = self._load(self.request)
        except DataError as error:
            raise NoReply(f"image: {error}") from None
        whole = drawn if isinstance(drawn, tuple) else (drawn,)
        sent = tuple(shrink(pixels, self._max_side) for pixels in whole)
        if any(pixels is not before for pixels, before in zip(sent, whole, strict=True)):
            self.digest = digest_shown(sent if isinstance(drawn, tuple) else sent[0])
        how = self._facts.image_format, self._facts.image_detail
        images = [encode(pixels, *how) for pixels in sent]
        return to_call(self.request, images, self._facts)
