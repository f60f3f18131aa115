"""Work that takes the samples image by image, in worker processes where that is faster."""

import contextlib
import os
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import groupby
from multiprocessing import get_context
from operator import attrgetter
from typing import TypeVar

from vipbench.console import Console
from vipbench.schema import Sample

ResultT = TypeVar("ResultT")

SERIAL = 400
"""Images up to which starting worker processes takes longer than it saves."""


def map_images(
    work: Callable[[Sequence[Sample]], list[ResultT]],
    samples: Sequence[Sample],
    label: str,
    console: Console,
) -> Iterator[ResultT]:
    """Yield the results for the samples of each image, image by image.

    Args:
        work: takes the samples that share an image; must be picklable.
        samples: in any order.
        label: of the bar.
        console: shows it.
    """
    by_image = groupby(sorted(samples, key=attrgetter("image")), key=attrgetter("image"))
    jobs = [tuple(group) for _, group in by_image]
    bar = partial(console.bar, label, total=len(jobs), unit=" images", in_logs=False)
    workers = min(os.cpu_count() or 1, 16)
    if len(jobs) <= SERIAL or workers == 1:
        yield from _flat(bar(map(work, jobs)))
        return
    # Spawned, not forked: the progress bar has a thread.
    pool = ProcessPoolExecutor(workers, get_context("spawn"))
    try:
        with _interrupt_ignored():
            results = pool.map(work, jobs, chunksize=32)
        yield from _flat(bar(results))
    finally:
        pool.shutdown(cancel_futures=True)


def _flat(lists: Iterable[list[ResultT]]) -> Iterator[ResultT]:
    for results in lists:
        yield from results


@contextlib.contextmanager
def _interrupt_ignored() -> Iterator[None]:
    """Start processes that leave Ctrl-C to this one: an ignored signal is inherited."""
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
