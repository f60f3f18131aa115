"""`vipbench reproduce`: hold runs against published numbers."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vipbench.cli.app import app
from vipbench.cli.printing import print_tables, put, put_json, say
from vipbench.errors import CheckFailed

if TYPE_CHECKING:
    from vipbench.analysis.reproduce.records import Reproduction


@app.command()
def reproduce(
    folders: Annotated[
        list[Path],
        typer.Argument(metavar="RUN", help="Folders of finished runs.", show_default=False),
    ],
    system: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="The published system that the runs are of, as the registry calls it.",
            show_default="that of the model",
        ),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="List the numbers of other systems too.")
    ] = False,
    released: Annotated[
        Path | None,
        typer.Option(
            metavar="RUN",
            help="Run of released answers (`vipbench import`) with grades of the same judge; the "
            "difference from them stands beside that of the published numbers.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--out",
            metavar="PATH",
            help="Folder of the files that say all.",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Hold runs against published numbers: reproduced, outside, or not comparable and why.

    Runs that differ by their seed only are one result. Exit code 1 if a comparable number is
    outside.
    """
    from vipbench.analysis.reproduce import text, verdicts
    from vipbench.runfolder.progress import finished_runs

    runs = finished_runs(folders, say)
    result = verdicts.reproduce(runs, system=system, everything=everything, released=released)
    paths = text.write(result, out) if out is not None else []
    if as_json:
        put_json(result.model_dump(mode="json"))
    else:
        _print(result, paths)
    outside = result.verdicts("outside")
    if outside:
        shown = "; ".join(text.title(comparison) for comparison in outside)
        raise CheckFailed(f"reproduce: {shown}")


def _print(result: "Reproduction", paths: list[Path]) -> None:
    from vipbench.analysis.reproduce.screen import screen
    from vipbench.report.terminal import plain_table

    shown = screen(result, [str(path) for path in paths])
    for line in shown.top:
        put(line)
    if shown.table is not None:
        put()
        print_tables(plain_table(shown.table))
        put()
    for line in shown.bottom:
        put(line)
