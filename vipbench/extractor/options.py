"""What the user may say of an extractor, as the options of a command."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from vipbench.endpoints.extras import parse_extra_body, parse_price
from vipbench.extractor.settings import (
    EXTRACTOR,
    MAX_TOKENS,
    REASONING_TOKENS,
    TIMEOUT,
    TIMEOUT_THINKING,
    WORKERS,
)
from vipbench.option import Option
from vipbench.schema import Record

_KEYS = " or ".join(EXTRACTOR.key_variables)


def _price(text: str) -> tuple[float, float]:
    return parse_price(text, EXTRACTOR)


def _body(text: str) -> dict[str, Any]:
    return parse_extra_body(text, EXTRACTOR)


class ExtractorOptions(Record):
    """Who reads what the rule leaves unread, and what it may cost; None: not said."""

    url: Annotated[
        str | None,
        Option(
            "OpenAI-compatible endpoint that reads answers which the rule leaves unread.",
            metavar="URL",
            unset="nobody is asked",
        ),
    ] = None
    model: Annotated[
        str | None,
        Option("Who reads, as the server calls it; there is no default.", metavar="NAME"),
    ] = None
    key_file: Annotated[
        Path | None,
        Option("File that holds the key and nothing else.", metavar="PATH", unset=_KEYS),
    ] = None
    key_env: Annotated[
        str | None,
        Option(
            "Environment variable that holds the key, for whatever address.",
            metavar="NAME",
            unset=_KEYS,
        ),
    ] = None
    max_tokens: Annotated[
        int | None,
        Field(ge=1),
        Option("Most tokens of a reply.", metavar="N", unset=f"{MAX_TOKENS}"),
    ] = None
    reasoning_tokens: Annotated[
        int | None,
        Field(ge=0),
        Option("Room for what the model thinks before.", metavar="N", unset=f"{REASONING_TOKENS}"),
    ] = None
    extra_body: Annotated[
        dict[str, Any] | None,
        Option(
            "Further fields of each request, such as "
            '{"chat_template_kwargs": {"enable_thinking": false}}.',
            metavar="JSON",
            parse=_body,
        ),
    ] = None
    timeout: Annotated[
        float | None,
        Field(gt=0),
        Option(
            "Seconds until a reply must be there.",
            metavar="S",
            unset=f"{TIMEOUT_THINKING:g}, {TIMEOUT:g} without room to think",
        ),
    ] = None
    workers: Annotated[
        int | None, Field(ge=1, le=256), Option("Calls at a time.", metavar="N", unset=f"{WORKERS}")
    ] = None
    price: Annotated[
        tuple[float, float] | None,
        Option(
            "Dollars for a million tokens of prompts and of replies.",
            metavar="IN,OUT",
            parse=_price,
        ),
    ] = None
    budget: Annotated[
        float | None,
        Field(ge=0),
        Option("Most dollars that this command may spend.", metavar="USD"),
    ] = None
    max_calls: Annotated[
        int | None,
        Field(ge=0),
        Option("Most calls that this command may make.", metavar="N"),
    ] = None
    ledger: Annotated[
        Path | None,
        Option(
            "File of what was read, which several runs may share.",
            metavar="PATH",
            unset="extractions.jsonl in the run folder",
        ),
    ] = None
