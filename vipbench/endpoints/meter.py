"""What calls to endpoints took, and what they may take: tokens, dollars, limits."""

import math
import threading
from dataclasses import dataclass
from typing import NamedTuple

from pydantic import Field

from vipbench.endpoints.endpoint import Purpose
from vipbench.endpoints.messages import Call
from vipbench.schema import Record

BYTES_PER_TOKEN = 3
"""For estimates. English prose has over four UTF-8 bytes a token, so they are rather too high."""
FRAME_TOKENS = 8
"""Of the chat format around one message, for estimates."""
IMAGE_TOKENS = 1_600
"""Of an image, for estimates: Claude's most, and over the 1,445 of GPT-4o's most tiles."""
PIXELS_PER_TOKEN = 750
"""Of a larger image, for estimates: Claude's rule, and below the 28 x 28 of Qwen2.5-VL."""


class Tokens(NamedTuple):
    """Tokens of one call."""

    n_prompt: int
    n_completion: int
    """Reasoning included."""
    n_reasoning: int | None = None
    """Of the completion; None: not told."""


class Limits(Record):
    """What may be spent by one command."""

    price: tuple[float, float] | None = None
    """Dollars for a million tokens, of prompts and of replies."""
    budget: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """Dollars."""
    max_calls: int | None = Field(default=None, ge=0)
    """Requests, those that are tried again included."""

    def check(self, purpose: Purpose) -> None:
        """Raise the purpose's error where a price is not one, or a budget has no price."""
        if self.price and not all(0 <= dollars < math.inf for dollars in self.price):
            raise purpose.error(
                f"{purpose.option('price')} {self.price}: expected two prices from 0"
            )
        if self.budget is not None and self.price is None:
            raise purpose.error(
                f"{purpose.option('budget')}: cannot be kept without prices · give "
                f"{purpose.options.get('price') or purpose.option('price') + ' IN,OUT'} too "
                "(dollars for a million tokens)"
            )

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
    n_reasoning_tokens: int = 0
    """Of the completion tokens, as far as the server tells."""

    def add(self, tokens: Tokens, *, is_estimated: bool) -> None:
        """Count one call."""
        self.n_calls += 1
        self.n_prompt_tokens += tokens.n_prompt
        self.n_completion_tokens += tokens.n_completion
        self.n_reasoning_tokens += tokens.n_reasoning or 0
        self.n_estimated += is_estimated


class Meter:
    """Counts calls and tokens, and lets no call through that the limits do not allow.

    A call that is under way holds what it may cost at most; what it did cost is counted at its end.
    At most is the estimate, raised by the largest factor by which a server's count has exceeded an
    estimate so far. So a limit is kept, however many calls are under way at once, unless a server
    counts more for a call than it ever has.
    """

    def __init__(self, limits: Limits, purpose: Purpose) -> None:
        """Count from zero; raises as `Limits.check`."""
        limits.check(purpose)
        self.limits = limits
        self.total = Tally()
        self._purpose = purpose
        self._held: list[Tokens] = []
        self._factors = (1.0, 1.0)
        self._changed = threading.Condition()

    @property
    def cost(self) -> float | None:
        """Dollars that were spent; None where no price is known."""
        return self.limits.cost(self.total.n_prompt_tokens, self.total.n_completion_tokens)

    def hold(self, estimate: Tokens) -> None:
        """Wait until a call fits; the purpose's error where it does not, with none under way."""
        with self._changed:
            while reason := self._refusal(estimate):
                if not self._held:
                    raise self._purpose.failure(reason, has_answered=self.total.n_calls > 0)
                self._changed.wait()
            self._held.append(estimate)

    def release(self, estimate: Tokens) -> None:
        """Take back a call that never reached the server."""
        with self._changed:
            self._held.remove(estimate)
            self._changed.notify_all()

    def settle(self, estimate: Tokens, used: Tokens | None, tally: Tally) -> None:
        """Count a call in the total and in `tally`; `used` None: as estimated."""
        with self._changed:
            self._held.remove(estimate)
            for counted in (self.total, tally):
                counted.add(used or estimate, is_estimated=used is None)
            if used is not None:
                self._factors = (
                    max(self._factors[0], used.n_prompt / max(estimate.n_prompt, 1)),
                    max(self._factors[1], used.n_completion / max(estimate.n_completion, 1)),
                )
            self._changed.notify_all()

    def _refusal(self, estimate: Tokens) -> str | None:
        limits, total, option = self.limits, self.total, self._purpose.option
        if limits.max_calls is not None and total.n_calls + len(self._held) >= limits.max_calls:
            return f"{option('max-calls')} {limits.max_calls:,} is reached"
        spent = Tokens(total.n_prompt_tokens, total.n_completion_tokens)
        wanted = [*self._held, estimate]
        cost = limits.cost(
            spent.n_prompt + math.ceil(self._factors[0] * sum(each.n_prompt for each in wanted)),
            spent.n_completion
            + math.ceil(self._factors[1] * sum(each.n_completion for each in wanted)),
        )
        if limits.budget is not None and cost is not None and cost > limits.budget:
            return (
                f"{option('budget')} {limits.budget:g} is reached: ${self.cost:.4f} are "
                "spent, and the next call might exceed it"
            )
        return None


def estimated_tokens(text: str) -> int:
    """Estimate the tokens of a message."""
    return math.ceil(len(text.encode(errors="replace")) / BYTES_PER_TOKEN) + FRAME_TOKENS


def estimated_call(call: Call, n_tokens: int) -> Tokens:
    """Estimate what a call takes at most, of which `n_tokens` are the limit of its answer."""
    frames = FRAME_TOKENS * (len(call.messages) - 1)
    images = sum(
        max(IMAGE_TOKENS, math.ceil((image.n_pixels or 0) / PIXELS_PER_TOKEN))
        for image in call.images
    )
    return Tokens(estimated_tokens(call.text) + frames + images, n_tokens)
