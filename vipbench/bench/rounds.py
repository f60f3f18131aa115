"""rounds: part of what was vipbench/bench/__init__.py."""

from pathlib import Path
from typing import NamedTuple

from vipbench.bench.floor import Work
from vipbench.bench.records import Answered, Job, Outcome, WayName
from vipbench.bench.settings import BenchSettings
from vipbench.console import Console
from vipbench.schema import Record, Trial


class Plan(Record):
    """What finished measurements belong to."""

    settings: BenchSettings
    versions: dict[str, str]
    weights: str


class Samples(NamedTuple):
    trials: list[Trial]
    images: dict[str, Path]
    """Task -> root of its images."""


class Round(NamedTuple):
    """One measurement of a way, by one process or by several in turn."""

    parts: list[Outcome]
    answers: dict[int, Answered]
    """Place of the sample -> what came of it."""
    works: Work
    """What all answers together need."""

    @property
    def seconds(self) -> float:
        """From the first request to the last answer."""
        return sum(part.seconds for part in self.parts)


class Bench(NamedTuple):
    """A bench under way."""

    folder: Path
    settings: BenchSettings
    base: Job
    """What all jobs share."""
    n: int
    places: dict[WayName, tuple[int, ...]]
    """Of the samples that each way is asked."""
    threads: tuple[int, ...]
    workers: int
    """Single-threaded processes that vipbench may choose."""
    console: Console
