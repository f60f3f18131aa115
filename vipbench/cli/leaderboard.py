"""`vipbench leaderboard`: write the tables of finished runs."""

from pathlib import Path
from typing import Annotated

import typer

from vipbench.cli.app import app
from vipbench.cli.printing import put, say


@app.command()
def leaderboard(
    folders: Annotated[
        list[Path], typer.Argument(metavar="RUN", help="Run folders.", show_default=False)
    ],
    out: Annotated[
        Path,
        typer.Option(
            "-o", "--out", metavar="PATH", help="Folder of the tables.", show_default=False
        ),
    ],
) -> None:
    """Write leaderboard.{md,csv,json,tex} and breakdown.{md,csv,json} of finished runs.

    Runs that are not finished are left out, and named.
    """
    from vipbench.report import leaderboard as report
    from vipbench.report.chosen import chosen_runs

    for path in report.leaderboard(chosen_runs(folders, say), out):
        put(path)
