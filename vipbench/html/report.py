"""Write the report of some runs: a page that opens without a network, with plots beside it."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from vipbench import files
from vipbench.analysis.sweep.overview import Sweep, sweep
from vipbench.console import QUIET, Console
from vipbench.errors import RunError
from vipbench.forked import FORKED_FROM, Died, Forked, can_fork
from vipbench.html.dataset import MOST_ANSWERS, collect
from vipbench.html.histories import curves
from vipbench.html.page import Content, render
from vipbench.html.pictures import Drawn, add_pictures
from vipbench.html.plots import MOST_PLOTTED, write_plots
from vipbench.html.runs import Run, read_runs, task_labels
from vipbench.html.tables import leaderboards, slugs, task_part, troubles, with_holm

MAX_INLINE = 500
"""Samples up to which pictures lie inside the page."""
PAGE = "report.html"


def write_report(
    folders: Sequence[Path],
    out: Path,
    *,
    embed_images: bool = False,
    max_inline: int = MAX_INLINE,
    plots: bool | None = None,
    max_answers: int = MOST_ANSWERS,
    may_fork: bool = False,
    console: Console = QUIET,
) -> Path:
    """Write `report.html`, with plots and large sets of pictures in `report_files/` beside it.

    The same runs and images give the same bytes.

    Args:
        folders: of finished runs, in the order in which they are shown.
        out: a folder; what an earlier report wrote there is replaced.
        embed_images: show pictures of tasks with `redistribute: false` too.
        max_inline: samples up to which pictures lie inside the page.
        max_answers: of all runs, up to which the page holds every sample.
        plots: write the plots as files too; None: those of up to `MOST_PLOTTED` runs.
        may_fork: nothing but this one thread runs in this process, so that a copy of it may sum up
            the styles while this one reads the samples.
        console: says which pictures are missing, and shows a bar.

    Returns:
        The page.

    Raises:
        RunError: No run is given, one has not ended or is broken, or a file cannot be written.
    """
    if not folders:
        raise RunError("report: no run is given · expected folders of finished runs")
    runs = read_runs(folders)
    with _sweeping(folders, runs, may_fork=may_fork) as swept:
        return _write(
            runs,
            out,
            swept,
            embed_images=embed_images,
            max_inline=max_inline,
            plots=plots,
            max_answers=max_answers,
            console=console,
        )


@contextlib.contextmanager
def _sweeping(
    folders: Sequence[Path], runs: Sequence[Run], *, may_fork: bool
) -> Iterator[Callable[[], Sweep]]:
    """Give what returns all that the runs show of styles, which a copy of this process may do."""
    known = {run.folder: run.rows for run in runs}

    def swept() -> Iterator[Sweep]:
        yield sweep(folders, with_orders=False, known=known)

    with contextlib.ExitStack() as stack:
        copy = None
        n_answers = sum(run.manifest.n_requests for run in runs)
        if may_fork and n_answers >= FORKED_FROM and can_fork():
            with contextlib.suppress(OSError):  # there is no room for a second process
                copy = stack.enter_context(Forked(swept()))

        def take() -> Sweep:
            if copy is not None:
                with contextlib.suppress(Died):
                    return copy.take()
            return next(swept())

        yield take


def _write(
    runs: list[Run],
    out: Path,
    swept: Callable[[], Sweep],
    *,
    embed_images: bool,
    max_inline: int,
    plots: bool | None,
    max_answers: int,
    console: Console,
) -> Path:
    """Write the report of runs that are read."""
    dataset, scores, to_draw = collect(runs, max_answers)
    drawn = add_pictures(
        dataset,
        to_draw,
        out,
        embed_images=embed_images,
        max_inline=max_inline,
        console=console,
    )
    _say_what_is_missing(drawn, len(to_draw), console)
    labels = task_labels(dataset.tasks)
    names = slugs(list(labels.values()))
    parts = with_holm(
        [
            task_part(runs, scores, key, labels[key], slug)
            for key, slug in zip(dataset.tasks, names, strict=True)
        ]
    )
    is_plotted = len(runs) <= MOST_PLOTTED if plots is None else plots
    files_of_plots = write_plots(parts if is_plotted else (), runs, out)
    trainings = curves(runs, out, plots=is_plotted)
    notes = [*trainings.notes, *([] if is_plotted else [_unplotted(len(runs))])]
    content = Content(
        dataset=dataset,
        boards=leaderboards(runs, dataset.tasks),
        troubles=troubles(runs, dataset.tasks),
        parts=parts,
        drawn=drawn,
        plots=files_of_plots | trainings.plots,
        sweep=swept(),
        curves=trainings.shown,
        notes=tuple(notes),
    )
    files.write_text(out / PAGE, [render(content)])
    return out / PAGE


def _unplotted(n: int) -> str:
    return f"The plots of {n:,} runs are not written as files too; --plots writes them."


def _say_what_is_missing(drawn: Drawn, n: int, console: Console) -> None:
    if drawn.n_withheld:
        console.say(
            f"pictures: {drawn.n_withheld:,} of {n:,} are left out, since their tasks may not be "
            "redistributed · --embed-images shows them"
        )
    if drawn.n_failed:
        console.say(
            f"pictures: {drawn.n_failed:,} of {n:,} cannot be drawn; the first: "
            f"{drawn.first_failure}"
        )
