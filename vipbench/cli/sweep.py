"""`vipbench sweep`: sum up what the styles of finished runs do."""

from pathlib import Path
from typing import Annotated

import typer

from vipbench.cli.app import app
from vipbench.cli.printing import print_tables, put, say
from vipbench.console import one_line


@app.command()
def sweep(
    folders: Annotated[
        list[Path], typer.Argument(metavar="RUN", help="Run folders.", show_default=False)
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "-o", "--out", metavar="PATH", help="Folder of sweep.{json,md}.", show_default="none"
        ),
    ] = None,
) -> None:
    """Tell how answers depend on the style, and whether the order of several models does."""
    from vipbench.analysis.sweep import overview, text
    from vipbench.report.chosen import chosen_runs
    from vipbench.report.terminal import grid_table

    result = overview.sweep(chosen_runs(folders, say))
    print_tables(*map(grid_table, text.tables(result)))
    for sentence in text.sentences(result):
        put(one_line(sentence))
    for path in text.write(result, out) if out else ():
        put(path)
