"""What a plan says, as `vipbench plan --json` prints it."""

from typing import Literal

from vipbench.endpoints.estimate import Needs
from vipbench.runners.spec import Estimate
from vipbench.schema import Record


class Row(Record):
    """The requests of one task under one style."""

    task: str
    style: str
    n_requests: int
    """One a sample; those that cannot be asked are among them."""
    n_unusable: int
    n_pictures: int
    """That are shown: one a request, or several."""
    n_images: int | None
    """Different images of the task; None: its data are not here."""
    is_read: bool
    """Whether the data were counted; else the published size stands for them."""


class Known(Record):
    """One published number of the checkpoint that is planned for."""

    task: str
    group: str
    metric: str
    value: float
    """Percent."""
    judge: str | None
    """Model that graded it; None: none did."""


class Comparable(Record):
    """One task of the suite, a joint one with its parts, and who has published numbers for it."""

    name: str
    n_requests: int
    share: float
    """Of all requests, 0-1."""
    numbers: tuple[Known, ...]
    """Of this checkpoint, and comparable as far as is known before the run."""
    reasons: tuple[str, ...]
    """Why further numbers of this checkpoint are not comparable."""
    others: tuple[str, ...]
    """Checkpoints that can be compared here where this one cannot."""


class Hours(Record):
    """How long some devices answer, without loading; and what fits into their memory."""

    device: str
    n: int
    hours: float | None
    """Of all of them together; None: unknown."""
    least_hours: float | None
    """What the arithmetic alone takes at the device's peak; None: unknown."""
    source: Literal["bench", "run", "arithmetic", "unknown"]
    text: str
    """What the hours rest on."""
    memory_gb: float | None = None
    """Of one device, 10^9 bytes."""
    batch_tokens: int | None = None
    """Tokens of prompts that fit into it beside the weights; 0: the model does not fit."""


class Room(Record):
    """One thing that takes room on a disk."""

    what: str
    n_bytes: int | None
    """None: unknown."""
    state: Literal["here", "to fetch", "to write"]
    text: str = ""


class Command(Record):
    """One step of the chain; it begins when the one before it has ended well."""

    name: str
    words: tuple[str, ...]
    n_jobs: int = 1
    """Of an array of jobs, each with its own number."""
    n_gpus: int = 0
    """Of each job."""
    n_cpus: int = 0
    """Of each job; 0: as the cluster gives."""


class Plan(Record):
    """All of it."""

    suite: str
    model: str
    rows: tuple[Row, ...]
    comparable: tuple[Comparable, ...]
    left_out: tuple[str, ...]
    """Tasks that `--comparable-only` left out."""
    n_weights: int | None
    """Numbers of the model; None: unknown."""
    dtype: str | None
    hours: tuple[Hours, ...]
    disk: tuple[Room, ...]
    endpoint: Estimate | None
    """What an endpoint would be sent; None: none is asked."""
    judge: Needs | None
    """What a judge takes at least; None: none was named."""
    judge_most: Needs | None
    n_graded: int
    """Answers that a judge is needed for."""
    assumed: tuple[str, ...]
    notes: tuple[str, ...]
    """Of tasks and styles that are left out."""
    commands: tuple[Command, ...]

    @property
    def n_requests(self) -> int:
        """All of them."""
        return sum(row.n_requests for row in self.rows)
