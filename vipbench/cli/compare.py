"""`vipbench compare`: compare runs sample by sample."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vipbench.cli.app import app
from vipbench.cli.printing import print_tables, put, say

if TYPE_CHECKING:
    from vipbench.analysis.compare import Comparison


@app.command()
def compare(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN...", help="Run folders, or RUN@STYLE; two or more.", show_default=False
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--out",
            metavar="PATH",
            help="Folder for compare.{md,csv,json}, flips.csv, forest.{png,svg}.",
            show_default="only printed",
        ),
    ] = None,
    partial: Annotated[
        bool, typer.Option("--partial", help="Leave out tasks and samples that one run lacks.")
    ] = False,
    metric: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Such as stated.", show_default="of each task"),
    ] = None,
) -> None:
    """Compare runs with the first one, sample by sample: checkpoints, styles, dtypes.

    Without a style, the headline style of each task. RUN@none, RUN@blind and the like compare
    styles, within one run too.
    """
    from vipbench.analysis import compare as comparing
    from vipbench.analysis.compare_files import write

    comparison = comparing.compare(_finished(runs), metric=metric, partial=partial)
    for note in (*comparison.differences, *comparison.notes):
        say(note)
    _print_comparison(comparison)
    if out is not None:
        for path in write(comparison, out):
            put(path)


def _finished(runs: Sequence[str]) -> list[str]:
    """Leave out runs that are not finished, but for the first, with which all are compared."""
    from vipbench.analysis.pairs import split_side
    from vipbench.runfolder.progress import finished_runs

    if len(runs) < 2:
        return list(runs)
    folders = {run: split_side(run)[0] for run in runs}
    base, *others = runs
    kept = {
        *finished_runs([folders[base]], say),
        *finished_runs([folders[run] for run in others], say),
    }
    return [run for run in runs if folders[run] in kept]


def _print_comparison(comparison: "Comparison") -> None:
    from vipbench.analysis.compare_text import table
    from vipbench.report.terminal import grid_table
    from vipbench.runfolder.summary import ALL

    for new in dict.fromkeys(row.new for row in comparison.rows):
        rows = [row for row in comparison.rows if row.new == new]
        title = f"{rows[0].title}: accuracy, %"
        data = " · synthetic data" if any(row.synthetic for row in rows) else ""
        whole = [row for row in rows if row.group == ALL]
        print_tables(grid_table(table(title + data, whole)))
