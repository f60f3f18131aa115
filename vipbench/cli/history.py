"""`vipbench history`: accuracy over the steps of a training."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vipbench.cli.app import app
from vipbench.cli.options import Log, listed
from vipbench.cli.printing import print_tables, put, put_sentence, say

if TYPE_CHECKING:
    from vipbench.analysis.history import History
    from vipbench.trackers.session import Session


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
    details: Annotated[
        bool, typer.Option("--details", help="Print every step, and every kind of mark.")
    ] = False,
    log: Log = None,
) -> None:
    """Show accuracy over the steps of a training, and where it has dropped beyond doubt.

    Each step is held against the first one and against the best before it, sample by sample. What
    has dropped comes first, then a row for each task; the files of -o have all of it.
    """
    from vipbench.analysis.history import finished
    from vipbench.analysis.history import history as histories
    from vipbench.analysis.history_files import write
    from vipbench.analysis.history_text import legend, overview, sentences, tables
    from vipbench.report.terminal import grid_table
    from vipbench.trackers.session import Session

    axes = listed("--by", by) if by else None
    session = Session(listed("--log", log))
    found = histories(finished(runs, say), by=axes, alpha=alpha)
    for note in found.notes:
        say(note)
    for sentence in sentences(found):
        put_sentence(sentence)
    grids = [overview(found), *(tables(found) if details else ())]
    print_tables(*map(grid_table, grids), columns=80)
    if details:
        put_sentence(legend(found))
    elif out is None:
        put_sentence("every step and kind of mark: --details, or -o FOLDER for files and the plot")
    if out is not None:
        for path in write(found, out):
            put(path)
    if log:
        _tell(session, found, out)


def _tell(session: "Session", found: "History", out: Path | None) -> None:
    """Tell trackers every step, and give those that take files the history's."""
    from vipbench.analysis.history_files import write
    from vipbench.trackers.points import history_metrics

    folder = out or Path(found.rows[0].run).parent
    for step in found.steps:
        metrics = history_metrics(found.rows, step)
        session.log(folder, found.rows[0].name, step, metrics)
    with tempfile.TemporaryDirectory(prefix="vipbench-history-") as scratch:
        try:
            session.attach(lambda: write(found, Path(scratch))[0].parent, "history")
        finally:
            session.close()
