"""Requests to an endpoint over HTTP: headers, time limits, and answers read to their end."""

import json
import time
from collections.abc import Mapping

import httpx2

from vipbench.endpoints.endpoint import Endpoint
from vipbench.endpoints.replies import MAX_BODY, SHOWN, Answer, read_json, read_model_names

LOOPBACK = ("localhost", "127.0.0.1", "::1")
LIST_TIMEOUT = 10.0
"""Seconds until a list of models must be there, or tokens: nothing depends on them."""


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
        answer = self._ask("GET", url or self.endpoint.address("models"))
        return None if answer is None else read_model_names(answer)

    def is_vllm(self) -> bool:
        """Say whether the server's list of models says that vLLM has them."""
        answer = self._ask("GET", self.endpoint.address("models"))
        content = None if answer is None else read_json(answer)
        models = content.get("data") if isinstance(content, dict) else None
        return isinstance(models, list) and any(
            isinstance(each, dict) and each.get("owned_by") == "vllm" for each in models
        )

    def post_beside(self, name: str, body: Mapping[str, object]) -> object:
        """Send JSON to an address beside `/v1`; return what comes back, None for no JSON."""
        url = httpx2.URL(self.endpoint.url)
        base = url.path.rstrip("/").removesuffix("/v1")
        answer = self._ask("POST", str(url.copy_with(path=f"{base}/{name}", query=None)), body)
        return None if answer is None or not answer.is_success else read_json(answer)

    def _ask(
        self, method: str, url: str, body: Mapping[str, object] | None = None
    ) -> Answer | None:
        """Ask for something that no answer depends on; None where nothing comes back."""
        try:
            response = self._client.request(method, url, json=body, timeout=LIST_TIMEOUT)
        except httpx2.RequestError:
            return None
        return Answer(response.status_code, response.headers, response.content, True)


def described(error: httpx2.RequestError) -> str:
    """Say in one line why there is no answer."""
    name = type(error).__name__
    said = " ".join(str(error).split())[:SHOWN]
    return f"{name}: {said}" if said else name
