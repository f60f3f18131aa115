"""Requests to an endpoint over HTTP: headers, time limits, and answers read to their end."""

import json
import time
from collections.abc import Mapping

import httpx2

from vipbench.endpoints.endpoint import Endpoint
from vipbench.endpoints.replies import MAX_BODY, SHOWN, Answer, read_model_names

LOOPBACK = ("localhost", "127.0.0.1", "::1")
LIST_TIMEOUT = 10.0
"""Seconds until a list of models must be there, which is asked for only to explain an error."""


class Transport:
    """Sends to one endpoint, from several threads at once. Redirects are not followed."""

    def __init__(self, endpoint: Endpoint, connections: int) -> None:
        """Prepare; nothing is sent yet."""
        self.endpoint = endpoint
        local = httpx2.URL(endpoint.url).host in LOOPBACK
        self._client = httpx2.Client(
            headers={"content-type": "application/json", **endpoint.sent_headers},
            timeout=endpoint.timeout,
            limits=httpx2.Limits(max_connections=connections),
            trust_env=not local,  # a proxy does not know what localhost is here
        )

    def close(self) -> None:
        """Give the connections back."""
        self._client.close()

    def post(self, body: Mapping[str, object], seconds: float) -> Answer:
        """Send a chat request, and read to the end; httpx2.RequestError where there is none.

        A server that drips is left after twice `seconds` at most.
        """
        ends = time.monotonic() + seconds
        url = self.endpoint.address("chat/completions")
        content = json.dumps(body, allow_nan=False, separators=(",", ":")).encode("ascii")
        with self._client.stream("POST", url, content=content, timeout=seconds) as response:
            parts: list[bytes] = []
            n_bytes = 0
            for part in response.iter_bytes():
                parts.append(part)
                n_bytes += len(part)
                if n_bytes > MAX_BODY:
                    return Answer(response.status_code, response.headers, b"".join(parts), False)
                if time.monotonic() > ends:
                    raise httpx2.ReadTimeout("the answer does not end")
            return Answer(response.status_code, response.headers, b"".join(parts), True)

    def list_models(self, url: str | None = None) -> list[str] | None:
        """Return the names at an address, or at the endpoint's own; None where there is no list."""
        address = url or self.endpoint.address("models")
        try:
            response = self._client.get(address, timeout=LIST_TIMEOUT)
        except httpx2.RequestError:
            return None
        return read_model_names(
            Answer(response.status_code, response.headers, response.content, True)
        )


def described(error: httpx2.RequestError) -> str:
    """Say in one line why there is no answer."""
    name = type(error).__name__
    said = " ".join(str(error).split())[:SHOWN]
    return f"{name}: {said}" if said else name
