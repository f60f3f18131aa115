"""What runner `openai` says of itself before it is built."""

import json
import os
from collections.abc import Iterable
from functools import cached_property
from typing import TYPE_CHECKING

import httpx2
from pydantic import SecretStr

from vipbench.endpoints.endpoint import Endpoint, Purpose, base_url
from vipbench.endpoints.extras import parse_extra_body, parse_headers
from vipbench.endpoints.keys import find_key
from vipbench.endpoints.meter import IMAGE_TOKENS, Limits, estimated_tokens
from vipbench.errors import EndpointStopped, RunnerError
from vipbench.runfolder.endpoint_use import EndpointFacts
from vipbench.runfolder.manifest import Settings
from vipbench.runners.spec import (
    GREEDY,
    BuildContext,
    Estimate,
    Model,
    ModelChoice,
    RunContext,
    RunnerSpec,
)
from vipbench.schema import Request

if TYPE_CHECKING:
    from vipbench.runners.openai.runner import OpenAiRunner

MODEL = Purpose(
    name="endpoint",
    option_prefix="--",
    key_variables=("VIPBENCH_MODEL_KEY", "OPENAI_API_KEY"),
    error=RunnerError,
    stopped=EndpointStopped,
    options={
        "url": "--base-url",
        "key-env": "--api-key-env",
        "key-file": "--api-key-file",
        "price": "--price-in and --price-out",
    },
)
"""An endpoint whose answers are measured: its errors are of exit code 2 before the first answer,
and of 3 after it."""


class OpenAiSpec(RunnerSpec):
    """A model behind an OpenAI-compatible endpoint."""

    summary = "a model behind an OpenAI-compatible endpoint"
    heeds = frozenset({"replay"})
    asks_endpoint = True
    several_images = True
    batch_size = 1

    def check(self) -> None:
        """Check address, key, headers and limits; nothing is sent."""
        super().check()
        choice = self.choice
        if choice.endpoint.base_url is None:
            raise RunnerError(
                f"runner {self.name}: has no address · give --base-url, such as "
                "http://localhost:8000/v1"
            )
        if not choice.model:
            raise RunnerError(
                f"runner {self.name}: has no model · give --model, as the server names it"
            )
        if choice.fit is not None and choice.endpoint.max_side is None:
            raise RunnerError(
                f"--fit {choice.fit}: needs the side of the square that images are fitted to · "
                "give --max-side PX too, or leave --fit out: images are then sent as they are drawn"
            )
        self.limits.check(MODEL)
        _ = self.endpoint

    def fault_in_workers(self) -> str:
        """Say what takes their place."""
        return (
            f"runner {self.name} loads no model · say with --concurrency N how many requests may "
            "be under way"
        )

    @cached_property
    def found_key(self) -> tuple[SecretStr | None, str]:
        """The key, and where it comes from in words."""
        options = self.choice.endpoint
        url = base_url(options.base_url or "", MODEL)
        return find_key(
            options.api_key_file, os.environ, MODEL, url=url, variable=options.api_key_env
        )

    @cached_property
    def endpoint(self) -> Endpoint:
        """Who is asked; RunnerError where an option is none."""
        options = self.choice.endpoint
        return Endpoint(
            purpose=MODEL,
            url=options.base_url or "",
            model=self.choice.model or "",
            key=self.found_key[0],
            headers=parse_headers(options.headers, os.environ, MODEL),
            extra_body=checked_body(options.extra_body),
            tries=options.tries,
            timeout=options.timeout,
            deadline=options.deadline,
            seed=self.choice.seed,
        )

    @cached_property
    def limits(self) -> Limits:
        """What may be spent; RunnerError for one price without the other."""
        options = self.choice.endpoint
        prices = (options.price_in, options.price_out)
        if (prices[0] is None) != (prices[1] is None):
            raise RunnerError("--price-in and --price-out: one is missing · give both, or neither")
        price = None if prices[0] is None or prices[1] is None else (prices[0], prices[1])
        return Limits(price=price, budget=options.budget, max_calls=options.max_calls)

    @cached_property
    def facts(self) -> EndpointFacts:
        """What an answer depends on."""
        options = self.choice.endpoint
        return EndpointFacts(
            host=httpx2.URL(self.endpoint.url).host,
            image_format=options.image_format,
            image_detail=options.image_detail,
            image_order=options.image_order,
            max_side=options.max_side,
            is_fitted=self.choice.fit is not None,
            system=options.system,
            reasoning_tokens=options.reasoning_tokens,
            reasoning_effort=options.reasoning_effort,
            extra_body=dict(self.endpoint.extra_body),
            headers=self.endpoint.header_facts,
        )

    def remarks(self) -> list[str]:
        """Say where the key comes from."""
        return [f"{MODEL.name}: {self.endpoint.url}, {self.found_key[1]}"]

    def estimate(self, requests: Iterable[Request]) -> Estimate:
        """Add up prompts, images and limits, as the client estimates them."""
        n, n_images, n_prompt, most_new = 0, 0, 0, 0
        for request in requests:
            n += 1
            n_images += len(request.all_images)
            n_prompt += IMAGE_TOKENS * len(request.all_images)
            n_prompt += sum(map(estimated_tokens, request.turns))
            n_prompt += estimated_tokens(self.facts.system) if self.facts.system else 0
            most_new += request.max_new_tokens + self.facts.reasoning_tokens
        return Estimate(
            n_requests=n,
            n_images=n_images,
            n_prompt_tokens=n_prompt,
            most_new_tokens=most_new,
            most_dollars=self.limits.cost(n_prompt, most_new),
            budget=self.limits.budget,
        )

    def describe(self, context: RunContext) -> Model:
        """Say how the endpoint is asked; who answers there is known to nobody before."""
        choice, size = self.choice, self.facts.max_side
        return Model(
            name=choice.model or "",
            settings=Settings(
                weights=None,
                prompt_format=None,
                dtype=None,
                decoding=choice.replay or GREEDY,
                endpoint=self.facts,
            ),
            load=lambda trials, budget_to_try: self.make(),
            device=self.facts.host,
            image_size=size if self.facts.is_fitted else None,
        )

    def make(self) -> "OpenAiRunner":
        """Build the runner; nothing is sent."""
        from vipbench.runners.openai.runner import OpenAiRunner  # loads PIL

        return OpenAiRunner(
            self.endpoint,
            self.facts,
            self.limits,
            connections=self.choice.endpoint.concurrency,
            decoding=self.choice.replay or GREEDY,
        )

    @classmethod
    def build(cls, choice: ModelChoice, context: BuildContext = BuildContext()) -> "OpenAiRunner":  # noqa: B008  # immutable
        """Build the runner; nothing is sent."""
        spec = cls(choice)
        spec.check()
        return spec.make()


def checked_body(body: dict[str, object] | None) -> dict[str, object]:
    """Refuse fields of an extra body that have options of their own; RunnerError."""
    return {} if body is None else parse_extra_body(json.dumps(body), MODEL)
