"""The pictures of a report: as the model saw them, small, inside the page or in files beside it."""

import base64
import contextlib
import hashlib
import io
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from vipbench.console import QUIET, Console
from vipbench.errors import DataError, RunError
from vipbench.files import remove_others, without_folders
from vipbench.html.dataset import NONE, Dataset, Pictures, ToDraw
from vipbench.html.runs import Run, image_size, reveal_hidden
from vipbench.images.load import load_measured

LARGEST = 448
"""px; larger squares are reduced to it."""
LOSSLESS = 128
"""px; up to this side, pictures keep every pixel."""
QUALITY = 82
"""Of lossy WebP."""
MAX_INLINE_BYTES = 48_000_000
"""Of all pictures in the page; browsers take long to open much larger ones."""
FOLDER = "report_files"
"""Beside the page: its plots, and pictures where they are many."""
PICTURES = "pictures"
_OWN_NAME = re.compile(r"[0-9a-f]{20}\.webp")
"""Files that are ours, so that those of an earlier report can be removed."""


class Drawn(NamedTuple):
    """How many pictures could be drawn and shown."""

    n_drawn: int
    n_withheld: int
    """Questions whose task's pictures may not be redistributed."""
    n_failed: int
    first_failure: str
    inside: bool
    """Whether they are in the page."""


class _Encoded(NamedTuple):
    name: str
    content: bytes


def add_pictures(
    dataset: Dataset,
    to_draw: Sequence[ToDraw],
    out: Path,
    *,
    embed_images: bool,
    max_inline: int,
    console: Console = QUIET,
) -> Drawn:
    """Draw the picture of each question that may be shown, and add it to the data set.

    Up to `max_inline` samples, pictures go into the data set; above that, or above
    MAX_INLINE_BYTES, into `out / FOLDER`. Pictures of an earlier report there are removed.

    Args:
        dataset: takes the pictures.
        to_draw: what could be drawn.
        out: folder of the page.
        embed_images: show pictures of tasks with `redistribute: false` too; synthetic ones are
            shown always.
        max_inline: samples.
        console: shows a bar.

    Raises:
        RunError: A file cannot be written.
    """
    size = image_size(dataset.runs)
    asks, texts = dataset.asks, dataset.texts
    allowed = [picture for picture in to_draw if embed_images or _may_travel(dataset.runs, picture)]
    folder = out / FOLDER / PICTURES
    store = _PictureStore(folder, inside=dataset.n_samples() <= max_inline)
    withheld = "not shown: its task may not be redistributed · --embed-images shows it"
    for picture in to_draw:
        asks.why[picture.ask] = texts.index(withheld)
    bar = console.bar("pictures", allowed, unit="", leave=False, in_logs=False)
    pictures, failures = _draw_all(dataset, bar, size, store)
    sources = store.sources()
    dataset.pictures = Pictures(
        size=min(size, LARGEST),
        folder="" if store.inside else f"{FOLDER}/{PICTURES}/",
        source=[sources[number] for number, _ in pictures],
        exact=[exact for _, exact in pictures],
    )
    # Those of an earlier report may be ones that must not be shown now.
    remove_others(folder, _OWN_NAME, keep=() if store.inside else store.names)
    return Drawn(
        n_drawn=sum(index != NONE for index in asks.picture),
        n_withheld=len(to_draw) - len(allowed),
        n_failed=sum(failures.values()),
        first_failure=reveal_hidden(next(iter(failures), "")),
        inside=store.inside,
    )


def _draw_all(
    dataset: Dataset, to_draw: Iterable[ToDraw], size: int, store: "_PictureStore"
) -> tuple[list[tuple[int, int]], Counter[str]]:
    """Draw pictures into the store, and note of each question which it is or why there is none.

    Returns:
        File in the store and whether it is exact, of each picture in the page; and how often
        drawing failed, by the error.
    """
    asks = dataset.asks
    failures: Counter[str] = Counter()
    indices: dict[tuple[int, int], int] = {}
    for picture in to_draw:
        try:
            encoded, exact = _draw(picture, size, dataset.pixels.get(picture.ask))
        except DataError as error:
            failures[str(error)] += 1
            asks.why[picture.ask] = dataset.texts.index(
                f"no picture: {without_folders(str(error), picture.images)}"
            )
            continue
        asks.why[picture.ask] = NONE
        drawn = [(store.add(each), exact) for each in encoded]
        first, *others = [indices.setdefault(each, len(indices)) for each in drawn]
        asks.picture[picture.ask] = first
        if others:
            asks.others[picture.ask] = others
    return list(indices), failures


def _may_travel(runs: Sequence[Run], picture: ToDraw) -> bool:
    """Whether all runs that have the task allow its pictures to be redistributed."""
    tasks = [task for run in runs if (task := run.task(picture.task)) is not None]
    return all(task.redistribute or task.synthetic for task in tasks)


def _draw(picture: ToDraw, size: int, seen: set[str] | None) -> tuple[list[_Encoded], int]:
    """Draw the images of a question; also say whether models saw these, by the digests `seen`."""
    loaded = load_measured(picture.request, picture.images, size)
    exact = int(seen == {loaded.digest}) if seen else NONE
    return [_encode(Image.fromarray(each)) for each in loaded.each], exact


def _encode(image: Image.Image) -> _Encoded:
    if image.width > LARGEST:
        image = image.resize((LARGEST, LARGEST), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    if image.width <= LOSSLESS:
        image.save(buffer, "WEBP", lossless=True, method=4)
    else:
        image.save(buffer, "WEBP", quality=QUALITY, method=4)
    content = buffer.getvalue()
    return _Encoded(hashlib.sha256(content).hexdigest()[:20] + ".webp", content)


class _PictureStore:
    """Keeps encoded pictures once each: in memory for the page, or in files where they are many."""

    def __init__(self, folder: Path, *, inside: bool) -> None:
        self.folder, self.inside = folder, inside
        self.names: dict[str, int] = {}
        self._contents: list[bytes] = []
        self._n_bytes = 0

    def add(self, picture: _Encoded) -> int:
        """Keep a picture and return its index."""
        if picture.name not in self.names:
            self.names[picture.name] = len(self.names)
            self._n_bytes += len(picture.content)
            if self.inside:
                self._contents.append(picture.content)
                if self._n_bytes > MAX_INLINE_BYTES:
                    self._move()
            else:
                _write(self.folder / picture.name, picture.content)
        return self.names[picture.name]

    def sources(self) -> list[str]:
        """Return the data URI, or the name of the file, of each picture."""
        if not self.inside:
            return list(self.names)
        return [
            "data:image/webp;base64," + base64.b64encode(content).decode()
            for content in self._contents
        ]

    def _move(self) -> None:
        for name, content in zip(self.names, self._contents, strict=True):
            _write(self.folder / name, content)
        self._contents, self.inside = [], False


def _write(path: Path, content: bytes) -> None:
    """Write a picture, all or none; RunError where the disk refuses.

    There may be tens of thousands, and a report can be made again: so it is not forced onto the
    disk at once, as a run's files are.
    """
    draft = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_bytes(content)
        draft.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            draft.unlink()
        raise RunError(
            f"{path}: cannot be written ({error.strerror}) · make room, or name another -o"
        ) from error
