"""`vipbench compare`: compare runs sample by sample."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vipbench.cli.app import app
from vipbench.cli.printing import print_tables, put, put_sentence, say

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

    kept = _finished(runs)
    kept, stopped = _split(kept)
    if stopped:
        _print_stopped(stopped, metric, out)
    if stopped and len(kept) < 2:
        return
    comparison = comparing.compare(kept, metric=metric, partial=partial)
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
        *finished_runs([folders[base]], say, with_stopped=True),
        *finished_runs([folders[run] for run in others], say, with_stopped=True),
    }
    return [run for run in runs if folders[run] in kept]


def _split(runs: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the runs that can be compared as whole ones, and those that cannot, base first.

    Where the first was stopped early, nothing can be compared with it as a whole.
    """
    from vipbench.analysis.pairs import split_side
    from vipbench.runfolder import manifest as manifests

    if len(runs) < 2:
        return list(runs), []
    early = {run for run in runs if manifests.read(split_side(run)[0]).state is not None}
    base, *others = runs
    if base in early:
        return [], list(runs)
    stopped = [run for run in others if run in early]
    return [run for run in runs if run not in early], [base, *stopped] if stopped else []


def _print_stopped(runs: Sequence[str], metric: str | None, out: Path | None) -> None:
    """Print what is known of runs that were stopped early against the first one."""
    from vipbench.analysis.sequences import NOTE, compare_stopped, table
    from vipbench.errors import RunError
    from vipbench.report.terminal import grid_table

    if out is not None:
        raise RunError(
            f"-o {out}: files are written of whole runs only · leave -o out, or ask the rest of "
            f"{', '.join(runs)} with `vipbench run --extend`"
        )
    rows = compare_stopped(runs, metric)
    for new in dict.fromkeys(row.new for row in rows):
        print_tables(grid_table(table([row for row in rows if row.new == new])))
    put_sentence(NOTE)


def _print_comparison(comparison: "Comparison") -> None:
    from vipbench.analysis.compare_text import spare, table
    from vipbench.report.terminal import SparingTable
    from vipbench.runfolder.summary import ALL

    for new in dict.fromkeys(row.new for row in comparison.rows):
        rows = [row for row in comparison.rows if row.new == new]
        title = f"{rows[0].title}: accuracy, %"
        data = " · synthetic data" if any(row.synthetic for row in rows) else ""
        whole = [row for row in rows if row.group == ALL]
        grid = table(title + data, whole)
        print_tables(SparingTable(grid, spare(grid), "compare.md of -o PATH", "task"))
