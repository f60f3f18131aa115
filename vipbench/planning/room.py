"""What a run takes on a disk: checkpoint, data, run folder."""

from collections.abc import Iterable, Iterator

from vipbench.data.cache import fetched_folder
from vipbench.data.fetching.lock import status
from vipbench.data.fetching.sources import find_sources, load_source
from vipbench.planning.asked import Asked, is_here
from vipbench.planning.records import Room
from vipbench.run.dry_run import LINE_BYTES
from vipbench.run.settings import RunSettings
from vipbench.runners.spec import Outlined
from vipbench.trials.selection import TaskChoice


def find_room(
    settings: RunSettings, model: Outlined, choices: Iterable[TaskChoice], asked: Asked
) -> tuple[Room, ...]:
    """Say what is here, what is to be fetched, and what will be written."""
    n_lines = sum(load.n for load in asked.loads)
    run = Room(what="run folder", n_bytes=asked.n_bytes + LINE_BYTES * n_lines, state="to write")
    return (*_checkpoint(model), *_data(settings, choices), run)


def _checkpoint(model: Outlined) -> Iterator[Room]:
    if model.weight_bytes is not None:
        yield Room(what="checkpoint", n_bytes=model.weight_bytes, state="here")
    elif model.sizes is not None:
        itemsize = 4 if model.dtype == "float32" else 2
        n_bytes = model.sizes.n_weights * itemsize
        yield Room(what="checkpoint", n_bytes=n_bytes, state="to fetch")


def _data(settings: RunSettings, choices: Iterable[TaskChoice]) -> Iterator[Room]:
    """Yield the data of each key once; of those that are here nobody counts the bytes."""
    keys: dict[str, bool] = {}
    for choice in choices:
        keys[str(choice.spec.data)] = is_here(choice)
    for key, here in keys.items():
        what = f"data {key}"
        if here:
            yield Room(what=what, n_bytes=None, state="here")
        elif key not in find_sources(settings.include):
            yield Room(what=what, n_bytes=None, state="to fetch", text="give --data")
        else:
            source = load_source(key, settings.include)
            parts = [part for part in status(source, fetched_folder(key)) if not part.part.optional]
            known = sum(part.size or 0 for part in parts)
            unknown = [part.name for part in parts if part.size is None]
            how = f"vipbench data fetch {key}" + (" says how" if source.by_hand else "")
            more = f"; of {', '.join(unknown)} the size is unknown" if unknown else ""
            yield Room(what=what, n_bytes=known or None, state="to fetch", text=f"{how}{more}")
