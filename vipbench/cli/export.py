"""`vipbench export`: write the answers of a run in the format of another program."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from vipbench.cli.app import app
from vipbench.cli.printing import put, say

Format = Literal["answers", "visual7w", "vip_bench", "csv", "jsonl", "datasets"]


@app.command()
def export(
    folder: Annotated[
        Path, typer.Argument(metavar="RUN", help="A run folder.", show_default=False)
    ],
    as_format: Annotated[
        Format, typer.Argument(metavar="FORMAT", help="See docs/formats.md.", show_default=False)
    ],
    out: Annotated[
        Path,
        typer.Option(
            "-o",
            "--out",
            metavar="PATH",
            help="The file to write; for datasets a new folder.",
            show_default=False,
        ),
    ],
    task: Annotated[
        str | None,
        typer.Option(metavar="TASK", help="Where the run has several.", show_default=False),
    ] = None,
    style: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Prompt style.", show_default="the headline style"),
    ] = None,
    partial: Annotated[
        bool, typer.Option("--partial", help="Write vip_bench although samples are missing.")
    ] = False,
) -> None:
    """Write the answers of a run in a format of others.

    FORMAT is answers, visual7w, vip_bench, csv, jsonl or datasets.
    """
    from vipbench.exchange.export import export_run

    done = export_run(folder, as_format, out, task=task, style=style, partial=partial)
    for note in done.notes:
        say(note)
    put(f"{out}  ({done.n:,} answers)")
