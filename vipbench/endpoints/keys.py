"""Keys of endpoints: where they come from, and how they stay out of what a server sends back."""

import html
import json
import urllib.parse
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import httpx2
from pydantic import SecretStr

from vipbench.endpoints.endpoint import Purpose

MASK = "[key]"
WINDOW = 8
"""Characters of a key in a row that are recognised as a part of it."""
HOSTS = {"OPENAI_API_KEY": "api.openai.com"}
"""Variables that other programs use too, and the only host that each is sent to unless named."""


def find_key(
    file: Path | None,
    environment: Mapping[str, str],
    purpose: Purpose,
    *,
    url: str,
    variable: str | None = None,
) -> tuple[SecretStr | None, str]:
    """Return the key, which may be None, and where it comes from, in words for the user.

    Args:
        file: that holds it and nothing else; None: not said.
        environment: variables; those of the purpose count in order, and one of a provider's only
            where `url` is that provider's.
        purpose: whose key it is.
        url: that it will be sent to.
        variable: that holds it, named by the user, for whatever host; None: not said.

    Raises:
        VipbenchError: Of the purpose's kind: the file cannot be read or holds no key, the
            variable is not set, or both are given.
    """
    if file is not None and variable is not None:
        raise purpose.error(
            f"{purpose.option('key-file')} and {purpose.option('key-env')}: two keys · give one"
        )
    if file is not None:
        return _read_key(file, purpose), f"key from {file}"
    if variable is not None:
        value = environment.get(variable, "").strip()
        if not value:
            raise purpose.error(
                f"{purpose.option('key-env')} {variable}: is not set or empty · export it, or give "
                f"{purpose.option('key-file')}"
            )
        return SecretStr(value), f"key from {variable}"
    return _usual_key(environment, purpose, url)


def _read_key(file: Path, purpose: Purpose) -> SecretStr:
    where = f"{purpose.option('key-file')} {file}"
    try:
        text = file.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise purpose.error(f"{where}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise purpose.error(f"{where}: is not text · expected the key alone") from None
    if not text:
        raise purpose.error(f"{where}: is empty · expected the key alone")
    return SecretStr(text)


def _usual_key(
    environment: Mapping[str, str], purpose: Purpose, url: str
) -> tuple[SecretStr | None, str]:
    host, withheld = httpx2.URL(url).host, ""
    for name in purpose.key_variables:
        value = environment.get(name, "").strip()
        if not value:
            continue
        if HOSTS.get(name, host) == host:
            return SecretStr(value), f"key from {name}"
        withheld = (
            f": {name} goes to {HOSTS[name]} only · for {host} name the variable with "
            f"{purpose.option('key-env')}"
        )
    return None, f"no key is sent{withheld}"


def masked(text: str, keys: Iterable[SecretStr]) -> str:
    """Put `[key]` in place of keys and of each longer part of them, as JSON, URL or HTML too."""
    for key in keys:
        secret = key.get_secret_value()
        if not secret:
            continue
        forms = (secret, json.dumps(secret)[1:-1], urllib.parse.quote(secret), html.escape(secret))
        for form in forms:
            text = text.replace(form, MASK)
        text = "".join(_without(text, secret))
    return text


def _without(text: str, secret: str) -> Iterator[str]:
    parts = {secret[i : i + WINDOW] for i in range(len(secret) - WINDOW + 1)}
    hidden_to = 0
    for i, letter in enumerate(text):
        if text[i : i + WINDOW] in parts:
            if i >= hidden_to:
                yield MASK
            hidden_to = i + WINDOW
        if i >= hidden_to:
            yield letter
