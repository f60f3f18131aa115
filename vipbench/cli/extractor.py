"""The extractor that a command is told of: who reads, with which key, and for how much."""

import os
from typing import TYPE_CHECKING

from vipbench.cli.printing import say
from vipbench.errors import ExtractorError

if TYPE_CHECKING:
    from vipbench.extractor.options import ExtractorOptions
    from vipbench.extractor.settings import ExtractorSettings


def extractor_settings(options: "ExtractorOptions") -> "ExtractorSettings | None":
    """Return who is to read; None without `--extractor-url`.

    Raises:
        ExtractorError: An option is wrong, or is given without `--extractor-url`; or that is given
            without a model.
    """
    if options.url is None:
        if others := options.model_dump(exclude_none=True):
            flags = ", ".join(f"--extractor-{name.replace('_', '-')}" for name in others)
            raise ExtractorError(f"{flags}: needs an extractor · add --extractor-url")
        return None
    from vipbench.endpoints.endpoint import Endpoint, base_url
    from vipbench.endpoints.keys import find_key
    from vipbench.endpoints.meter import Limits
    from vipbench.extractor import settings as defaults

    purpose = defaults.EXTRACTOR
    url = base_url(options.url, purpose)
    if not options.model:
        raise ExtractorError(
            "--extractor-url: says where, not who reads · add --extractor-model NAME"
        )
    key, source = find_key(options.key_file, os.environ, purpose, url=url, variable=options.key_env)
    room = options.reasoning_tokens
    room = defaults.REASONING_TOKENS if room is None else room
    endpoint = Endpoint(
        purpose=purpose,
        url=url,
        model=options.model,
        key=key,
        extra_body=options.extra_body or {},
        timeout=options.timeout or (defaults.TIMEOUT_THINKING if room else defaults.TIMEOUT),
    )
    say(f"extractor: {source}")
    return defaults.ExtractorSettings(
        endpoint=endpoint,
        max_tokens=options.max_tokens or defaults.MAX_TOKENS,
        reasoning_tokens=room,
        workers=options.workers or defaults.WORKERS,
        limits=Limits(price=options.price, budget=options.budget, max_calls=options.max_calls),
        ledger=options.ledger,
    )
