"""The headline results of a run, as they are handed to registries of results."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from vipbench.data.tasks import find_tasks, load_task
from vipbench.errors import RunError, nearest
from vipbench.report.names import Called, called, protocol
from vipbench.report.rows import doubt
from vipbench.report.text import MISSING, counted, percent
from vipbench.runfolder.manifest import Manifest, TaskRun
from vipbench.runfolder.opened import open_run
from vipbench.runfolder.progress import check_whole
from vipbench.runfolder.summary import ALL, Row, read_summary
from vipbench.schema import TaskSpec


class Result(NamedTuple):
    """One task under one style, by its first metric."""

    row: Row
    run: TaskRun
    spec: TaskSpec | None
    """The task's file, where it is here in the version that was run."""

    @property
    def title(self) -> str:
        """The task in words, as far as its file is here."""
        return self.spec.title if self.spec is not None else self.row.task

    @property
    def hub(self) -> Mapping[str, str]:
        """The data set of the task on the hub, as far as known; synthetic data are of none."""
        if self.spec is None or self.row.synthetic:
            return {}
        return {str(key): value for key, value in self.spec.hub.items()}

    @property
    def interval(self) -> str | None:
        """The 95 % interval in percent, such as `95.1-97.0`; None where there is none."""
        if self.row.ci_low is None or self.row.ci_high is None:
            return None
        return f"{percent(self.row.ci_low)}-{percent(self.row.ci_high)}{doubt(self.row)}"

    def caveats(self) -> list[str]:
        """Say why the number is not simply that of the benchmark; nothing where it is."""
        row = self.row
        missing = row.n_expected - row.n_asked
        counts = {
            "failed": row.n_errors,
            "filtered": row.n_filtered,
            "not graded": row.n_ungraded,
        }
        return [
            *(["synthetic data"] if row.synthetic else []),
            *([f"{row.n_asked:,} of {row.n_expected:,} samples asked"] if missing > 0 else []),
            *(f"{n:,} {what} and not scored" for what, n in counts.items() if n),
        ]


class Results(NamedTuple):
    """A finished run and what it says of its tasks."""

    folder: Path
    manifest: Manifest
    called: Called
    results: tuple[Result, ...]
    """In the order of the run's tasks."""
    notes: tuple[str, ...]
    """What was left out, and what the numbers are not."""

    @property
    def vipbench(self) -> str:
        """The version that asked."""
        return self.manifest.versions.get("vipbench", "unknown")

    def conditions(self, result: Result) -> list[str]:
        """Say how a number came about: style, metric, interval, protocol, versions, caveats."""
        row = result.row
        images = f"n {row.n:,} on {counted(row.n_clusters, 'image')}"
        return [
            f"style {row.style}",
            f"metric {row.metric}",
            f"95 % interval {result.interval or MISSING}",
            images,
            protocol(self.manifest),
            f"fit {row.fit}",
            f"vipbench {self.vipbench}, {row.task} version {row.task_version}",
            *result.caveats(),
        ]


def read_results(folder: Path, task: str | None = None, style: str | None = None) -> Results:
    """Read what a finished run says of its tasks.

    Args:
        folder: of the run.
        task: None: all of them.
        style: None: the headline style of each task.

    Raises:
        RunError: The run has not ended or is broken, has no such task or style, or has scored
            nothing.
    """
    rows = read_summary(folder)
    manifest = open_run(folder)
    if manifest.finished is None:
        raise RunError(f"{folder}: has not ended · give the command of the run again to resume")
    check_whole(folder, manifest)
    if task is not None and task not in manifest.tasks:
        raise RunError(f"--task {task!r} is not in this run{nearest(task, manifest.tasks)}")
    known = dict.fromkeys(row.style for row in rows if task in (None, row.task))
    if style is not None and style not in known:
        raise RunError(f"--style {style!r}: nothing was asked under it{nearest(style, known)}")
    found = {name: row for name, row in _first_rows(rows, manifest, style) if task in (None, name)}
    notes = [f"{name}: nothing was scored; left out" for name in found if found[name].n == 0]
    results = tuple(
        Result(row, manifest.tasks[name], _spec(name, row)) for name, row in found.items() if row.n
    )
    if not results:
        raise RunError(f"{folder}: nothing was scored, so that there is no result to write")
    notes += _caveats(results)
    return Results(folder, manifest, called(folder, manifest), results, tuple(notes))


def _caveats(results: Sequence[Result]) -> Iterator[str]:
    """Say of which tasks the numbers are not simply those of the benchmark; a line for each why."""
    tasks: dict[str, list[str]] = {}
    for result in results:
        if result.caveats():
            tasks.setdefault("; ".join(result.caveats()), []).append(result.row.task)
    for why, names in tasks.items():
        yield f"{', '.join(names)}: {why}: not a result of the whole benchmark, which the file says"


def _first_rows(
    rows: Sequence[Row], manifest: Manifest, style: str | None
) -> Iterator[tuple[str, Row]]:
    """Yield each task with the row of its first metric over all samples under the style."""
    for name, run in manifest.tasks.items():
        of_task = (
            row
            for row in rows
            if (row.task, row.style, row.group) == (name, style or run.headline, ALL)
        )
        first = next(of_task, None)
        if first is not None:
            yield name, first


def _spec(name: str, row: Row) -> TaskSpec | None:
    if name not in find_tasks():
        return None
    spec = load_task(name)
    return spec if spec.version == row.task_version else None


def by_task(option: str, texts: Sequence[str], tasks: Sequence[str]) -> Mapping[str, str]:
    """Read values of an option that are for all tasks, or for one as `TASK=VALUE`.

    Raises:
        RunError: A task is unknown, or has two values.
    """
    values: dict[str, str] = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if sign and name not in tasks:
            raise RunError(f"{option} {text}: {name!r} is not exported{nearest(name, tasks)}")
        for task in [name] if sign else tasks:
            wanted = value if sign else text
            if not wanted.strip():
                raise RunError(f"{option} {text!r}: is empty · expected a value or TASK=VALUE")
            if values.setdefault(task, wanted) != wanted:
                raise RunError(
                    f"{option} {text}: {task} has {values[task]!r} already · give it one value"
                )
    return values
