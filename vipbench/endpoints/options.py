"""Options of the endpoints that are asked beside the model, which read alike."""

from functools import partial
from typing import NamedTuple

from vipbench.endpoints import extras
from vipbench.endpoints.endpoint import Purpose
from vipbench.option import Option


class SharedOptions(NamedTuple):
    """The options that read the same whatever the endpoint is for, by their names."""

    key_file: Option
    key_env: Option
    extra_body: Option
    timeout: Option
    workers: Option
    price: Option
    budget: Option
    max_calls: Option


def shared_options(
    purpose: Purpose, *, timeouts: tuple[float, float], workers: int
) -> SharedOptions:
    """Return the options of a purpose.

    Args:
        purpose: What the endpoint is for.
        timeouts: Seconds without and with room to think, where none are given.
        workers: Calls at a time, where none are given.
    """
    keys = " or ".join(purpose.key_variables)
    return SharedOptions(
        key_file=Option("File that holds the key and nothing else.", metavar="PATH", unset=keys),
        key_env=Option(
            "Environment variable that holds the key, for whatever address.",
            metavar="NAME",
            unset=keys,
        ),
        extra_body=Option(
            "Further fields of each request, such as "
            '{"chat_template_kwargs": {"enable_thinking": false}}.',
            metavar="JSON",
            parse=partial(extras.parse_extra_body, purpose=purpose),
        ),
        timeout=Option(
            "Seconds until a reply must be there.",
            metavar="S",
            unset=f"{timeouts[1]:g}, {timeouts[0]:g} without room to think",
        ),
        workers=Option("Calls at a time.", metavar="N", unset=f"{workers}"),
        price=Option(
            "Dollars for a million tokens of prompts and of replies.",
            metavar="IN,OUT",
            parse=partial(extras.parse_price, purpose=purpose),
        ),
        budget=Option("Most dollars that this command may spend.", metavar="USD"),
        max_calls=Option("Most calls that this command may make.", metavar="N"),
    )
