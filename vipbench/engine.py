"""Answer batches in one process: the next batch is drawn and fitted while this one is answered."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from vipbench.errors import DataError
from vipbench.loader import Loaded, digest_pixels, load
from vipbench.runners import Runner, check_responses, patch_size_of, reads_images
from vipbench.schema import Request, Response, Trial
from vipbench.store import ResponseLine, Trials


class Ready(NamedTuple):
    """A request with what the model gets to see, or with the reason why that is nothing."""

    request: Request
    loaded: Loaded | None
    error: str | None


class Desk:
    """Where one runner's batches are drawn, fitted and answered."""

    def __init__(self, runner: Runner, name: str, images: Mapping[str, Path]) -> None:
        """Take a runner, what messages call it, and the root of each task's images."""
        self._runner, self._name, self._images = runner, name, images
        self._with_images, self._patch_size = reads_images(runner), patch_size_of(runner)

    def prepare(self, requests: Sequence[Request]) -> list[Ready]:
        """Draw and fit what the runner gets to see."""
        size = self._runner.image_size
        return [
            _load(request, self._images, size, self._patch_size)
            if self._with_images
            else Ready(request, None, None)
            for request in requests
        ]

    def answer(self, batch: int, ready: Sequence[Ready]) -> list[ResponseLine]:
        """Answer a batch; RunnerError where the runner breaks its contract."""
        return _lines(batch, ready, _answer(self._runner, self._name, ready))


def answer_batches(
    runner: Runner,
    name: str,
    trials: Trials,
    plan: Sequence[Sequence[int]],
    todo: Sequence[int],
    images: Mapping[str, Path],
    write: Callable[[list[ResponseLine]], None],
) -> None:
    """Answer batches of a plan in order, and hand the lines of each on as it is done.

    Args:
        runner: answers.
        name: what messages call it.
        trials: of the run.
        plan: the places in `trials` that each batch holds.
        todo: places in `plan`, ascending.
        images: the root of each task's images.
        write: takes the lines of one batch.

    Raises:
        RunnerError: The runner broke its contract.
    """
    desk = Desk(runner, name, images)

    def prepare(batch: int) -> list[Ready]:
        return desk.prepare(requests_of(trials.read(plan[batch])))

    with ThreadPoolExecutor(1) as ahead:
        coming = ahead.submit(prepare, todo[0]) if todo else None
        for position, batch in enumerate(todo):
            ready = coming.result() if coming is not None else []
            after = todo[position + 1 : position + 2]
            coming = ahead.submit(prepare, after[0]) if after else None
            write(desk.answer(batch, ready))


def requests_of(trials: Sequence[Trial]) -> list[Request]:
    """Return the requests of those trials that can be asked."""
    return [trial.request for trial in trials if trial.request is not None]


def _load(
    request: Request, images: Mapping[str, Path], size: int | None, patch_size: int | None
) -> Ready:
    try:
        return Ready(request, load(request, images[request.task], size, patch_size), None)
    except DataError as error:
        return Ready(request, None, f"image: {error}")


def _answer(runner: Runner, name: str, ready: Sequence[Ready]) -> list[Response]:
    """Answer a batch; requests without pixels are errors, and the others are asked without them."""
    asked = [each for each in ready if each.error is None]
    requests = [each.request for each in asked]
    pixels = [each.loaded.pixels for each in asked if each.loaded is not None]
    answers = iter(
        check_responses(name, requests, runner.generate(requests, pixels)) if asked else []
    )
    return [
        next(answers) if each.error is None else Response(error=each.error, finish="error")
        for each in ready
    ]


def _lines(batch: int, ready: Sequence[Ready], responses: Sequence[Response]) -> list[ResponseLine]:
    return [
        ResponseLine(
            **response.model_dump(exclude={"pixels"}),
            pixels=response.pixels if each.loaded is None else digest_pixels(each.loaded.pixels),
            visibility=None if each.loaded is None else each.loaded.visibility,
            task=each.request.task,
            style=each.request.style,
            id=each.request.id,
            key=each.request.key,
            batch=batch,
        )
        for each, response in zip(ready, responses, strict=True)
    ]
