"""From what an endpoint said to a response: its state, its reasoning, its probabilities."""

import math
import re
from collections.abc import Sequence
from typing import Any

from vipbench.endpoints.replies import Reply, TokenLogprob
from vipbench.schema import Request, Response

FILTERED = "the server has withheld the answer (finish_reason content_filter)"
REFUSED = "the model has refused without a word"
_THOUGHT = re.compile(r"\s*(?:<think>)?(.*?)</think>\s*", re.DOTALL)
_OPEN_THOUGHT = re.compile(r"\s*<think>(.*)", re.DOTALL)
_SPACES = " \t\n▁Ġ"
"""What may stand before a letter in a token: white space as SentencePiece and GPT-2 write it, too.
"""


def to_response(request: Request, reply: Reply) -> Response:
    """Return the response that a reply is, in exactly one state of docs/run_folder.md."""
    text, thought = (None, None) if reply.text is None else split_thought(reply.text)
    reasoning = reply.reasoning or thought
    # Of a model that thinks, the first token is one of the thought.
    logprobs = None if reasoning else option_logprobs(request.options, reply.first_logprobs)

    def respond(**fields: Any) -> Response:
        used = reply.used
        return Response(
            reasoning=reasoning,
            n_prompt_tokens=used.n_prompt if used else 0,
            n_new_tokens=used.n_completion if used else 0,
            n_reasoning_tokens=(used.n_reasoning or 0) if used else 0,
            **fields,
        )

    if reply.finish == "filter":
        return respond(error=reply.refusal or FILTERED, finish="filter")
    if reply.finish == "refusal":
        if text:
            return respond(text=text, state="refused")
        return respond(error=reply.refusal or REFUSED, state="refused")
    if reply.finish == "length":
        return respond(text=text or "", finish="length", option_logprobs=logprobs)
    if text is None:
        what = "a call of a tool" if reply.finish == "tool" else "no text"
        return respond(error=f"the server has answered with {what}", finish="error")
    return respond(text=text, option_logprobs=logprobs)


def split_thought(text: str) -> tuple[str, str | None]:
    """Split what a model thought, in `<think>` and `</think>`, from its answer behind that.

    Where the chat template has opened the thought, only its end is in the text; where it never
    ends, all of it is thought.
    """
    found = _THOUGHT.match(text)
    if found is not None:
        return text[found.end() :], found[1].strip() or None
    open_thought = _OPEN_THOUGHT.match(text)
    if open_thought is not None:
        return "", open_thought[1].strip() or None
    return text, None


def option_logprobs(
    options: Sequence[str], first: Sequence[TokenLogprob] | None
) -> tuple[float, ...] | None:
    """Return the natural logarithm of each letter's probability as the first token of the answer.

    Tokens that are one letter, with white space before it or without, are added up. None where
    there are no options, or the server does not tell of one of them: it names the likeliest only,
    and that a letter is not among them says no more than that it is less likely.
    """
    if not options or first is None:
        return None
    found: dict[str, list[float]] = {option: [] for option in options}
    for token, value in first:
        letter = token.lstrip(_SPACES)
        if letter in found:
            found[letter].append(value)
    if not all(found.values()):
        return None
    return tuple(_added(found[option]) for option in options)


def _added(logprobs: Sequence[float]) -> float:
    """Return the logarithm of the sum of some probabilities, at most 0."""
    top = max(logprobs)
    if math.isinf(top):
        return top
    return min(top + math.log(sum(math.exp(value - top) for value in logprobs)), 0.0)
