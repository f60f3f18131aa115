"""Which model is asked, where, and how patiently; and what it is asked for."""

import re
from dataclasses import dataclass

import httpx2
from pydantic import ConfigDict, Field, SecretStr, ValidationInfo, field_validator

from vipbench.errors import VipbenchError
from vipbench.schema import Record


@dataclass(frozen=True, slots=True)
class Purpose:
    """What an endpoint is used for: its messages, options and errors are those of this use."""

    name: str
    """What messages begin with, such as `judge`."""
    option_prefix: str
    """Of the options on the command line, such as `--judge-`."""
    key_variables: tuple[str, ...]
    """Environment variables that may hold the key; the first that is set and not empty counts."""
    error: type[VipbenchError]
    """Raised where the endpoint cannot be used, or a limit is reached."""

    def option(self, name: str) -> str:
        """Return an option as the user writes it."""
        return f"{self.option_prefix}{name}"


class Endpoint(Record):
    """A model behind an OpenAI-compatible endpoint, and how patiently it is asked."""

    model_config = ConfigDict(hide_input_in_errors=True)

    purpose: Purpose = Field(exclude=True, repr=False)
    url: str
    """Where `/chat/completions` is below: see `base_url`."""
    model: str = Field(min_length=1)
    key: SecretStr | None = Field(default=None, exclude=True, repr=False)
    """Sent as `Authorization: Bearer`; None: nothing is sent."""
    tries: int = Field(default=6, ge=1)
    """How often a call is made until the server answers it."""
    first_wait: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    """Seconds before the second try, doubled before each further one; half to all of it."""
    max_wait: float = Field(default=60.0, ge=0, allow_inf_nan=False)
    """Longest wait in seconds; a server that asks for a longer one is given up."""
    timeout: float = Field(default=60.0, gt=0, allow_inf_nan=False)
    """Seconds until an answer must be there as a whole."""

    @field_validator("url")
    @classmethod
    def _usable(cls, url: str, info: ValidationInfo) -> str:
        purpose = info.data.get("purpose")
        return url if purpose is None else base_url(url, purpose)

    @field_validator("key")
    @classmethod
    def _sendable(cls, key: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        purpose = info.data.get("purpose")
        if purpose is None or key is None:
            return key
        if not re.fullmatch(r"[\x21-\x7e]+", key.get_secret_value()):
            raise purpose.error(
                f"{purpose.name} key: is empty, or holds white space or a sign that is not ASCII · "
                "expected the key alone"
            )
        return key


def base_url(text: str, purpose: Purpose) -> str:
    """Return the address that `/chat/completions` is put after.

    A host alone (`http://localhost:8000`) gets `/v1`; any other path is taken as it is, and a
    trailing `/chat/completions` is left out. Raises the purpose's error where it is not such an
    address, or holds a password or a query, which would be written down with it.
    """
    option = purpose.option("url")
    try:
        url = httpx2.URL(text.strip())
    except (httpx2.InvalidURL, UnicodeError):
        raise purpose.error(f"{option}: is not an address · expected https://HOST/v1") from None
    if url.scheme not in ("http", "https") or not url.host:
        raise purpose.error(f"{option}: is not an address · expected https://HOST/v1")
    if url.userinfo or url.query or url.fragment:
        raise purpose.error(
            f"{option}: holds more than an address ({url.host}) · leave out user, password and "
            f"what follows '?'; a key belongs into {purpose.key_variables[0]} or "
            f"{purpose.option('key-file')}"
        )
    path = url.path.rstrip("/").removesuffix("/chat/completions") or "/v1"
    return str(url.copy_with(path=path))
