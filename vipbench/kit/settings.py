"""What the user asks of a kit: some fields of a run, and what else the archive is to hold."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from vipbench.option import Option
from vipbench.run.settings import RunSettings

KIT = Path("results/kit")
SUITE = "paper"
N_CERTIFICATE = 100
"""Samples of the certificate: each is answered alone, in float32 too."""
N_BENCH = 60
"""Samples of the bench, each answered by three ways in three rounds."""


class KitSettings(RunSettings):
    """What `vipbench kit` takes."""

    hours: Annotated[
        float | None,
        Field(gt=0, allow_inf_nan=False),
        Option(
            "Choose tasks, or else samples, whose questions take this long by a short probe.",
            metavar="H",
            unset="all",
        ),
    ] = None
    """Of the suite's questions alone; certificate and bench come on top."""
    n_certificate: Annotated[
        int,
        Field(ge=0),
        Option("Samples of the numerics certificate; 0: none is made.", metavar="N"),
    ] = N_CERTIFICATE
    n_bench: Annotated[
        int, Field(ge=0), Option("Samples of the bench; 0: none is made.", metavar="N")
    ] = N_BENCH


APART = frozenset({"fresh", "out", "live_model", "processor"})
"""Fields that may differ from one start of a kit to the next, or are never given."""
