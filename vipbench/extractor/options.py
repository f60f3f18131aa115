"""What the user may say of an extractor, as the options of a command."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from vipbench.endpoints.options import shared_options
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

_SHARED = shared_options(EXTRACTOR, timeouts=(TIMEOUT, TIMEOUT_THINKING), workers=WORKERS)


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
    key_file: Annotated[Path | None, _SHARED.key_file] = None
    key_env: Annotated[str | None, _SHARED.key_env] = None
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
    extra_body: Annotated[dict[str, Any] | None, _SHARED.extra_body] = None
    timeout: Annotated[float | None, Field(gt=0), _SHARED.timeout] = None
    workers: Annotated[int | None, Field(ge=1, le=256), _SHARED.workers] = None
    price: Annotated[tuple[float, float] | None, _SHARED.price] = None
    budget: Annotated[float | None, Field(ge=0), _SHARED.budget] = None
    max_calls: Annotated[int | None, Field(ge=0), _SHARED.max_calls] = None
    ledger: Annotated[
        Path | None,
        Option(
            "File of what was read, which several runs may share.",
            metavar="PATH",
            unset="extractions.jsonl in the run folder",
        ),
    ] = None
