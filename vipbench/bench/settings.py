"""What the user asks of a bench; its options stand here."""

from typing import Annotated, Any, Literal

from pydantic import Field

from vipbench.bench.mix import MixName
from vipbench.bench.records import WAYS, RandomSize, WayName
from vipbench.errors import RunnerError
from vipbench.option import ADAPTER, BASE, DEVICE, DTYPE, MODEL, QUANTIZE, Option
from vipbench.runners.endpoint_options import parse_body
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
STAGED_ON = {"vipbench": 128, "unshared": 128, "official": 32, "usual": 128}
"""Samples, at most, whose stages are timed."""
PEER_CONCURRENCIES = (8, 32, 64)
"""Requests under way, of which a server's best number is taken."""
WORKERS = 2
"""Processes that vipbench may choose on a CPU: no more cores than the others may use."""


def _number(text: str) -> int | str:
    """Read a whole number; leave anything else to the record."""
    return int(text) if text.isdecimal() else text


def _body(text: str) -> dict[str, Any]:
    """Read a JSON object; RunnerError names this option where it is none."""
    try:
        return parse_body(text)
    except RunnerError as error:
        raise RunnerError(str(error).replace("--extra-body", "--peer-body")) from None


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
        Option(
            "vipbench, unshared, official, usual, peer; repeatable, or with commas.",
            metavar="WAY",
            unset="all",
        ),
    ] = ()
    """Empty: all but `unshared`, which comes with `mix` and `questions`, and `peer`, which needs
    its address."""
    mix: Annotated[
        MixName | None,
        Option("Ask each sample under several styles: the headline's and its controls."),
    ] = None
    questions: Annotated[
        int | None,
        Field(ge=2),
        Option("Questions about each picture.", metavar="N", unset="as they are"),
    ] = None
    """Marks and all: the picture of a sample is that of the first of so many."""
    peer: Annotated[
        str | None,
        Option("An OpenAI-compatible server of the same model to measure too.", metavar="URL"),
    ] = None
    peer_model: Annotated[
        str | None,
        Option("What that server calls the model.", metavar="NAME", unset="the only one it has"),
    ] = None
    peer_body: Annotated[
        dict[str, Any] | None,
        Option("Further fields of each request's JSON to it.", metavar="JSON", parse=_body),
    ] = None
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
    workers: Annotated[
        int,
        Field(ge=1),
        Option("Most processes that vipbench may choose on a CPU.", metavar="N"),
    ] = WORKERS
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

    @property
    def asked_ways(self) -> tuple[WayName, ...]:
        """The ways that are measured, in their order."""
        if self.ways:
            return self.ways
        first, *others = WAYS
        unshared: tuple[WayName, ...] = ("unshared",) if self.shares else ()
        peer: tuple[WayName, ...] = () if self.peer is None else ("peer",)
        return (first, *unshared, *others, *peer)

    @property
    def shares(self) -> bool:
        """Whether requests have pictures and beginnings of prompts in common, which is counted."""
        return self.mix is not None or self.questions is not None
