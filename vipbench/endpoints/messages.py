"""What is asked of a model: messages with texts and images, sampling, and room for the answer."""

import base64
from dataclasses import dataclass, field
from typing import Literal

from vipbench.schema import Record

Role = Literal["system", "developer", "user", "assistant"]
Detail = Literal["auto", "low", "high", "original"]


@dataclass(frozen=True, slots=True)
class Image:
    """An image as it is sent: a file's bytes, never changed here."""

    data: bytes = field(repr=False)
    """PNG, JPEG or what else `mime` says."""
    mime: str = "image/png"
    detail: Detail | None = None
    """How closely a server should look; None: not said. `low` shrinks to 512 pixels at OpenAI's."""
    n_pixels: int | None = None
    """Width times height, for the estimate of its tokens; None: not known."""

    def as_json(self) -> dict[str, object]:
        """Return the part of a message that holds it, as a data URL."""
        text = base64.b64encode(self.data).decode("ascii")
        shown: dict[str, object] = {"url": f"data:{self.mime};base64,{text}"}
        if self.detail is not None:
            shown["detail"] = self.detail
        return {"type": "image_url", "image_url": shown}


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation."""

    role: Role
    parts: tuple[str | Image, ...]
    """Texts and images in the order in which the model reads them."""

    def as_json(self) -> dict[str, object]:
        """Return it as it is sent: a single text as text, anything else as a list of parts."""
        if len(self.parts) == 1 and isinstance(self.parts[0], str):
            return {"role": self.role, "content": self.parts[0]}
        parts = [
            {"type": "text", "text": part} if isinstance(part, str) else part.as_json()
            for part in self.parts
        ]
        return {"role": self.role, "content": parts}

    @property
    def text(self) -> str:
        """All texts, joined."""
        return "".join(part for part in self.parts if isinstance(part, str))

    @property
    def images(self) -> tuple[Image, ...]:
        """All images, in order."""
        return tuple(part for part in self.parts if isinstance(part, Image))


def system(text: str) -> Message:
    """Return a message that tells the model how to answer."""
    return Message("system", (text,))


def user(*parts: str | Image) -> Message:
    """Return a message of the user's."""
    return Message("user", parts)


def assistant(text: str) -> Message:
    """Return an earlier answer of the model's, in a conversation."""
    return Message("assistant", (text,))


class Sampling(Record):
    """How tokens are chosen: sent as it stands, since servers have defaults of their own.

    vLLM takes those of the checkpoint's `generation_config.json`. What a server refuses is left
    out, and its `Dialect` says so.
    """

    FIRST_FIELDS = frozenset({"temperature", "top_p", "seed"})

    temperature: float | None = 0.0
    """None, here and below: not sent."""
    top_p: float | None = 1.0
    seed: int | None = 0


GREEDY = Sampling()
"""The likeliest token, always."""


@dataclass(frozen=True, slots=True)
class Call:
    """One question, and how its answer is decoded."""

    messages: tuple[Message, ...]
    """In order, ending with the user's."""
    answer_tokens: int
    """Most tokens of the answer itself."""
    sampling: Sampling = GREEDY
    reasoning_tokens: int = 0
    """Room for what a model thinks before its answer; sent as a part of one limit for both."""
    reasoning_effort: str | None = None
    """Such as `low`; None: not sent."""
    top_logprobs: int | None = None
    """How many likeliest tokens are wanted in place of the first; None: no log-probabilities."""

    @property
    def n_tokens(self) -> int:
        """The limit that is asked for: answer and reasoning together."""
        return self.answer_tokens + self.reasoning_tokens

    @property
    def images(self) -> tuple[Image, ...]:
        """All images of all messages, in order."""
        return tuple(image for message in self.messages for image in message.images)

    @property
    def text(self) -> str:
        """All texts of all messages, joined."""
        return "".join(message.text for message in self.messages)
