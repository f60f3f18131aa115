"""`vipbench sweep`: sum up what the styles of finished runs do."""

from pathlib import Path
from typing import Annotated

import typer

from vipbench.cli.app import app
from vipbench.cli.printing import file_name, print_tables, put, put_sentence, say

STYLE_COLUMNS = 80
"""Width of the table of styles in a file or a pipe."""


@app.command()
def sweep(
    folders: Annotated[
        list[Path], typer.Argument(metavar="RUN", help="Run folders.", show_default=False)
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--out",
            metavar="PATH",
            help="Folder of sweep.{json,md,tex,csv}, and of a figure a task: sweep-TASK.{pdf,"
            "svg,png}.",
            show_default="none",
        ),
    ] = None,
) -> None:
    """Tell which style is best, and whether answers and the order of models depend on it."""
    from vipbench.analysis.sweep import board, figure, overview, text
    from vipbench.report.chosen import chosen_runs
    from vipbench.report.terminal import FittingTable, grid_table

    result = overview.sweep(chosen_runs(folders, say))
    boards = list(board.boards(result.best))
    for each in boards:
        grids, below = board.terminal_grids(each), board.legend(each)
        print_tables(FittingTable(grids, below, len(each.marked)), columns=STYLE_COLUMNS)
        for sentence in each.sentences():
            put_sentence(sentence)
    print_tables(*map(grid_table, text.tables(result)))
    for sentence in text.other_sentences(result):
        put_sentence(sentence)
    if out is not None:
        paths = [*text.write(result, out)]
        for each in boards:
            paths += figure.figure_files(each, out, file_name(f"sweep-{each.task}"))
        for path in paths:
            put(path)
