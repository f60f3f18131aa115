"""What a bench in progress knows: its plan, its samples, the rounds that are measured."""

from pathlib import Path
from typing import NamedTuple

from vipbench.bench.floor import Work
from vipbench.bench.records import Answered, Job, Outcome, WayName
from vipbench.bench.settings import BenchSettings
from vipbench.console import Console
from vipbench.schema import ImageRoots, Record, Trial


class Plan(Record):
    """What finished measurements belong to."""

    settings: BenchSettings
    versions: dict[str, str]
    weights: str
    """sha256 of the checkpoint's weights."""


class Samples(NamedTuple):
    """What is asked, before requests are changed as the settings say."""

    trials: list[Trial]
    images: dict[str, ImageRoots]
    """Task -> root of its images, or several."""


class Round(NamedTuple):
    """One measurement of a way, by one process or by several in turn."""

    parts: list[Outcome]
    """Of each process."""
    answers: dict[int, Answered]
    """Index of the sample -> its answer."""
    works: Work
    """What all answers together need."""

    @property
    def seconds(self) -> float:
        """From the first request to the last answer."""
        return sum(part.seconds for part in self.parts)


class Session(NamedTuple):
    """A bench in progress."""

    folder: Path
    """Of finished measurements."""
    settings: BenchSettings
    base: Job
    """What all jobs share."""
    n: int
    """Samples in all."""
    together: int
    """Samples in a row that have something in common, and are taken whole or not."""
    indices: dict[WayName, tuple[int, ...]]
    """Of the samples that each way is asked."""
    threads: tuple[int, ...]
    """Numbers of threads that a way may choose."""
    workers: int
    """Single-threaded processes that vipbench may choose."""
    console: Console
