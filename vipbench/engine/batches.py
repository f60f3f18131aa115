"""Answer batches in one process: the next are drawn and fitted while one is answered."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

from vipbench.console import STDERR, Console
from vipbench.engine.loaders import AHEAD, LoadedBatch, Loaders, View
from vipbench.images.load import Ready, prepare
from vipbench.runfolder.lines import ResponseLine
from vipbench.runfolder.trials_file import Trials
from vipbench.runners.contract import Runner, check_responses, patch_size_of, reads_images
from vipbench.schema import Request, Response, Trial


class Desk:
    """Where one runner's batches are drawn, fitted and answered; a context manager."""

    def __init__(
        self,
        runner: Runner,
        name: str,
        images: Mapping[str, Path],
        *,
        n_loaders: int = 0,
        console: Console = STDERR,
    ) -> None:
        """Start what loads images.

        Args:
            runner: answers.
            name: what messages call it.
            images: the root of each task's images.
            n_loaders: processes that load images; 0: a thread of this process does.
            console: takes what became of a loader that was killed.
        """
        self._runner, self._name, self._with_images = runner, name, reads_images(runner)
        self._view = View(images, runner.image_size, patch_size_of(runner))
        self._loaders: Loaders | None = None
        if n_loaders and self._with_images:
            self._loaders = Loaders(n_loaders, self._view, console)
        self.ahead = AHEAD if self._loaders is not None else 1
        """Batches that may be prepared ahead of the one that is answered."""
        self._threads = ThreadPoolExecutor(self.ahead)
        self._coming: dict[int, Future[LoadedBatch]] = {}

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
        """Begin to draw and fit a batch, unless that has begun; `read` gives its requests.

        Batches are to be answered in the order in which they are prepared.
        """
        if batch not in self._coming:
            self._coming[batch] = self._threads.submit(self._load, batch, read)

    def answer(self, batch: int, read: Callable[[int], Sequence[Request]]) -> list[ResponseLine]:
        """Answer a batch, prepared before or now.

        Raises:
            RunnerError: The runner broke its contract.
            RunError: A loader was killed again and again.
        """
        self.prepare(batch, read)
        loaded = self._coming.pop(batch).result()
        try:
            return _lines(batch, loaded.ready, _answer(self._runner, self._name, loaded.ready))
        finally:
            if self._loaders is not None:
                self._loaders.release(loaded)

    def _load(self, batch: int, read: Callable[[int], Sequence[Request]]) -> LoadedBatch:
        requests = read(batch)
        if not self._with_images:
            return LoadedBatch([Ready(request, None, None) for request in requests], None)
        if self._loaders is not None:
            return self._loaders.load(requests)
        return LoadedBatch([prepare(request, *self._view) for request in requests], None)


def answer_batches(
    runner: Runner,
    name: str,
    trials: Trials,
    plan: Sequence[Sequence[int]],
    todo: Sequence[int],
    images: Mapping[str, Path],
    write: Callable[[list[ResponseLine]], None],
    *,
    ahead: int | None = None,
    n_loaders: int = 0,
    console: Console = STDERR,
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
        ahead: batches that are prepared while one is answered; None: as many as a desk can.
        n_loaders: see `Desk`, as for the last.
        console: see there.

    Raises:
        RunnerError: The runner broke its contract.
        RunError: A loader was killed again and again.
    """

    def read(batch: int) -> list[Request]:
        return requests_of(trials.read(plan[batch]))

    if not todo:
        return
    with Desk(runner, name, images, n_loaders=n_loaders, console=console) as desk:
        ahead = desk.ahead if ahead is None else ahead
        for position, batch in enumerate(todo):
            for coming in todo[position : position + 1 + ahead]:
                desk.prepare(coming, read)
            write(desk.answer(batch, read))


def requests_of(trials: Sequence[Trial]) -> list[Request]:
    """Return the requests of those trials that can be asked."""
    return [trial.request for trial in trials if trial.request is not None]


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
            pixels=response.pixels if each.loaded is None else each.loaded.digest,
            visibility=None if each.loaded is None else each.loaded.visibility,
            task=each.request.task,
            style=each.request.style,
            id=each.request.id,
            key=each.request.key,
            batch=batch,
        )
        for each, response in zip(ready, responses, strict=True)
    ]
