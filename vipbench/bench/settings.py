"""What a bench measures: its settings, and the constants that they start from."""

from typing import Annotated, Literal

from pydantic import Field

from vipbench.bench.records import WAYS, RandomSize, WayName
from vipbench.schema import Record

N = 500
"""Samples without `--n`: with them a bench of the embedded checkpoint takes three or four minutes
on two cores."""
ROUNDS = 3
USUAL_BATCH_SIZES = (8, 16, 32, 64)
"""What the usual way may choose from."""
N_TUNE = 128
"""Samples on which a way chooses its threads and batch size."""
N_TUNE_OFFICIAL = 48
"""The same for the official way, which has no batch to fill."""
STAGED_ON = {"vipbench": 128, "official": 32, "usual": 128}
"""Samples, at most, whose stages are timed."""
WORKERS = 2
"""Processes that vipbench may choose on a CPU: no more cores than the others may use."""


class BenchSettings(Record):
    """What to measure."""

    model: str | None = None
    """Checkpoint folder or hub id; None: the embedded one."""
    random: RandomSize | None = None
    """Size of a random-weight model that is measured instead."""
    device: str | None = None
    dtype: str | None = None
    n: int = Field(default=N, ge=1)
    """Samples in all, rounded up to equal numbers of each task."""
    n_official: int | None = Field(default=None, ge=1)
    """Of them, those that the official way is asked; None: all."""
    n_usual: int | None = Field(default=None, ge=1)
    """The same for the usual way."""
    ways: tuple[WayName, ...] = Field(default=WAYS, min_length=1)
    tasks: tuple[str, ...] = ()
    """Of the demo suite; empty: all."""
    prompt_tokens: int | None = Field(default=None, ge=1)
    """Tokens that every prompt is brought to."""
    new_tokens: Annotated[int, Field(ge=1)] | Literal["open"] | None = None
    """Longest answer; `open`: every sample its own, as long as answers to open questions are; None:
    what the task says."""
    image_width: int | None = Field(default=None, ge=1)
    """Of the images before they are fitted, px; None: as they are."""
    rounds: int = Field(default=ROUNDS, ge=1)
    n_tune: int = Field(default=N_TUNE, ge=1)
    """Samples on which threads and batch sizes are tried; of the official way 48 at most."""
    n_process: int | None = Field(default=None, ge=1)
    """Samples that one process answers, before the next one takes over. None: all."""
