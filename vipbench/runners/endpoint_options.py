"""What the user may say of an endpoint that answers, as the options of a command."""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, field_validator

from vipbench.errors import RunnerError
from vipbench.option import Option
from vipbench.runfolder.endpoint_use import ImageDetail, ImageOrder
from vipbench.schema import Record

GROUP = "Endpoint (--runner openai)"
"""Heading of these options in the help of a command."""
JPEG_QUALITY = 90
CONCURRENCY = 32
TRIES = 6
TIMEOUT = 600.0
"""s; a model that thinks first may take minutes."""


def parse_format(text: str) -> str:
    """Read `png`, `jpeg` or `jpeg:QUALITY`; RunnerError for anything else."""
    found = re.fullmatch(r"(?i)(png)|jpe?g(?::([1-9]\d?|100))?", text.strip())
    if found is None:
        raise RunnerError(
            f"--image-format {text!r}: expected png, jpeg or jpeg:QUALITY, the quality from 1 to "
            "100, such as jpeg:90"
        )
    return "png" if found[1] else f"jpeg:{found[2] or JPEG_QUALITY}"


def parse_body(text: str) -> dict[str, Any]:
    """Read a JSON object; RunnerError where it is none. What it may hold is checked later."""
    try:
        body = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RunnerError(
            f"--extra-body: is not JSON ({error}) · expected such as "
            '{"chat_template_kwargs": {"enable_thinking": false}}'
        ) from None
    if not isinstance(body, dict):
        raise RunnerError("--extra-body: is not a JSON object · expected {…}")
    return body


def parse_headers(texts: Iterable[str] | None) -> tuple[str, ...]:
    """Keep headers as they were typed, commas included."""
    return tuple(texts or ())


def _option(flag: str, words: str, **more: Any) -> Option:
    return Option(words, flags=(f"--{flag}",), group=GROUP, **more)


class EndpointOptions(Record):
    """Which endpoint answers, what it is sent, and what it may cost; None: not said."""

    base_url: Annotated[
        str | None,
        _option("base-url", "Where /chat/completions is below.", metavar="URL"),
    ] = None
    api_key_env: Annotated[
        str | None,
        _option(
            "api-key-env",
            "Environment variable that holds the key, for whatever address.",
            metavar="NAME",
            unset="VIPBENCH_MODEL_KEY, or OPENAI_API_KEY at api.openai.com",
        ),
    ] = None
    api_key_file: Annotated[
        Path | None,
        _option("api-key-file", "File that holds the key and nothing else.", metavar="PATH"),
    ] = None
    headers: Annotated[
        tuple[str, ...],
        _option(
            "header",
            "Header of each request; env:VARIABLE for its value keeps it out of ps; repeatable.",
            metavar="NAME=VALUE",
            parse=parse_headers,
        ),
    ] = Field(default=(), repr=False)
    extra_body: Annotated[
        dict[str, Any] | None,
        _option(
            "extra-body", "Further fields of each request's JSON.", metavar="JSON", parse=parse_body
        ),
    ] = None
    system: Annotated[
        str | None, _option("system", "Text of a system message.", metavar="TEXT", unset="none")
    ] = None
    image_format: Annotated[
        str,
        _option(
            "image-format",
            "png, or jpeg:QUALITY, which moves scores.",
            metavar="png|jpeg:Q",
            parse=parse_format,
        ),
    ] = "png"
    image_detail: Annotated[
        ImageDetail, _option("image-detail", "How closely the server is to look.")
    ] = "high"
    image_order: Annotated[
        ImageOrder, _option("image-order", "Whether the image stands before or behind the text.")
    ] = "first"
    max_side: Annotated[
        int | None,
        Field(ge=16, le=16384),
        _option(
            "max-side",
            "Longest side in px of an image as it is sent; with --fit, that of the square.",
            metavar="PX",
            unset="as drawn",
        ),
    ] = None
    reasoning_tokens: Annotated[
        int,
        Field(ge=0),
        _option("reasoning-tokens", "Room for reasoning, beside the answer's.", metavar="N"),
    ] = 0
    reasoning_effort: Annotated[
        str | None,
        _option(
            "reasoning-effort", "Sent as it is: low, medium, high …", metavar="TEXT", unset="none"
        ),
    ] = None
    concurrency: Annotated[
        int,
        Field(ge=1, le=1024),
        _option(
            "concurrency", "Most requests under way; fewer where the server refuses.", metavar="N"
        ),
    ] = CONCURRENCY
    tries: Annotated[
        int,
        Field(ge=1, le=100),
        _option("tries", "How often a request is sent until it is answered.", metavar="N"),
    ] = TRIES
    timeout: Annotated[
        float,
        Field(gt=0, allow_inf_nan=False),
        _option("timeout", "Until an answer must be there.", metavar="SECONDS"),
    ] = TIMEOUT
    deadline: Annotated[
        float | None,
        Field(gt=0, allow_inf_nan=False),
        _option("deadline", "Until this command stops asking.", metavar="SECONDS", unset="none"),
    ] = None
    price_in: Annotated[
        float | None,
        Field(ge=0, allow_inf_nan=False),
        _option("price-in", "Dollars for a million tokens of prompts.", metavar="USD"),
    ] = None
    price_out: Annotated[
        float | None,
        Field(ge=0, allow_inf_nan=False),
        _option("price-out", "Dollars for a million tokens of answers.", metavar="USD"),
    ] = None
    budget: Annotated[
        float | None,
        Field(ge=0, allow_inf_nan=False),
        _option("budget", "Most dollars that this command may spend.", metavar="USD"),
    ] = None
    max_calls: Annotated[
        int | None,
        Field(ge=0),
        _option("max-calls", "Most requests that this command may send.", metavar="N"),
    ] = None

    @field_validator("image_format")
    @classmethod
    def _known_format(cls, text: str) -> str:
        return parse_format(text)

    def given(self) -> list[str]:
        """Return the options that are not at their defaults, as the user writes them."""
        return [
            option.flags[0]
            for name, field in type(self).model_fields.items()
            for option in field.metadata
            if isinstance(option, Option)
            and getattr(self, name) != field.get_default(call_default_factory=True)
        ]
