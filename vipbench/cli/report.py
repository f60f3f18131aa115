"""`vipbench report`: the report of some runs, as a page."""

from pathlib import Path
from typing import Annotated

import typer

from vipbench.cli.app import app
from vipbench.cli.printing import CONSOLE, put, say


@app.command()
def report(
    folders: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="Folders of finished runs.", show_default=False),
    ],
    out: Annotated[
        Path,
        typer.Option("-o", "--out", metavar="DIR", help="The folder to write.", show_default=False),
    ],
    embed_images: Annotated[
        bool,
        typer.Option(
            "--embed-images",
            help="Show pictures of tasks that may not be redistributed (VCR) too.",
        ),
    ] = False,
    max_inline: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=0,
            help="Samples up to which pictures lie inside the page; above, in files beside it.",
        ),
    ] = 500,
    max_answers: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=0,
            help="Answers of all runs up to which the page holds every sample; of more, a part of "
            "the samples, drawn at random.",
        ),
    ] = 200_000,
    plots: Annotated[
        bool | None,
        typer.Option(
            "--plots/--no-plots",
            help="Write the plots as PNG and SVG files too.",
            show_default="of up to 20 runs",
        ),
    ] = None,
) -> None:
    """Write report.html: leaderboard, plots and all samples of some runs, for any browser.

    It needs no network and no server.
    """
    from vipbench.html import write_report
    from vipbench.report.chosen import chosen_runs

    page = write_report(
        chosen_runs(folders, say),
        out,
        embed_images=embed_images,
        max_inline=max_inline,
        max_answers=max_answers,
        plots=plots,
        may_fork=True,
        console=CONSOLE,
    )
    put(page)
