"""Which server a bench measures, and what it is asked to forget between measurements."""

import httpx2

from vipbench.bench.records import Peer
from vipbench.bench.settings import BenchSettings
from vipbench.endpoints.transport import LOOPBACK, Transport
from vipbench.errors import RunnerError
from vipbench.runners.endpoint_options import EndpointOptions
from vipbench.runners.openai.spec import OpenAiSpec
from vipbench.runners.spec import ModelChoice
from vipbench.schema import Fit

TRIES = 2
"""How often a question is sent: one that a server does not answer is no measurement."""
CACHES = ("reset_prefix_cache", "reset_mm_cache", "reset_encoder_cache")
"""Addresses beside `/v1` at which vLLM forgets what it has read, where it was started with
VLLM_SERVER_DEV_MODE=1."""
_SECONDS = 30.0


def find_peer(settings: BenchSettings) -> Peer | None:
    """Find out what the server calls its model, where the user does not say so.

    Raises:
        RunnerError: the address is none, or the server does not name one model.
    """
    if settings.peer is None:
        return None
    model = settings.peer_model
    spec = peer_spec(Peer(url=settings.peer, model=model or "any", extra_body=settings.peer_body))
    try:
        spec.check()
    except RunnerError as error:
        raise RunnerError(str(error).replace("--base-url", "--peer")) from None
    if model is None:
        transport = Transport(spec.endpoint, 1)
        try:
            names = transport.list_models() or []
        finally:
            transport.close()
        if len(names) != 1:
            found = f"it names {', '.join(names)}" if names else "no list of models comes back"
            raise RunnerError(f"--peer {spec.endpoint.url}: {found} · give --peer-model NAME")
        model = names[0]
    return Peer(url=spec.endpoint.url, model=model, extra_body=settings.peer_body)


def peer_spec(peer: Peer, side: int | None = None, concurrency: int = 1) -> OpenAiSpec:
    """Describe how a server is asked; `side`: of the square that images are fitted to, px."""
    options = EndpointOptions(
        base_url=peer.url,
        max_side=side,
        concurrency=concurrency,
        extra_body=peer.extra_body,
        tries=TRIES,
    )
    fit: Fit | None = None if side is None else "pad"
    return OpenAiSpec(ModelChoice(runner="openai", model=peer.model, endpoint=options, fit=fit))


def forget(url: str) -> bool:
    """Let a server forget what it has read before; say whether it does."""
    base = httpx2.URL(url)
    path = base.path.rstrip("/").removesuffix("/v1")
    done = []
    with httpx2.Client(timeout=_SECONDS, trust_env=base.host not in LOOPBACK) as client:
        for name in CACHES:
            try:
                address = base.copy_with(path=f"{path}/{name}", query=None)
                answer = client.post(address, json={})
            except httpx2.HTTPError:
                return False
            done.append(answer.is_success)
    return done[0]
