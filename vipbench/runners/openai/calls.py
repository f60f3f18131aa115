"""From a request and its images to what an endpoint is asked."""

from collections.abc import Sequence

from vipbench.endpoints.messages import Call, Image, Message, Sampling, assistant, system, user
from vipbench.runfolder.endpoint_use import EndpointFacts
from vipbench.schema import Request

TOP_LOGPROBS = 20
"""The most that OpenAI and vLLM tell; a server that tells fewer says so."""
MAX_SEED = 2**31 - 1
"""Seeds are sent as signed 32-bit integers, which is what all servers take."""


def to_call(request: Request, images: Sequence[Image], facts: EndpointFacts) -> Call:
    """Return the question that a request is: its turns, the images in the first of them, in order.

    Log-probabilities are asked for where letters answer.
    """
    return Call(
        messages=_messages(request, images, facts),
        answer_tokens=request.max_new_tokens,
        sampling=Sampling(
            temperature=request.temperature, top_p=facts.top_p, seed=request.seed % MAX_SEED
        ),
        reasoning_tokens=facts.reasoning_tokens,
        reasoning_effort=facts.reasoning_effort,
        top_logprobs=TOP_LOGPROBS if request.options else None,
    )


def _messages(
    request: Request, images: Sequence[Image], facts: EndpointFacts
) -> tuple[Message, ...]:
    first, *others = request.turns
    parts: tuple[str | Image, ...] = (
        (*images, first) if facts.image_order == "first" else (first, *images)
    )
    return (
        *([system(facts.system)] if facts.system is not None else []),
        user(*parts),
        *(user(text) if number % 2 else assistant(text) for number, text in enumerate(others)),
    )
