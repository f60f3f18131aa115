"""The section of a report about trainings: accuracy over steps, where there are enough of them."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from vipbench.analysis.history import History, history
from vipbench.analysis.history_files import plot_files
from vipbench.analysis.history_text import sentences, tables
from vipbench.errors import RunError
from vipbench.html.page import Plot
from vipbench.html.pictures import FOLDER
from vipbench.html.plots import PLOTS
from vipbench.html.runs import Run
from vipbench.report.names import training_of
from vipbench.report.text import Grid

MIN_STEPS = 3
"""Steps of one training from which on a curve is shown."""


class Curve(NamedTuple):
    """One training."""

    name: str
    sentences: tuple[str, ...]
    """The first drops, or that there is none."""
    grids: tuple[Grid, ...]
    plot: str
    """The name of its plot."""


class Curves(NamedTuple):
    """All trainings of a report."""

    shown: tuple[Curve, ...]
    plots: dict[str, Plot]
    notes: tuple[str, ...]
    """Which trainings are not shown, and why."""


def curves(runs: Sequence[Run], out: Path, *, plots: bool = True) -> Curves:
    """Sum up each training of which there are runs of enough steps; `plots` writes its plot, too.

    Raises:
        RunError: A run is broken, or a file cannot be written.
    """
    shown: list[Curve] = []
    files: dict[str, Plot] = {}
    notes: list[str] = []
    for name, members in _trainings(runs).items():
        try:
            found: History = history([str(run.folder) for run in members])
        except RunError:
            notes.append(
                f"{name}: its curve is not shown, since its runs cannot be paired: one run of each "
                "step, on the same samples, is expected"
            )
            continue
        if found.is_part:
            notes.append(f"{name}: some of its runs have more samples or tasks than all have")
        plot = f"history-{len(shown) + 1}"
        if plots:
            paths = plot_files(found, out / FOLDER / PLOTS, plot)
            files[plot] = Plot([path.relative_to(out).as_posix() for path in paths])
        shown.append(Curve(name, tuple(sentences(found)), tuple(tables(found)), plot))
    return Curves(tuple(shown), files, tuple(notes))


def _trainings(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """Return the runs of each training that has enough steps, by what the training is called."""
    members: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        if run.called.step is not None:
            members[training_of(run.called)].append(run)
    enough = {
        training: group
        for training, group in members.items()
        if len({run.called.step for run in group}) >= MIN_STEPS
    }
    # A path of this machine is nobody's name.
    names = {training: Path(training).name or training for training in enough}
    is_told = len({*names.values()}) == len(names)
    return {
        names[training] if is_told else f"{names[training]} ({number})": group
        for number, (training, group) in enumerate(enough.items(), 1)
    }
