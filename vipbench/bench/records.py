"""What the processes of a bench are told and what they find; needs no torch."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from vipbench.bench.floor import Shape
from vipbench.schema import Record

RandomSize = Literal["tiny", "7b", "13b"]
WayName = Literal["vipbench", "official", "usual"]
WAYS: tuple[WayName, ...] = ("vipbench", "official", "usual")


class Job(Record):
    """What one process measures."""

    name: str
    kind: Literal["pad", "peak", "tune", "run"]
    way: WayName = "vipbench"
    requests: Path
    """JSON lines of trials; `pad` writes them again."""
    images: dict[str, Path]
    """Task -> root of its images."""
    repeat: int = 1
    """So often the requests are asked, one time after another, as if there were more of them."""
    places: tuple[int, ...] = ()
    """Requests to ask, for `tune`; empty: all."""
    model: Path | None = None
    random: RandomSize | None = None
    device: str | None = None
    dtype: str | None = None
    threads: tuple[int, ...] = (1,)
    """To be tried; `run` has one."""
    workers: int = 1
    """Single-threaded processes that answer; `tune` tries them as well where there are several."""
    batch_sizes: tuple[int, ...] = ()
    """The same; empty where the way decides by itself."""
    stage_places: tuple[int, ...] = ()
    """Requests to ask once more after a `run`, with a clock around each stage."""
    prompt_tokens: int | None = None
    """Length to which `pad` brings prompts."""
    new_tokens: int | None = None
    """Longest answer that `pad` allows."""


class Speed(Record):
    """One try of `tune`."""

    threads: int
    """Of each process."""
    workers: int
    batch_size: int | None
    samples_per_s: float


class Answered(Record):
    """What came of one request."""

    text: str | None
    """None where there is no answer."""
    n_prompt: int
    n_passes: int
    """Times that one further token went through the language model."""
    n_new: int
    """Tokens of the answer; the end token is one."""


class Outcome(Record):
    """What a job found; which fields are filled depends on its kind."""

    seconds_to_start: float = 0.0
    """From the start of the process to where a model could be loaded."""
    seconds_to_load: float = 0.0
    seconds: float = 0.0
    """From the first request to the last answer."""
    seconds_first: float = 0.0
    """The first batch of it."""
    n_first: int = 0
    answers: tuple[Answered, ...] = ()
    """In the order of the requests."""
    n_padded: int = 0
    """Tokens of all prompts with their padding."""
    batch_size: int | None = None
    memory_mib: float = 0.0
    """Of the largest process."""
    memory_mib_first: float = 0.0
    """After the first batch."""
    device_mib: float | None = None
    stages: dict[str, float] = Field(default={})
    """Seconds of each, over the `stage_places`."""
    n_staged: int = 0
    speeds: tuple[Speed, ...] = ()
    peak: dict[int, float] = Field(default={})
    """Threads -> operations a second of a matrix product."""
    shape: Shape | None = None
    device: str = ""
    device_name: str = ""
    dtype: str = ""
    load_average: tuple[float, float, float] | None = None
    """At the end."""
