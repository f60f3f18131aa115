"""What the user asks of a bench; its options stand here."""

from typing import Annotated, Literal

from pydantic import Field

from vipbench.bench.records import WAYS, RandomSize, WayName
from vipbench.option import ADAPTER, BASE, DEVICE, DTYPE, MODEL, QUANTIZE, Option
from vipbench.schema import Quantize, Record

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


def _number(text: str) -> int | str:
    """Read a whole number; leave anything else to the record."""
    return int(text) if text.isdecimal() else text


class BenchSettings(Record):
    """What to measure."""

    model: Annotated[str | None, MODEL] = None
    base: Annotated[str | None, BASE] = None
    adapter: Annotated[str | None, ADAPTER] = None
    random: Annotated[RandomSize | None, Option("A model of this size with random weights.")] = None
    """In place of `model`."""
    device: Annotated[str | None, DEVICE] = None
    dtype: Annotated[str | None, DTYPE] = None
    quantize: Annotated[Quantize | None, QUANTIZE] = None
    n: Annotated[int, Field(ge=1), Option("Samples, spread over the tasks.", metavar="N")] = N
    """In all, rounded up to equal numbers of each task."""
    n_official: Annotated[
        int | None,
        Field(ge=1),
        Option("Of them, those for the official way.", metavar="N", unset="all"),
    ] = None
    n_usual: Annotated[
        int | None,
        Field(ge=1),
        Option("Of them, those for the usual way.", metavar="N", unset="all"),
    ] = None
    ways: Annotated[
        tuple[WayName, ...],
        Field(min_length=1),
        Option(
            "vipbench, official, usual; repeatable, or with commas.", metavar="WAY", unset="all"
        ),
    ] = WAYS
    tasks: Annotated[
        tuple[str, ...],
        Option("Tasks of the demo suite; repeatable, or with commas.", metavar="TASK", unset="all"),
    ] = ()
    prompt_tokens: Annotated[
        int | None,
        Field(ge=1),
        Option(
            "Lengthen every prompt to this many tokens, the image's among them.",
            metavar="N",
            unset="as they are",
        ),
    ] = None
    new_tokens: Annotated[
        Annotated[int, Field(ge=1)] | Literal["open"] | None,
        Option(
            "Tokens of an answer at most; open: each its own, as of open questions.",
            metavar="N|open",
            unset="of the task",
            parse=_number,
        ),
    ] = None
    image_width: Annotated[
        int | None,
        Field(ge=1),
        Option("Width of every image before it is fitted.", metavar="PX", unset="as they are"),
    ] = None
    rounds: Annotated[
        int, Field(ge=1), Option("Measurements of each way; the median counts.", metavar="N")
    ] = ROUNDS
    n_tune: Annotated[
        int,
        Field(ge=1),
        Option("Samples on which threads and batch sizes are tried.", metavar="N"),
    ] = N_TUNE
    """Of the official way 48 at most."""
    n_process: Annotated[
        int | None,
        Field(ge=1),
        Option(
            "Samples that one process answers before the next one takes over.",
            metavar="N",
            unset="all",
        ),
    ] = None
