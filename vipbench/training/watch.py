"""Evaluates the checkpoints of a training as they are written, each once."""

import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from vipbench.analysis.gate import Thresholds, gate
from vipbench.analysis.gate_text import verdict
from vipbench.analysis.looks import level
from vipbench.console import Console
from vipbench.errors import RunError, RunInterrupted, TrackerError, VipbenchError
from vipbench.run.defaults import with_defaults
from vipbench.run.loop import run
from vipbench.run.prepare import check_options
from vipbench.run.score import Results
from vipbench.run.settings import RunSettings
from vipbench.runfolder import manifest as manifests
from vipbench.runfolder.folder import MANIFEST
from vipbench.training.complete import (
    Signature,
    checkpoints_in,
    is_adapter,
    signature,
    why_incomplete,
)

SETTLE = 2.0
"""Seconds for which the files of a checkpoint have to stay as they are."""
FOLDER = "vipbench"
"""Of the runs, below the folder that is watched."""
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600}


class Watched(NamedTuple):
    """What a watch is asked for."""

    folder: Path
    """In which a folder for each checkpoint appears."""
    settings: RunSettings
    """Of each run, without its model; `out` is the folder of the runs."""
    every: float
    """Seconds between two looks."""
    once: bool
    """End when nothing is left."""
    gate: Path | None
    """The run that each is held against."""

    @property
    def out(self) -> Path:
        """The folder of the runs."""
        return self.settings.out or self.folder / FOLDER


class Looked(NamedTuple):
    """One checkpoint that was complete."""

    folder: Path
    results: Results | None
    """None: it could not be evaluated."""
    verdict: str
    """Against the base, in a few words; empty where there is none."""


class Outcome(NamedTuple):
    """What came of a watch."""

    results: tuple[Results, ...]
    failures: tuple[VipbenchError, ...]
    """Of checkpoints that could not be evaluated."""
    failed_gates: tuple[str, ...]
    left_out: tuple[str, ...]
    """Why checkpoints were not complete, at the end."""


def parse_every(text: str) -> float:
    """Read a time between looks, such as `30`, `30s`, `5m`, `1h`, as seconds; else RunError."""
    found = re.fullmatch(r"\s*([0-9]{1,6}(?:\.[0-9]{1,3})?)\s*([smh]?)\s*", text, re.ASCII)
    seconds = float(found[1]) * _SECONDS[found[2]] if found else 0.0
    if not seconds:
        raise RunError(
            f"--every {text!r}: is not a time · expected seconds above 0, or a number with s, m or "
            "h · give --every 60, or --every 5m"
        )
    return seconds


def split_base(base: str | None) -> tuple[str | None, Path | None]:
    """Tell a checkpoint that lends from a run that is compared with; the model of a run lends.

    Returns:
        The checkpoint that lends, and the run.
    """
    if base is None or not (Path(base) / MANIFEST).is_file():
        return base, None
    manifest = manifests.read(Path(base))
    lender = manifest.model_path
    return (lender if lender and Path(lender).is_dir() else None), Path(base)


def watch(
    watched: Watched,
    console: Console,
    tell: Callable[[Results], None] = lambda results: None,
    sleep: Callable[[float], None] = time.sleep,
    tell_end: Callable[[Sequence[Looked]], None] = lambda looked: None,
) -> Outcome:
    """Evaluate each checkpoint once, when it is complete and has stayed so for a while.

    What cannot be evaluated is said, and the others go on.

    Args:
        watched: what is asked for.
        console: is told of each step.
        tell: is given each finished run.
        sleep: waits so many seconds.
        tell_end: is given all checkpoints that were complete, when the watch ends, by Ctrl-C too.

    Raises:
        RunError: There is no such folder.
        VipbenchError: No checkpoint could be evaluated with such settings.
        RunInterrupted: Ctrl-C.
    """
    if not watched.folder.is_dir():
        raise RunError(
            f"{watched.folder}: is not a folder · expected the one in which a training writes its "
            "checkpoints, such as checkpoint-500 · make it, or name another"
        )
    check_options(with_defaults(watched.settings))
    at_work = _Watch(watched, console, tell)
    try:
        while True:
            is_busy = at_work.look()
            if watched.once and not is_busy:
                return at_work.outcome()
            sleep(min(SETTLE, watched.every) if is_busy else watched.every)
    except KeyboardInterrupt:
        n = len(at_work.results)
        raise RunInterrupted(
            f"{watched.folder}: interrupted · {n:,} checkpoints are evaluated, and kept · give the "
            "same command to go on"
        ) from None
    finally:
        if at_work.looked:
            tell_end(at_work.looked)


