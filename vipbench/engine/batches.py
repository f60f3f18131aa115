"""Answer batches in one process; the next ones are drawn and fitted meanwhile."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

from vipbench.console import STDERR, Console
from vipbench.engine.loaders import AHEAD, LoadedBatch, LoaderPool, LoadSettings
from vipbench.images.load import PreparedRequest, load_or_error, pixels_of
from vipbench.runfolder.lines import ResponseLine
from vipbench.runfolder.trials_file import Trials
from vipbench.runners.contract import (
    Runner,
    check_responses,
    check_several,
    patch_size_of,
    reads_images,
)
from vipbench.schema import ImageRoots, Request, Response, Trial


class BatchPipeline:
    """Draws, fits and answers batches with one runner, some of them ahead; a context manager."""

    def __init__(
        self,
        runner: Runner,
        name: str,
        images: Mapping[str, ImageRoots],
        *,
        n_loaders: int = 0,
        console: Console = STDERR,
    ) -> None:
        """Start what loads images.

        Args:
            runner: answers.
            name: what messages call the runner.
            images: the folder below which each task's images lie, by the task's name.
            n_loaders: processes that load images; 0: a thread of this process does.
            console: hears of loaders that were killed.
        """
        self._runner, self._name, self._with_images = runner, name, reads_images(runner)
        self._settings = LoadSettings(images, runner.image_size, patch_size_of(runner))
        self._loaders: LoaderPool | None = None
        if n_loaders and self._with_images:
            self._loaders = LoaderPool(n_loaders, self._settings, console)
        self.ahead = AHEAD if self._loaders is not None else 1
        """Batches that may be prepared ahead of the one that is answered."""
        self._threads = ThreadPoolExecutor(self.ahead)
        self._prepared: dict[int, Future[LoadedBatch]] = {}
        """Of each batch that is prepared and not answered."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._loaders is not None:
            self._loaders.close()
        self._threads.shutdown(cancel_futures=True)

    def prepare(self, batch: int, read: Callable[[int], Sequence[Request]]) -> None:
        """Begin to draw and fit a batch, unless that has begun; `read` returns its requests.

        Batches must be answered in the order in which they are prepared.
        """
        if batch not in self._prepared:
            self._prepared[batch] = self._threads.submit(self._load, batch, read)

    def answer(self, batch: int, read: Callable[[int], Sequence[Request]]) -> list[ResponseLine]:
        """Answer a batch, whether or not it was prepared before; one line for each request.

        Raises:
            RunnerError: The runner broke its contract.
            RunError: A loader was killed again and again.
        """
        self.prepare(batch, read)
        loaded = self._prepared.pop(batch).result()
        try:
            responses = _answer(self._runner, self._name, loaded.requests)
            return _lines(batch, loaded.requests, responses)
        finally:
            if self._loaders is not None:
                self._loaders.release(loaded)

    def _load(self, batch: int, read: Callable[[int], Sequence[Request]]) -> LoadedBatch:
        requests = read(batch)
        if not self._with_images:
            return LoadedBatch([PreparedRequest(request, None, None) for request in requests])
        # Drawing is pure: what looks alike is drawn once.
        pictures = [(request.task, pixels_of(request)) for request in requests]
        first: dict[tuple[str, str], Request] = {}
        for picture, request in zip(pictures, requests, strict=True):
            first.setdefault(picture, request)
        # In the order of their files: the last image that was decoded is kept.
        first = dict(sorted(first.items(), key=lambda item: (item[0][0], item[1].image)))
        shown = list(first.values())
        if self._loaders is not None:
            loaded = self._loaders.load(shown)
        else:
            loaded = LoadedBatch([load_or_error(request, *self._settings) for request in shown])
        drawn = dict(zip(first, loaded.requests, strict=True))
        return loaded._replace(
            requests=[
                drawn[picture]._replace(request=request)
                for picture, request in zip(pictures, requests, strict=True)
            ]
        )


def answer_batches(
    runner: Runner,
    name: str,
    trials: Trials,
    plan: Sequence[Sequence[int]],
    todo: Sequence[int],
    images: Mapping[str, ImageRoots],
    write: Callable[[list[ResponseLine]], None],
    *,
    ahead: int | None = None,
    n_loaders: int = 0,
    console: Console = STDERR,
) -> None:
    """Answer batches of a plan in order, and write the lines of each as soon as it is answered.

    Args:
        runner: answers.
        name: what messages call the runner.
        trials: of the run.
        plan: of each batch, the indices of its trials in `trials`.
        todo: indices in `plan`, ascending.
        images: the folder below which each task's images lie, by the task's name.
        write: takes the lines of one batch.
        ahead: batches that are prepared while one is answered; None: as many as is possible.
        n_loaders: processes that load images; 0: a thread of this process does.
        console: hears of loaders that were killed.

    Raises:
        RunnerError: The runner broke its contract.
        RunError: A loader was killed again and again.
    """

    def read(batch: int) -> list[Request]:
        return requests_of(trials.read(plan[batch]))

    if not todo:
        return
    with BatchPipeline(runner, name, images, n_loaders=n_loaders, console=console) as pipeline:
        ahead = pipeline.ahead if ahead is None else ahead
        for position, batch in enumerate(todo):
            for following in todo[position : position + 1 + ahead]:
                pipeline.prepare(following, read)
            write(pipeline.answer(batch, read))


def requests_of(trials: Sequence[Trial]) -> list[Request]:
    """Return the requests of those trials that can be asked."""
    return [trial.request for trial in trials if trial.request is not None]


def _answer(runner: Runner, name: str, prepared: Sequence[PreparedRequest]) -> list[Response]:
    """Answer a batch; requests without pixels are errors, and the others are asked without them."""
    good = [item for item in prepared if item.error is None]
    requests = [item.request for item in good]
    check_several(runner, name, requests)
    pixels = [item.loaded.shown for item in good if item.loaded is not None]
    answers = iter(
        check_responses(name, requests, runner.generate(requests, pixels)) if good else []
    )
    return [
        next(answers) if item.error is None else Response(error=item.error, finish="error")
        for item in prepared
    ]


def _lines(
    batch: int, prepared: Sequence[PreparedRequest], responses: Sequence[Response]
) -> list[ResponseLine]:
    return [
        ResponseLine(
            **response.model_dump(exclude={"pixels"}),
            pixels=response.pixels if item.loaded is None else item.loaded.digest,
            visibility=None if item.loaded is None else item.loaded.visibility,
            task=item.request.task,
            style=item.request.style,
            id=item.request.id,
            key=item.request.key,
            batch=batch,
        )
        for item, response in zip(prepared, responses, strict=True)
    ]
