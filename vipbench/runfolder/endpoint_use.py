"""What a run keeps of the endpoint that answered it: what moves an answer, and what it took."""

from typing import Any, Literal

from pydantic import Field

from vipbench.schema import Record

ImageOrder = Literal["first", "last"]
ImageDetail = Literal["low", "high", "auto"]


class EndpointFacts(Record):
    """What an answer of an endpoint depends on, beside the model's name and the request."""

    host: str
    """Of the base URL, without scheme and port."""
    image_format: str = "png"
    """`png`, or `jpeg:` and the quality, 1-100."""
    image_detail: ImageDetail = "high"
    image_order: ImageOrder = "first"
    """Where the image stands in the first message of the user."""
    max_side: int | None = None
    """Longest side in px of an image as it is sent; None: as large as it is."""
    is_fitted: bool = False
    """Images are fitted, as `fits` say, to a square of `max_side`."""
    system: str | None = None
    """Text of the system's message; None: there is none."""
    top_p: float = 1.0
    """The temperature and the seed are in the request's key."""
    reasoning_tokens: int = 0
    """Room for reasoning, beside the answer's."""
    reasoning_effort: str | None = None
    extra_body: dict[str, Any] = Field(default={})
    """Fields of each request's JSON, as the user gave them."""
    headers: dict[str, str | None] = Field(default={})
    """Name of a header of the user's -> digest of its value; None where it looks secret."""


class Usage(Record):
    """What the calls of a run have taken, over all starts that were not killed."""

    n_calls: int = 0
    """Requests that were sent, those without a reply and those that tried the server included."""
    n_prompt_tokens: int = 0
    n_completion_tokens: int = 0
    """Those of the reasoning included."""
    n_reasoning_tokens: int = 0
    n_estimated: int = 0
    """Calls whose tokens the server did not tell."""
    dollars: float | None = None
    """At the prices that were given; None: none were, in one of the starts."""

    def plus(self, other: "Usage") -> "Usage":
        """Add what another start, or shard, has taken."""
        if not other.n_calls:
            return self
        if not self.n_calls:
            return other
        known = None not in (self.dollars, other.dollars)
        dollars = (self.dollars or 0.0) + (other.dollars or 0.0) if known else None
        names = Usage.model_fields.keys() - {"dollars"}
        counts = {name: getattr(self, name) + getattr(other, name) for name in names}
        return Usage(**counts, dollars=dollars)
