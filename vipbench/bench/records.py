"""What the processes of a bench are asked and what they answer, as JSON files; needs no torch."""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from vipbench.bench.floor import Work
from vipbench.runfolder.sharing import Readings
from vipbench.runners.vipllava.model_sizes import ModelSizes
from vipbench.schema import ImageRoots, Quantize, Record

RandomSize = Literal["tiny", "small", "7b", "13b"]
WayName = Literal["vipbench", "unshared", "official", "usual", "peer"]
JobKind = Literal["lengthen", "count", "peak", "tune", "run"]
WAYS: tuple[WayName, ...] = ("vipbench", "official", "usual")
"""Those that need nothing but the model, whatever is asked."""
OURS: tuple[WayName, ...] = ("vipbench", "unshared")
"""Those that the runner answers."""


class Peer(Record):
    """A server that answers the same requests, as the way *peer*."""

    url: str
    model: str
    """As the server calls it."""
    extra_body: dict[str, Any] | None = None
    """Further fields of each request's JSON."""


class Job(Record):
    """What one process measures."""

    name: str
    kind: JobKind
    way: WayName = "vipbench"
    requests: Path
    """JSON lines of trials; `lengthen` writes them again."""
    images: dict[str, ImageRoots]
    """Task -> root of its images, or several."""
    repeat: int = 1
    """How often the requests are asked, one time after another, as if there were more of them."""
    places: tuple[int, ...] = ()
    """Indices of the requests to ask; empty: all."""
    model: Path | None = None
    random: RandomSize | None = None
    adapter: str | None = None
    quantize: Quantize | None = None
    device: str | None = None
    dtype: str | None = None
    threads: tuple[int, ...] = (1,)
    """To be tried; `run` has one."""
    workers: int = 1
    """Single-threaded processes that answer; `tune` tries them as well where there are several."""
    batch_sizes: tuple[int, ...] = ()
    """To be tried; `run` has one at most. Empty: the way decides by itself. Of a server: requests
    under way."""
    stage_places: tuple[int, ...] = ()
    """Indices of the requests to ask once more after a `run`, with a clock around each stage."""
    one_limit: bool = False
    """No way may know beforehand which answers will be short, whatever the requests say."""
    prompt_tokens: int = 0
    """Length to which `lengthen` brings prompts."""
    peer: Peer | None = None
    """For the way of that name."""


class Speed(Record):
    """The best try of a choice in `tune`."""

    threads: int
    """Of each process."""
    workers: int
    batch_size: int | None
    samples_per_s: float


class Answered(Record):
    """The answer to one request."""

    text: str | None
    """None where there is no answer."""
    n_prompt: int
    n_passes: int
    """Times that one further token went through the language model."""
    n_new: int
    """Tokens of the answer; the end token is one."""


class Outcome(Record):
    """What a job measured; which fields are filled depends on its kind."""

    seconds_to_start: float = 0.0
    """From the start of the process to where a model could be loaded."""
    seconds_to_load: float = 0.0
    seconds: float = 0.0
    """From the first request to the last answer."""
    seconds_first: float = 0.0
    """The first batch of it."""
    n_first: int = 0
    answers: tuple[Answered, ...] = ()
    """In the order of the `places`."""
    n_padded: int = 0
    """Tokens of all prompts with their padding."""
    batch_size: int = 1
    """Requests of the largest batch."""
    seconds_busy: float | None = None
    """In which the model had a batch; None where other processes answer."""
    seconds_waited: float | None = None
    """In which it waited for the next one: not for the answers of the last to be written."""
    memory_mib: float = 0.0
    """Largest resident memory so far of a process, before its answers are read again."""
    memory_mib_first: float = 0.0
    """The same after the first batch."""
    memory_course: tuple[float, ...] = ()
    """Resident memory after the first batch and after each tenth of the requests, MiB; empty where
    the system does not tell."""
    device_mib: float | None = None
    """Largest memory of tensors on the device; None on a CPU."""
    device_mib_first: float | None = None
    """The same after the first batch."""
    device_course: tuple[float, ...] = ()
    """What torch holds of the device's memory, at the same times as `memory_course`, MiB."""
    stages: dict[str, float] = Field(default={})
    """Seconds of each, over the `stage_places`."""
    n_staged: int = 0
    seconds_staged: float = 0.0
    """From the first of them to the last answer."""
    speeds: tuple[Speed, ...] = ()
    messages: tuple[str, ...] = ()
    """What a person should know of the way that was tuned."""
    peak: dict[int, float] = Field(default={})
    """Threads -> operations a second of a matrix product."""
    once: Work | None = None
    """What all prompts take together where nothing that is the same is computed twice."""
    alone: Work | None = None
    """The same where each is computed by itself."""
    n: int = 0
    """Prompts that were counted."""
    shape: ModelSizes | None = None
    device: str = ""
    device_name: str = ""
    dtype: str = ""
    readings: Readings = Readings()
    """What the prompts take, each read by itself, and what was read of them; zeros where those are
    the same."""
    forgets: bool = True
    """Whether it began without what was asked before."""
    attention: str = ""
    """Kernel that torch takes for the attention of a prompt."""
    load_average: tuple[float, float, float] | None = None
    """At the end."""
