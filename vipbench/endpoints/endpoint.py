"""Which model is asked, where, and how patiently; and what it is asked for."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx2
from pydantic import ConfigDict, Field, SecretStr, ValidationInfo, field_validator

from vipbench.errors import VipbenchError
from vipbench.schema import Record

AZURE = (".openai.azure.com", ".cognitiveservices.azure.com", ".services.ai.azure.com")
"""Ends of hosts that take a key in a header of its own."""
QUERY = frozenset({"api-version"})
"""What may follow `?` in an address: Azure's version, which is no secret."""
LEAST_SECRET = 4
"""Characters of a header's value from which on it is masked; shorter ones are in every message."""
TRANSPORT = frozenset({"connection", "content-length", "content-type", "transfer-encoding"})
"""Headers that a request needs as they are."""
_SECRET = re.compile(r"auth|key|token|secret|cookie|passw|credential|session|signature", re.I)


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
    stopped: type[VipbenchError] | None = None
    """Raised in place of `error` once this command has got an answer; None: `error` too."""
    options: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Options that are not the prefix and their name, by name: `{"url": "--base-url"}`."""

    def option(self, name: str) -> str:
        """Return an option as the user writes it."""
        return self.options.get(name, f"{self.option_prefix}{name}")

    def failure(self, message: str, *, has_answered: bool) -> VipbenchError:
        """Return the error of an endpoint that answers no more, or has never answered."""
        kind = self.stopped if has_answered and self.stopped else self.error
        return kind(message)


class Header(Record):
    """A header that the user adds to each request."""

    model_config = ConfigDict(hide_input_in_errors=True)

    name: str = Field(pattern=r"^[A-Za-z0-9!#$%&'*+.^_|~-]+$")
    value: SecretStr = Field(exclude=True, repr=False)
    """Never shown: whether it is a secret is known to nobody but the user."""

    @field_validator("name")
    @classmethod
    def _free(cls, name: str) -> str:
        if name.lower() in TRANSPORT:
            raise ValueError("belongs to the transport")
        return name

    @field_validator("value")
    @classmethod
    def _sendable(cls, value: SecretStr) -> SecretStr:
        if not re.fullmatch(r"([\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?)?", value.get_secret_value()):
            raise ValueError("holds a sign that cannot be sent in a header, or blanks around it")
        return value

    @property
    def is_secret(self) -> bool:
        """Whether it looks like a key: then it says who asks, not what is asked."""
        return _SECRET.search(self.name) is not None

    @property
    def digest(self) -> str | None:
        """What tells its value from others in a run's identity; None where it looks secret."""
        if self.is_secret:
            return None
        return hashlib.sha256(self.value.get_secret_value().encode()).hexdigest()[:16]


class Endpoint(Record):
    """A model behind an OpenAI-compatible endpoint, and how patiently it is asked."""

    model_config = ConfigDict(hide_input_in_errors=True)

    purpose: Purpose = Field(exclude=True, repr=False)
    url: str
    """Where `/chat/completions` is below: see `base_url`."""
    model: str = Field(min_length=1)
    key: SecretStr | None = Field(default=None, exclude=True, repr=False)
    """Sent as `Authorization: Bearer`, to Azure as `api-key`; None: nothing is sent."""
    headers: tuple[Header, ...] = ()
    """Sent with each request; one of the name of the key's header replaces it."""
    extra_body: Mapping[str, Any] = Field(default={})
    """Fields of each request's JSON, such as `chat_template_kwargs`; they replace ours."""
    tries: int = Field(default=6, ge=1)
    """How often a call is made until the server answers it."""
    first_wait: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    """Seconds before the second try, doubled before each further one; half to all of it."""
    max_wait: float = Field(default=60.0, ge=0, allow_inf_nan=False)
    """Longest wait in seconds; a server that asks for a longer one is given up."""
    timeout: float = Field(default=60.0, gt=0, allow_inf_nan=False)
    """Seconds until an answer must be there as a whole."""
    deadline: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Seconds until all answers must be there, from the first call on; None: no end."""
    seed: int = 0
    """Keys the jitter of waits: the same calls wait as long again."""

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

    @property
    def is_azure(self) -> bool:
        """Whether the key goes into Azure's header."""
        return httpx2.URL(self.url).host.endswith(AZURE)

    @property
    def secrets(self) -> tuple[SecretStr, ...]:
        """What must never be shown: the key, and the values of headers."""
        values = [each.value for each in self.headers if each.is_secret]
        values = [value for value in values if len(value.get_secret_value()) >= LEAST_SECRET]
        return (*([self.key] if self.key else []), *values)

    @property
    def sent_headers(self) -> dict[str, str]:
        """All headers, secrets included: for the request alone."""
        sent = {}
        if self.key is not None:
            secret = self.key.get_secret_value()
            name, value = ("api-key", secret) if self.is_azure else ("authorization", "")
            sent[name] = value or f"Bearer {secret}"
        return sent | {each.name.lower(): each.value.get_secret_value() for each in self.headers}

    @property
    def header_facts(self) -> dict[str, str | None]:
        """Headers for a run's identity: the digest of each value, None where it looks secret."""
        return {each.name.lower(): each.digest for each in self.headers}

    def address(self, path: str) -> str:
        """Return the address of something below the base, such as `chat/completions`."""
        url = httpx2.URL(self.url)
        return str(url.copy_with(path=f"{url.path.rstrip('/')}/{path}"))


def base_url(text: str, purpose: Purpose) -> str:
    """Return the address that `/chat/completions` is put after.

    A host alone (`http://localhost:8000`) gets `/v1`; any other path is taken as it is, and a
    trailing `/chat/completions` is left out. Azure's `?api-version=…` stays. Raises the purpose's
    error where it is not such an address, or holds a password or another query, which would be
    written down with it.
    """
    option = purpose.option("url")
    try:
        url = httpx2.URL(text.strip())
    except (httpx2.InvalidURL, UnicodeError):
        raise purpose.error(f"{option}: is not an address · expected https://HOST/v1") from None
    if url.scheme not in ("http", "https") or not url.host:
        raise purpose.error(f"{option}: is not an address · expected https://HOST/v1")
    if url.userinfo or url.fragment or (url.query and not url.params.keys() <= QUERY):
        raise purpose.error(
            f"{option}: holds more than an address ({url.host}) · leave out user, password and "
            f"what follows '?'; a key belongs into {purpose.key_variables[0]} or "
            f"{purpose.option('key-file')}"
        )
    path = url.path.rstrip("/").removesuffix("/chat/completions") or "/v1"
    return str(url.copy_with(path=path))
