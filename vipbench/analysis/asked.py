"""Whether two runs asked the same questions, where nothing else that differs explains another."""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from vipbench.analysis.pairs import AskedSample, Side
from vipbench.digests import digest, facts
from vipbench.files import read_lines
from vipbench.runfolder.folder import REQUESTS, RUN_ADVICE
from vipbench.schema import Request, Trial

KEY_DIGITS = 16
"""Of a request's key: enough to tell all requests apart that there will ever be."""


class Asked(NamedTuple):
    """A task whose samples were not asked the same in two runs."""

    task: str
    n: int
    """Samples that were asked otherwise."""
    n_common: int
    """Samples that both runs asked."""
    example: str
    """Id of one that was asked otherwise."""
    what: tuple[str, ...]
    """What of a request differs: `text`, `marks`, `token limit`, `image`."""

    @property
    def words(self) -> str:
        """Say it for readers."""
        share = f"{self.n:,} of {self.n_common:,} samples"
        return f"{self.task} with other {', '.join(self.what)} in {share}, such as {self.example}"


def asked_otherwise(base: Side, new: Side) -> list[Asked]:
    """Find the tasks of both runs whose samples were not asked the same, by the requests' keys.

    A task whose style, seed, fit, version, sampling or EXIF orientation differs is passed over:
    other requests follow from that, and it is told elsewhere.

    Raises:
        RunError: The requests of a run cannot be read.
    """
    ours, theirs = base.manifest.identity.requests, new.manifest.identity.requests
    tasks = [
        task
        for task in ours
        if task in theirs and ours[task] != theirs[task] and _is_same_protocol(base, new, task)
    ]
    if not tasks:
        return []
    found = (_compare(task, *(asked_samples(side, task) for side in (base, new))) for task in tasks)
    return [asked for asked in found if asked is not None]


def asked_samples(side: Side, task: str) -> Mapping[str, AskedSample]:
    """Return how the samples of a task were asked under the style that is compared, as digests.

    Raises:
        RunError: The requests of a run cannot be read.
    """
    if side.kept is not None:
        return side.kept.asked.get(task, {})
    trials = read_lines(side.folder / REQUESTS, Trial, RUN_ADVICE)
    return asked_of(trials, task, side.style_of(task))


def asked_of(trials: Iterable[Trial], task: str, style: str) -> Mapping[str, AskedSample]:
    """Return how some trials of a task are asked under a style, as digests, by sample."""
    return {
        trial.id: _asked(trial.request)
        for trial in trials
        if trial.request is not None and (trial.task, trial.style) == (task, style)
    }


def _asked(request: Request) -> AskedSample:
    marks = [mark.model_dump(mode="json") for mark in request.visual_prompts]
    return AskedSample(
        key=request.key[:KEY_DIGITS],
        text=digest(list(request.turns))[:8],
        marks=digest(marks)[:8],
        max_new_tokens=request.max_new_tokens,
    )


def _is_same_protocol(base: Side, new: Side, task: str) -> bool:
    """Say whether the same sample should be asked the same under the styles that are compared."""
    protocols = []
    for side in (base, new):
        identity, style = side.manifest.identity, side.style_of(task)
        drawn = [facts(each) for each in identity.styles.get(task, ()) if each.name == style]
        run = side.manifest.tasks[task]
        exif, decoding = identity.exif.get(task), identity.settings.decoding == "official"
        protocols.append((style, drawn, identity.seed, run.version, run.fit, exif, decoding))
    return protocols[0] == protocols[1]


def _compare(
    task: str, ours: Mapping[str, AskedSample], theirs: Mapping[str, AskedSample]
) -> Asked | None:
    common = [id_ for id_ in ours if id_ in theirs]
    other = [id_ for id_ in common if ours[id_].key != theirs[id_].key]
    if not other:
        return None
    what: dict[str, None] = {}
    for id_ in other:
        what |= dict.fromkeys(_differing(ours[id_], theirs[id_]))
    return Asked(task, len(other), len(common), other[0], tuple(what))


def _differing(one: AskedSample, two: AskedSample) -> Iterator[str]:
    """Say what of two requests with other keys differs; the image is what no field shows."""
    fields = {"text": "text", "marks": "marks", "token limit": "max_new_tokens"}
    names = [name for name, field in fields.items() if getattr(one, field) != getattr(two, field)]
    yield from names or ["image"]
