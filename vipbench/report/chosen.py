"""Which of the runs that somebody names are shown, and in which order."""

from collections.abc import Callable, Sequence
from pathlib import Path

from vipbench.report.names import called, in_order
from vipbench.runfolder import manifest as manifests
from vipbench.runfolder.progress import finished_runs


def chosen_runs(folders: Sequence[Path], say: Callable[[str], None]) -> list[Path]:
    """Return the folders of finished runs, checkpoints of one training in the order of their steps.

    `say` is told of each other run why it is left out.

    Raises:
        RunError: A folder holds no run; or no run is finished.
    """
    kept = finished_runs(folders, say)
    runs = [called(folder, manifests.read(folder)) for folder in kept]
    return [kept[n] for n in in_order(runs)]
