"""Answer a plan of single requests through an endpoint, each written as soon as it is answered."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Self

from vipbench.console import Console
from vipbench.engine.batches import requests_of
from vipbench.errors import RunnerError
from vipbench.images.load import Pixels, load_measured
from vipbench.runfolder.lines import ResponseLine
from vipbench.runfolder.manifest import Manifest
from vipbench.runfolder.sharing import Readings
from vipbench.runfolder.trials_file import Trials
from vipbench.runners.contract import check_responses
from vipbench.runners.openai.pictures import scale
from vipbench.runners.openai.runner import OpenAiRunner
from vipbench.schema import ImageRoots, Request, Response, Visibility


class OneByOne:
    """Answers batches of one request, many at once, in the order in which answers come.

    A context manager. It is a `Backend`.
    """

    n_splits = 0
    n_restarts = 0
    readings = Readings()

    def __init__(
        self,
        runner: OpenAiRunner,
        images: Mapping[str, ImageRoots],
        console: Console,
        manifest: Manifest,
    ) -> None:
        """Take a runner, and what the run knows of its endpoint already.

        Args:
            runner: answers.
            images: the folder below which each task's images lie, by the task's name.
            console: hears of what goes wrong.
            manifest: of the run, as an earlier start has left it.
        """
        self._runner, self._images, self._console = runner, images, console
        self._dialect, self._names = manifest.dialect, tuple(manifest.answered_by)
        self._seen: dict[int, tuple[str, tuple[Visibility, ...]]] = {}
        """Digest of the image, and what is left of its marks, by the `id` of a request."""
        self._probed: list[tuple[int, ResponseLine]] = []
        """Batches that were answered while the server was tried, and not written yet."""
        self._written_names: set[str] | None = None

    def __enter__(self) -> Self:
        self._runner.open(self._console, self._dialect, self._names)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._runner.close()

    def probe(self, trials: Trials, plan: Sequence[Sequence[int]], todo: Sequence[int]) -> None:
        """Find out what the server takes, with requests that are to be asked anyway.

        The answers are written by `answer`. Raises VipbenchError where nothing can be asked.
        """
        if self._dialect is not None:
            return
        first: dict[str, int] = {}
        for batch in todo:
            first.setdefault(trials.entries[plan[batch][0]].name.task, batch)
        asked = [(batch, self._read(trials, plan, batch)) for batch in first.values()]
        chosen = _most_unlike(asked)
        answers = self._runner.probe([request for _, request in chosen], self._load)
        for number, response in answers:
            batch, request = chosen[number]
            self._probed.append((batch, self._line(batch, request, response)))

    def answer(
        self,
        trials: Trials,
        plan: Sequence[Sequence[int]],
        todo: Sequence[int],
        *,
        write: Callable[[list[ResponseLine]], None],
    ) -> None:
        """Answer the batches `todo` of a plan; `write` takes the line of each.

        Raises:
            RunnerError: The runner broke its contract.
            VipbenchError: The endpoint answers no more, or a limit is reached.
        """
        done = {batch for batch, _ in self._probed}
        while self._probed:
            write([self._probed.pop(0)[1]])
        left = [batch for batch in todo if batch not in done]
        under_way: dict[int, Request] = {}

        def requests() -> Iterator[Request]:
            for number, batch in enumerate(left):
                under_way[number] = self._read(trials, plan, batch)
                yield under_way[number]

        for number, response in self._runner.answer_each(requests(), self._load):
            write([self._line(left[number], under_way.pop(number), response)])

    def has_news(self) -> bool:
        """Say, once, whether the manifest should know of a model's name, or of the dialect."""
        names = set(self._runner.answered_by)
        is_news = names != self._written_names
        self._written_names = names
        return is_news

    def noted(self, manifest: Manifest) -> Manifest:
        """Add to the manifest of the start what was found out of the endpoint, and its costs."""
        answered_by = dict(manifest.answered_by)
        for name, n in self._runner.answered_by.items():
            answered_by[name] = answered_by.get(name, 0) + n
        usage = self._runner.usage
        return manifest.model_copy(
            update={
                "answered_by": answered_by,
                "dialect": manifest.dialect or self._runner.dialect,
                "usage": usage if manifest.usage is None else manifest.usage.plus(usage),
            }
        )

    def _read(self, trials: Trials, plan: Sequence[Sequence[int]], batch: int) -> Request:
        requests = requests_of(trials.read(plan[batch]))
        if len(requests) != 1:
            raise RunnerError(
                f"batch {batch}: holds {len(requests)} requests · an endpoint is asked one at a "
                "time · start the run over with --fresh"
            )
        return requests[0]

    def _load(self, request: Request) -> Pixels:
        loaded = load_measured(request, self._images[request.task], self._runner.image_size)
        areas = [
            scale(pixels.shape, self._runner.max_side) ** 2
            for pixels in (loaded.pixels, *loaded.others)
        ]
        prompts = request.visual_prompts if loaded.visibility else ()
        visibility = tuple(
            mark.model_copy(update={"fitted_px": mark.fitted_px * areas[prompt.region.image]})
            for mark, prompt in zip(loaded.visibility, prompts, strict=True)
        )
        self._seen[id(request)] = loaded.digest, visibility
        return loaded.shown

    def _line(self, batch: int, request: Request, response: Response) -> ResponseLine:
        check_responses("openai", [request], [response])
        digest, visibility = self._seen.pop(id(request), (None, None))
        return ResponseLine(
            **response.model_dump(exclude={"pixels"}),
            pixels=response.pixels or digest,
            visibility=visibility,
            task=request.task,
            style=request.style,
            id=request.id,
            key=request.key,
            batch=batch,
        )


def _most_unlike(asked: Sequence[tuple[int, Request]]) -> list[tuple[int, Request]]:
    """Choose the requests with the least and the most room, and one with options; most room last.

    The answer to the last one is always kept.
    """
    by_room = sorted(asked, key=lambda item: item[1].max_new_tokens)
    chosen = [by_room[0], by_room[-1]] if by_room else []
    chosen += [item for item in by_room if item[1].options][:1]
    unlike = {
        (request.max_new_tokens, bool(request.options)): (batch, request)
        for batch, request in chosen
    }
    return [unlike[key] for key in sorted(unlike)]
