"""`vipbench history`: accuracy over the steps of a training."""

from pathlib import Path
from typing import Annotated

import typer

from vipbench.cli.app import app
from vipbench.cli.options import listed
from vipbench.cli.printing import print_tables, put, say
from vipbench.console import one_line


@app.command()
def history(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN...",
            help="Run folders, or RUN@STYLE, of different steps; or a folder of such.",
            show_default=False,
        ),
    ],
    by: Annotated[
        list[str] | None,
        typer.Option(
            "--by",
            metavar="AXIS",
            help="Breakdowns to show, such as shape; repeatable, or with commas.",
            show_default="shape, color",
        ),
    ] = None,
    alpha: Annotated[
        float,
        typer.Option(metavar="LEVEL", min=0.0001, max=0.5, help="Probability of a false drop."),
    ] = 0.05,
    out: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--out",
            metavar="PATH",
            help="Folder for history.{md,csv,json,png,svg,pdf}.",
            show_default="only printed",
        ),
    ] = None,
) -> None:
    """Show accuracy over the steps of a training, and where it has dropped beyond doubt.

    Each step is held against the first one and against the best before it, sample by sample; a
    drop is marked by a star.
    """
    from vipbench.analysis.history import finished
    from vipbench.analysis.history import history as histories
    from vipbench.analysis.history_files import write
    from vipbench.analysis.history_text import sentences, tables
    from vipbench.report.terminal import grid_table

    axes = listed("--by", by) if by else None
    found = histories(finished(runs, say), by=axes, alpha=alpha)
    for note in found.notes:
        say(note)
    print_tables(*map(grid_table, tables(found)), columns=80)
    for sentence in sentences(found):
        put(one_line(sentence))
    if out is not None:
        for path in write(found, out):
            put(path)
