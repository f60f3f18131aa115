"""Sources of benchmark data: `tasks/sources/KEY.yaml` says what a set consists of, and where."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Annotated, Self

from pydantic import Field, model_validator

from vipbench.data.cache import FETCHED
from vipbench.data.fetching.archives import is_safe_name
from vipbench.data.tasks import find_files, find_tasks, load_task, named_file
from vipbench.errors import TaskError
from vipbench.schema import Record
from vipbench.validation import checked, read_yaml

SOURCES = "sources"
"""Folder below a folder of tasks."""
STAGE = ".vipbench-fetch"
"""Folder of what is not whole yet, below the folder of the data."""

Bytes = Annotated[int, Field(gt=0)]


class RemoteFile(Record):
    """One file to load, or a selection of the files of one repository on the hub."""

    url: str | None = None
    hub: str | None = None
    """A data set on the hub, `owner/name`."""
    revision: str | None = None
    """Commit of the data set."""
    take: tuple[str, ...] = ()
    """Paths or patterns in the repository on the hub; or the one file that is wanted from an
    archive, by name."""
    unpack: bool = False
    to: str
    """Path below the folder of the data; `.` keeps the paths of the repository."""
    size: Bytes | None = None
    """Bytes to be loaded, where they are known exactly; another size is refused."""
    about: Bytes | None = None
    """Bytes to be loaded, where they are known roughly."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.url and self.hub:
            raise ValueError("takes either 'url' or 'hub'")
        if self.hub and not (self.take and re.fullmatch("[0-9a-f]{40}", self.revision or "")):
            raise ValueError("from the hub needs 'take' and the full commit as 'revision'")
        if self.unpack and len(self.take) > 1:
            raise ValueError("takes one file from an archive, or all")
        parts = PurePosixPath(self.to).parts
        if not is_safe_name(self.to) or parts[:1] in ((STAGE,), (FETCHED,)):
            raise ValueError(f"to = {self.to!r} leaves the folder of the data")
        if not (parts or self.hub):
            raise ValueError(f"to = {self.to!r} names no file")
        return self


class Part(Record):
    """A part of a set that can be fetched by itself."""

    title: str
    licence: str
    """In a few words; the task files have all of it."""
    optional: bool = False
    """Fetched only where it is named."""
    files: tuple[RemoteFile, ...] = Field(min_length=1)


class Source(Record):
    """Where the data of one key come from: one file in `tasks/sources`."""

    key: str
    title: str
    tasks: tuple[str, ...] = ()
    splits: str = ""
    page: str = ""
    """Where a reader learns more."""
    parts: dict[str, Part]
    by_hand: tuple[str, ...] = ()
    """Steps, where a licence must be accepted by hand; `{folder}` stands for the folder."""


def find_sources(include: Sequence[Path] = ()) -> dict[str, Path]:
    """Map each key to the file that describes it; TaskError for a key that is described twice."""
    return find_files(include, SOURCES)


def load_source(key: str, include: Sequence[Path] = ()) -> Source:
    """Load the description of one key; TaskError for an unknown key, naming a file's mistakes."""
    sources = find_sources(include)
    if key not in sources and key in find_tasks(include):
        data = load_task(key, include).data
        keys = [data] if isinstance(data, str) else [str(load_task(part).data) for part in data]
        raise TaskError(f"data {key!r}: it is a task · give the key of its data, {keys[0]}")
    path = named_file(sources, key, f"data {key!r}: no source is known", "vipbench data ls")
    content = read_yaml(path)
    mistakes = []
    if content.get("key", key) != key or not re.fullmatch(r"\w[\w-]*", key):
        mistakes.append(f"key {content.get('key')!r} is not the file's name {key!r}")
    if not content.get("by_hand"):
        mistakes += _address_mistakes(content.get("parts"))
    return checked(Source, content, str(path), mistakes)


def _address_mistakes(parts: object) -> Iterator[str]:
    for name, part in parts.items() if isinstance(parts, dict) else ():
        files = part.get("files") if isinstance(part, dict) else None
        for n, file in enumerate(files if isinstance(files, list) else ()):
            if isinstance(file, dict) and not (file.get("url") or file.get("hub")):
                yield f"parts.{name}.files.{n}: names neither 'url' nor 'hub'"


def steps_by_hand(source: Source, folder: Path) -> list[str]:
    """Return what to do for a set whose licence must be accepted by hand."""
    return [step.replace("{folder}", str(folder)) for step in source.by_hand]
