"""Keys of endpoints: where they come from, and how they stay out of what a server sends back."""

import html
import json
import urllib.parse
from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import SecretStr

from vipbench.endpoints.endpoint import Purpose

MASK = "[key]"
WINDOW = 8
"""Characters of a key in a row that are recognised as a part of it."""


def find_key(
    file: Path | None, environment: Mapping[str, str], purpose: Purpose
) -> tuple[SecretStr | None, str | None]:
    """Return the key and where it comes from: the file, else the environment; both may be None.

    Raises the purpose's error where the file cannot be read or holds no key.
    """
    if file is None:
        for name in purpose.key_variables:
            if environment.get(name, "").strip():
                return SecretStr(environment[name].strip()), name
        return None, None
    where = f"{purpose.option('key-file')} {file}"
    try:
        text = file.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise purpose.error(f"{where}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise purpose.error(f"{where}: is not text · expected the key alone") from None
    if not text:
        raise purpose.error(f"{where}: is empty · expected the key alone")
    return SecretStr(text), str(file)


def masked(text: str, key: SecretStr | None) -> str:
    """Put `[key]` in place of a key and of each longer part of it, as JSON, URL or HTML too."""
    secret = key.get_secret_value() if key else ""
    if not secret:
        return text
    for form in (secret, json.dumps(secret)[1:-1], urllib.parse.quote(secret), html.escape(secret)):
        text = text.replace(form, MASK)
    return "".join(_without(text, secret))


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
