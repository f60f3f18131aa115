"""What trackers are told of runs: rows against the training step, and one report at the end."""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from vipbench.html import write_report
from vipbench.report.names import called
from vipbench.run.score import Results
from vipbench.trackers.points import run_metrics
from vipbench.trackers.session import Session


class Tracked:
    """Some trackers, and the runs that they were told of."""

    def __init__(self, names: Sequence[str], say: Callable[[str], None]) -> None:
        """Find the trackers, before anything is asked; TrackerError where one cannot be used."""
        self._session = Session(names)
        self._say = say
        self._runs: dict[Path, None] = {}
        self._name = ""
        self._is_used = bool(names)

    def tell(self, results: Results, folder: Path | None = None) -> None:
        """Tell the rows of a run; a step that is not known counts as 0, and that is said.

        Args:
            results: of a finished run.
            folder: below which trackers write; None: the run's.

        Raises:
            TrackerError: They could not be told; nothing is lost.
        """
        if not self._is_used:
            return
        known = called(results.path, results.manifest)
        if known.step is None:
            self._say(
                f"{results.path}: the training step is not known, and is logged as 0 · --step N "
                "says it"
            )
        self._name = self._name or known.name
        self._runs[results.path] = None
        metrics = run_metrics(results.rows)
        self._session.log(folder or results.path, known.name, known.step or 0, metrics)

    def end(self) -> None:
        """Give those that take files the report of all runs, and close.

        Raises:
            TrackerError: They could not take it; nothing is lost.
        """
        if not self._runs:
            return
        with tempfile.TemporaryDirectory(prefix="vipbench-report-") as scratch:
            try:
                self._session.attach(
                    lambda: write_report(list(self._runs), Path(scratch)).parent,
                    f"report-{self._name}",
                )
            finally:
                self._session.close()
