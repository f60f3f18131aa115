"""What many questions will take, told and held against the limits before the first call."""

from collections.abc import Sequence
from typing import NamedTuple

from vipbench.console import Console
from vipbench.endpoints.endpoint import Endpoint
from vipbench.endpoints.meter import BYTES_PER_TOKEN, Limits, estimated_tokens


class Plan(NamedTuple):
    """Questions that are to be asked, each once if its reply is one at once."""

    questions: Sequence[str]
    """Their messages."""
    endpoint: Endpoint
    limits: Limits
    answer_tokens: int
    """Most tokens of a reply."""
    reasoning_tokens: int
    """Room to think, beside these."""
    most_tries: int = 1
    """How often a question is asked at most, whatever is replied."""
    again: str = ""
    """When it is asked so often, such as `if no reply is a grade and each is asked for again`."""


class Needs(NamedTuple):
    """What the calls take, by an estimate."""

    n_calls: int
    n_prompt_tokens: int
    n_reply_tokens: int
    dollars: float | None
    """None: no price is known."""


def least(plan: Plan) -> Needs:
    """Estimate what it takes if each reply is one at once, without reasoning."""
    return _needs(plan, 1, plan.answer_tokens)


def most(plan: Plan) -> Needs:
    """Estimate what it takes if each question is asked as often as it may be, and all room used."""
    return _needs(plan, plan.most_tries, plan.answer_tokens + plan.reasoning_tokens)


def _needs(plan: Plan, n_tries: int, n_reply: int) -> Needs:
    n_calls = len(plan.questions) * n_tries
    n_prompt = sum(map(estimated_tokens, plan.questions)) * n_tries
    dollars = plan.limits.cost(n_prompt, n_calls * n_reply)
    return Needs(n_calls, n_prompt, n_calls * n_reply, dollars)


def check_estimate(plan: Plan, console: Console, *, advice: str) -> None:
    """Say what the calls will take, and at most.

    The least is one reply to each question, without reasoning. At most, each question is asked
    again as often as it may be, and the model uses all its room to think. Raises the purpose's
    error where even the least exceeds a limit; `advice` says what to do then.
    """
    limits, n, purpose = plan.limits, len(plan.questions), plan.endpoint.purpose
    text, cost = _least(plan)
    end = f"are needed · nothing was asked · {advice}"
    if limits.max_calls is not None and n > limits.max_calls:
        raise purpose.error(f"{purpose.option('max-calls')} {limits.max_calls:,}: {text} {end}")
    if limits.budget is not None and cost is not None and cost > limits.budget:
        raise purpose.error(
            f"{purpose.option('budget')} {limits.budget:g}: an estimated {text} {end}"
        )
    tell_estimate(plan, console)


def tell_estimate(plan: Plan, console: Console) -> None:
    """Say what the calls will take, and at most."""
    highest = most(plan)
    name = plan.endpoint.purpose.name
    parts = [f"{highest.n_calls:,} calls {plan.again}"] if plan.again else []
    if plan.reasoning_tokens:
        parts.append(f"{plan.reasoning_tokens:,} more tokens in each if the {name} thinks")
    if highest.dollars is not None:
        parts.append(f"${highest.dollars:,.2f} in all")
    text, _ = _least(plan)
    at_most = f"; at most {', '.join(parts)}" if parts else ""
    console.say(f"{name} {plan.endpoint.model} at {plan.endpoint.url}: about {text}{at_most}")


def _least(plan: Plan) -> tuple[str, float | None]:
    """Return in words, and in dollars, what it takes if each reply is one at once."""
    n_calls, n_prompt, n_reply, cost = least(plan)
    price = "" if cost is None else f", ${cost:,.2f}"
    text = (
        f"{n_calls:,} calls, {n_prompt:,} prompt tokens (a token for {BYTES_PER_TOKEN} "
        f"bytes) and {n_reply:,} reply tokens{price}"
    )
    return text, cost
