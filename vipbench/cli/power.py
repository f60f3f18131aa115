"""`vipbench power`: the smallest drop that a comparison finds."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from vipbench.cli.app import app
from vipbench.cli.printing import print_columns, say
from vipbench.errors import RunError

if TYPE_CHECKING:
    from vipbench.analysis.power import PowerRow


@app.command()
def power(
    base: Annotated[
        str | None,
        typer.Argument(metavar="[RUN]", help="A run, or RUN@STYLE.", show_default=False),
    ] = None,
    new: Annotated[
        str | None,
        typer.Argument(
            metavar="[NEW]",
            help="A second run on the same samples: its changes are taken as typical.",
            show_default=False,
        ),
    ] = None,
    n: Annotated[
        int | None, typer.Option("--n", metavar="N", min=1, help="Samples, in place of a run.")
    ] = None,
    drop: Annotated[
        float, typer.Option(metavar="SHARE", min=0.0001, max=1, help="Drop to be found.")
    ] = 0.02,
    discordance: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            min=0.0001,
            max=1,
            help="Share of answers that change to and fro.",
            show_default="measured, else several",
        ),
    ] = None,
    design_effect: Annotated[
        float, typer.Option(metavar="X", min=1, help="Of samples that share images, without a run.")
    ] = 1.0,
    alpha: Annotated[
        float, typer.Option(metavar="SHARE", min=0.0001, max=0.4999, help="One-sided level.")
    ] = 0.05,
    power_: Annotated[
        float,
        typer.Option(
            "--power", metavar="SHARE", min=0.5001, max=0.9999, help="Chance to find the drop."
        ),
    ] = 0.8,
) -> None:
    """Print the smallest drop that a comparison finds, and the samples that a drop needs.

    From a run (and a second one), or from numbers alone.
    """
    from vipbench.analysis import power as powers

    if (base is None) == (n is None):
        raise RunError("vipbench power: expected either a run or --n · give one of them")
    if base is not None:
        rows = powers.power_of_runs(
            base, new, drop=drop, discordance=discordance, alpha=alpha, power=power_, say=say
        )
    else:
        rows = powers.power_of_numbers(
            n or 0, discordance, design_effect, drop=drop, alpha=alpha, power=power_
        )
    _print_rows(rows, drop)


def _print_rows(rows: "Sequence[PowerRow]", drop: float) -> None:
    from vipbench.report.text import MISSING, number, percent

    header = ("task", "samples", "images", "to and fro", "design effect", "smallest drop")
    lines = [
        (
            row.task,
            f"{row.n:,}",
            f"{row.n_clusters:,}" if row.n_clusters else MISSING,
            f"{percent(row.design.discordance)} %{_source(row)}",
            number(row.design.design_effect, 2),
            "none" if row.smallest_drop is None else f"{percent(row.smallest_drop, 2)} points",
            f"{row.samples_needed:,}",
        )
        for row in rows
    ]
    print_columns([(*header, f"samples for {100 * drop:g} points"), *lines])


def _source(row: "PowerRow") -> str:
    """Say where the share of answers that change to and fro comes from; empty: it is assumed."""
    if row.is_least:
        return " (at least)"
    return " (measured)" if row.measured else ""
