"""What every runner has, and what its answers are held to."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

from vipbench.digests import digest
from vipbench.errors import RunnerError
from vipbench.runfolder.sharing import Readings
from vipbench.schema import PromptFormat, Record, Request, Response


class RunnerSettings(Record):
    """What a runner answers with; goes into the manifest and the identity of a run."""

    model: str
    """Folder name or hub id; of a baseline or a plugin without settings, the runner's name."""
    weights: str = ""
    """sha256 of the weights."""
    prompt_format: PromptFormat | None = None
    dtype: str | None = None
    """Such as `float16`."""
    decoding: str = "greedy"
    template_date: str | None = None
    """The day that the chat template is told; None: it does not ask for one."""
    adapter: str | None = None
    """sha256 of what is loaded onto the weights; None: nothing."""
    quantization: str | None = None
    """Such as `int4 (bitsandbytes)`; None: the weights are not quantised."""
    device: str = "cpu"
    """Not part of the identity, nor is what follows."""
    token_budget: int | None = None
    """Tokens of prompts in a batch that fits into memory, padding included, where it was tried."""

    @property
    def loaded(self) -> str:
        """What tells the weights that answer: their digest, with that of an adapter."""
        return self.weights if self.adapter is None else digest([self.weights, self.adapter])


class Runner(Protocol):
    """What every runner has.

    Optional: `reads_images`, `several_images` (whether a request may show several images),
    `patch_size`, `settings`, `n_splits`, how many batches were split in two because they did not
    fit into memory, and, of one that reads once what requests of a batch have in common, `shares`,
    which is set to say whether it does, and `readings`, what it has read so far.
    """

    @property
    def image_size(self) -> int | None:
        """Side in px of the square that images are fitted to; None: they come unfitted."""

    def generate(self, requests: Sequence[Request], images: Sequence[Any]) -> list[Response]:
        """Answer requests: one response each, in order.

        `images` are uint8 (height, width, 3), RGB, marks drawn, one a request, or a tuple of them
        where a request shows several; none at all where the runner has `reads_images = False`.
        Their memory is used again when this has returned.
        """


LoadPixels = Callable[[Request], np.ndarray | tuple[np.ndarray, ...]]
"""Returns uint8 (height, width, 3), RGB, marks drawn, of a request, or a tuple of them where it
shows several images; DataError where one is broken. May be called from any thread."""


class Answered(NamedTuple):
    """One of several requests, and its answer."""

    number: int
    """Of the request, from 0."""
    response: Response


@runtime_checkable
class EachRunner(Protocol):
    """A runner whose answers do not depend on each other, and come in any order."""

    def answer_each(self, requests: Iterator[Request], load: LoadPixels) -> Iterator[Answered]:
        """Answer requests, which are taken as there is room for them; each number once."""


def reads_images(runner: Runner) -> bool:
    """Whether images have to be loaded for a runner: unless it says no."""
    return bool(getattr(runner, "reads_images", True))


def check_several(runner: Runner, name: str, requests: Sequence[Request]) -> None:
    """Refuse requests with several images for a runner that does not say that it takes them."""
    if getattr(runner, "several_images", False) or not reads_images(runner):
        return
    for request in requests:
        if request.images:
            raise RunnerError(
                f"runner {name}: sample {request.id} shows {len(request.images)} images · expected "
                "one, since the runner does not say that it takes several (several_images) · ask "
                "with --runner hf or openai"
            )


def patch_size_of(runner: Runner) -> int | None:
    """Side in px of the patches that a runner's model cuts its square into; None: not known."""
    size = getattr(runner, "patch_size", None)
    return size if isinstance(size, int) and size > 0 else None


def settings_of(runner: Runner, name: str) -> RunnerSettings:
    """Return a runner's settings; of one without any, those that name it."""
    settings = getattr(runner, "settings", None)
    return settings if isinstance(settings, RunnerSettings) else RunnerSettings(model=name)


def splits_of(runner: Runner) -> int:
    """How many batches a runner has split in two so far; 0 where it does not tell."""
    n = getattr(runner, "n_splits", 0)
    return n if isinstance(n, int) else 0


def set_sharing(runner: Runner, *, shares: bool) -> None:
    """Tell a runner whether to read once what requests of a batch have in common, if it can."""
    if isinstance(getattr(runner, "shares", None), bool):
        runner.shares = shares  # type: ignore[attr-defined]


def readings_of(runner: Runner) -> Readings:
    """What a runner has read so far; nothing where it does not tell."""
    readings = getattr(runner, "readings", None)
    return readings if isinstance(readings, Readings) else Readings()


def check_responses(
    name: str, requests: Sequence[Request], responses: Sequence[Response]
) -> list[Response]:
    """Return what runner `name` gave for a batch, if it kept to the contract; else RunnerError."""
    if not isinstance(responses, list | tuple):
        raise RunnerError(
            f"runner {name}: returned a {type(responses).__name__} · expected a list of Response"
        )
    if len(responses) != len(requests):
        raise RunnerError(
            f"runner {name}: returned {len(responses)} responses for a batch of {len(requests)} · "
            "expected one for each request, in order"
        )
    for request, response in zip(requests, responses, strict=True):
        if not isinstance(response, Response):
            raise RunnerError(
                f"runner {name}: returned a {type(response).__name__} for sample {request.id} · "
                "expected a Response"
            )
        if (response.text is None) == (response.error is None):
            raise RunnerError(
                f"runner {name}: the response for sample {request.id} has "
                f"{'neither text nor error' if response.text is None else 'text and error'} · "
                "expected exactly one of them"
            )
        try:
            f"{response.text}{response.error}".encode()
        except UnicodeEncodeError as error:
            raise RunnerError(
                f"runner {name}: the response for sample {request.id} is not text "
                f"({error.reason} at {error.start}) · expected whole Unicode characters"
            ) from error
    return list(responses)