class _Watch:
    """The state of a watch."""

    def __init__(self, watched: Watched, console: Console, tell: Callable[[Results], None]) -> None:
        self.watched, self.console, self.tell = watched, console, tell
        self.results: list[Results] = []
        self.failures: list[VipbenchError] = []
        self.failed_gates: list[str] = []
        self.looked: list[Looked] = []
        self._seen: dict[Path, Signature] = {}
        self._done: dict[Path, Signature] = {}
        self._incomplete: dict[Path, str] = {}

    def outcome(self) -> Outcome:
        """Return what came of it; say which checkpoints were left out."""
        for reason in self._incomplete.values():
            self.console.say(f"left out, since it is not complete: {reason}")
        return Outcome(
            tuple(self.results),
            tuple(self.failures),
            tuple(self.failed_gates),
            tuple(self._incomplete.values()),
        )

    def look(self) -> bool:
        """Look at all checkpoints once; return whether another look may soon find more.

        That is so where one was evaluated just now, or has changed since the last look.
        """
        is_busy = False
        for folder in checkpoints_in(self.watched.folder):
            now = signature(folder)
            if folder in self._done:
                self._say_if_changed(folder, now)
                continue
            if self._seen.get(folder) != now:
                self._seen[folder] = now
                is_busy = True
                continue
            reason = why_incomplete(folder)
            if reason is not None:
                self._incomplete[folder] = reason
                continue
            self._incomplete.pop(folder, None)
            self._done[folder] = now
            self._evaluate(folder)
            is_busy = True
        return is_busy

    def _say_if_changed(self, folder: Path, now: Signature) -> None:
        if self._done[folder] != now:
            self._done[folder] = now
            self.console.say(
                f"{folder}: has changed since it was evaluated · its run is that of the files "
                "before · to evaluate it again, remove that run and give the command again"
            )

    def _evaluate(self, folder: Path) -> None:
        self.console.say(f"{folder}: is complete")
        try:
            settings = self._settings_of(folder)
            results = run(with_defaults(settings, self.console), self.console)
            self.results.append(results)
            gate = self.watched.gate
            said = "" if gate is None else self._hold_against(gate, results)
            self.looked.append(Looked(folder, results, said))
        except RunInterrupted:
            raise
        except VipbenchError as error:
            self.failures.append(error)
            self.looked.append(Looked(folder, None, ""))
            self.console.say(f"{folder}: not evaluated, the others go on: {error}")
            return
        try:
            self.tell(results)
        except TrackerError as error:
            self.failures.append(error)
            self.console.say(str(error))

    def _settings_of(self, folder: Path) -> RunSettings:
        """Return the settings of the run of one checkpoint."""
        model = {"adapter" if is_adapter(folder) else "model": str(folder)}
        return self.watched.settings.model_copy(
            update={"out": self.watched.out / folder.name, **model}
        )

    def _hold_against(self, base: Path, results: Results) -> str:
        """Hold a run against the base, at the level of this look; return the verdict in short."""
        thresholds = Thresholds()
        alpha = level(thresholds.alpha, len(self.results))
        result = gate(str(base), str(results.path), thresholds.model_copy(update={"alpha": alpha}))
        self.console.say(f"{results.path}: {verdict(result)}")
        if result.failures:
            self.failed_gates.append(f"{results.path}: {'; '.join(result.failures)}")
        worse = [row.label for row in result.rows if row.failed]
        if worse:
            return f"worse: {', '.join(worse)}"
        return "failed, as said above" if result.failures else "not worse"
