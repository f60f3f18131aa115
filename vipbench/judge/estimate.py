"""What grading will take, told and held against the limits before the first call."""

from collections.abc import Sequence

from vipbench.console import Console
from vipbench.endpoints.meter import BYTES_PER_TOKEN, estimated_tokens
from vipbench.errors import JudgeError
from vipbench.judge.settings import TEMPERATURES, JudgeSettings


def check_estimate(questions: Sequence[str], settings: JudgeSettings, console: Console) -> None:
    """Say what the calls will take, and at most; JudgeError where even the least exceeds a limit.

    The least is one reply to each question, without reasoning. At most, each question is asked
    again as often as it may be, and the judge uses all its room to think.
    """
    limits, n = settings.limits, len(questions)
    text, cost = _least(questions, settings)
    advice = "nothing was asked · raise it, or lower --judge-runs"
    if limits.max_calls is not None and n > limits.max_calls:
        raise JudgeError(f"--judge-max-calls {limits.max_calls:,}: {text} are needed · {advice}")
    if limits.budget is not None and cost is not None and cost > limits.budget:
        raise JudgeError(
            f"--judge-budget {limits.budget:g}: an estimated {text} are needed · {advice}"
        )
    tell_estimate(questions, settings, console)


def tell_estimate(questions: Sequence[str], settings: JudgeSettings, console: Console) -> None:
    """Say what the calls will take, and at most."""
    n_most = len(questions) * len(TEMPERATURES)
    n_prompt = sum(map(estimated_tokens, questions)) * len(TEMPERATURES)
    highest = settings.limits.cost(
        n_prompt, n_most * (settings.max_tokens + settings.reasoning_tokens)
    )
    most = [f"{n_most:,} calls if no reply is a grade and each is asked for again"]
    if settings.reasoning_tokens:
        most.append(f"{settings.reasoning_tokens:,} more tokens in each if the judge thinks")
    if highest is not None:
        most.append(f"${highest:,.2f} in all")
    text, _ = _least(questions, settings)
    console.say(
        f"judge {settings.endpoint.model} at {settings.endpoint.url}: about {text}; at most "
        f"{', '.join(most)}"
    )


def _least(questions: Sequence[str], settings: JudgeSettings) -> tuple[str, float | None]:
    """Return in words, and in dollars, what it takes if each reply is a grade at once."""
    n_prompt = sum(map(estimated_tokens, questions))
    n_reply = len(questions) * settings.max_tokens
    cost = settings.limits.cost(n_prompt, n_reply)
    price = "" if cost is None else f", ${cost:,.2f}"
    text = (
        f"{len(questions):,} calls, {n_prompt:,} prompt tokens (a token for {BYTES_PER_TOKEN} "
        f"bytes) and {n_reply:,} reply tokens{price}"
    )
    return text, cost
