"""`vipbench leaderboard`: write the tables of finished runs."""

from pathlib import Path
from typing import Annotated

import typer

from vipbench.cli.app import app
from vipbench.cli.printing import put


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
    """Write leaderboard.{md,csv,json,tex} and breakdown.{md,csv,json} of finished runs."""
    from vipbench.report import leaderboard as report

    for path in report.leaderboard(folders, out):
        put(path)
