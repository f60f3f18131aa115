"""Whether two runs asked the same questions, where nothing else that differs explains another."""

from collections.abc import Iterator
from typing import NamedTuple

from vipbench.analysis.pairs import Side
from vipbench.digests import facts
from vipbench.runfolder.folder import REQUESTS
from vipbench.runfolder.trials_file import Trials, open_trials
from vipbench.schema import Request


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
    opened = [open_trials(side.folder / REQUESTS) for side in (base, new)]
    found = (_compare(base, task, opened[0], opened[1]) for task in tasks)
    return [asked for asked in found if asked is not None]


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


def _compare(base: Side, task: str, ours: Trials, theirs: Trials) -> Asked | None:
    numbers = [_numbers(trials, task, base.style_of(task)) for trials in (ours, theirs)]
    common = [id_ for id_ in numbers[0] if id_ in numbers[1]]
    other = [
        id_
        for id_ in common
        if ours.entries[numbers[0][id_]].key != theirs.entries[numbers[1][id_]].key
    ]
    if not other:
        return None
    what: dict[str, None] = {}
    for id_ in other:
        one, two = ours[numbers[0][id_]].request, theirs[numbers[1][id_]].request
        if one is not None and two is not None:
            what |= dict.fromkeys(_differing(one, two))
    return Asked(task, len(other), len(common), other[0], tuple(what))


def _numbers(trials: Trials, task: str, style: str) -> dict[str, int]:
    """Return where the samples of a task lie that could be asked."""
    return {
        entry.name.id: number
        for number, entry in enumerate(trials.entries)
        if entry.key is not None and (entry.name.task, entry.name.style) == (task, style)
    }


def _differing(one: Request, two: Request) -> Iterator[str]:
    """Say what of two requests with other keys differs; the image is what no field shows."""
    fields = {"text": "turns", "marks": "visual_prompts", "token limit": "max_new_tokens"}
    names = [name for name, field in fields.items() if getattr(one, field) != getattr(two, field)]
    yield from names or ["image"]
