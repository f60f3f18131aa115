"""What the user says of an endpoint as text: headers, fields of the JSON, prices."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import SecretStr, ValidationError

from vipbench.endpoints.dialect import RESERVED
from vipbench.endpoints.endpoint import Header, Purpose

FROM_ENVIRONMENT = "env:"
"""Before the name of a variable that holds a header's value, which keeps it out of `ps`."""


def parse_headers(
    texts: Iterable[str], environment: Mapping[str, str], purpose: Purpose
) -> tuple[Header, ...]:
    """Read `NAME=VALUE`, or `NAME=env:VARIABLE` for a value that `ps` should not show.

    Raises the purpose's error, which never shows a value, where one is none or a name comes twice.
    """
    found: dict[str, Header] = {}
    option = purpose.option("header")
    for text in texts:
        name, equals, value = text.partition("=")
        name = name.strip()
        if not equals or not name:
            raise purpose.error(f"{option}: is not NAME=VALUE · expected such as X-Title=vipbench")
        variable = value.removeprefix(FROM_ENVIRONMENT)
        if variable != value:
            if not environment.get(variable, "").strip():
                raise purpose.error(f"{option} {name}: the variable {variable} is not set")
            value = environment[variable]
        if name.lower() in found:
            raise purpose.error(f"{option} {name}: is given twice · expected each name once")
        try:
            found[name.lower()] = Header(name=name, value=SecretStr(value.strip()))
        except ValidationError:
            raise purpose.error(
                f"{option} {name!r}: is not a header, or not the user's · expected a name of "
                "letters, digits and hyphens, and a value of ASCII in one line"
            ) from None
    return tuple(found.values())


def parse_price(text: str, purpose: Purpose) -> tuple[float, float]:
    """Read `IN,OUT`; the purpose's error where it is not two numbers from 0."""
    try:
        price = [float(part) for part in text.split(",")]
    except ValueError:
        price = []
    if len(price) != 2 or not all(0 <= dollars < float("inf") for dollars in price):
        raise purpose.error(
            f"{purpose.option('price')} {text!r}: expected two numbers from 0, dollars for a "
            "million tokens of prompts and of replies, such as 30,60"
        )
    return price[0], price[1]


def parse_extra_body(text: str, purpose: Purpose) -> dict[str, Any]:
    """Read a JSON object of further fields; the purpose's error where it is none, or names ours."""
    option = purpose.option("extra-body")
    try:
        body = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise purpose.error(
            f"{option}: is not JSON ({error}) · expected such as "
            '{"chat_template_kwargs": {"enable_thinking": false}}'
        ) from None
    if not isinstance(body, dict):
        raise purpose.error(f"{option}: is not a JSON object · expected {{…}}")
    if taken := sorted(RESERVED & body.keys()):
        raise purpose.error(
            f"{option}: sets {', '.join(taken)} · these are said by options of their own"
        )
    return body


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is no JSON")
