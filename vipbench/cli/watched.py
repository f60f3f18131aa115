"""What `vipbench watch` prints at its end: a line for each checkpoint."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vipbench.cli.printing import print_columns, put

if TYPE_CHECKING:
    from vipbench.run.score import Results
    from vipbench.training.watch import Looked

MISSING = "-"
MOST_TASKS = 3
"""That have a column each; of more, the first one has."""


def print_overview(looked: "Sequence[Looked]", base: Path | None, out: Path) -> None:
    """Print step, headline accuracy, verdict against the base and run of each checkpoint."""
    tasks = list(
        dict.fromkeys(t for each in looked if each.results for t in each.results.manifest.tasks)
    )
    shown = tasks if len(tasks) <= MOST_TASKS else tasks[:1]
    put()
    print_columns(_rows(looked, shown, base))
    if len(tasks) > len(shown) or len(looked) > 1:
        more = f"{len(tasks) - len(shown)} more tasks, " if len(tasks) > len(shown) else ""
        put(f"{more}kinds of mark and drops over the steps: `vipbench history {out}`")


def _rows(
    looked: "Sequence[Looked]", tasks: Sequence[str], base: Path | None
) -> Iterator[list[str]]:
    yield [
        *("step", *(f"{task}, %" for task in tasks)),
        *([f"against {base}"] if base is not None else []),
        "run",
    ]
    for each in looked:
        step, accuracy = _numbers(each)
        run = "not evaluated" if each.results is None else str(each.results.path)
        yield [
            *(step, *(accuracy.get(task, MISSING) for task in tasks)),
            *([each.verdict or MISSING] if base is not None else []),
            run if each.results is not None else f"{each.folder}: {run}",
        ]


def _numbers(each: "Looked") -> tuple[str, dict[str, str]]:
    """Return the training step, and the headline accuracy of each task in percent."""
    from vipbench.report.names import called, step_of
    from vipbench.report.text import percent
    from vipbench.runfolder.summary import ALL

    results: Results | None = each.results
    if results is None:
        step = step_of(each.folder.name)
        return MISSING if step is None else f"{step:,}", {}
    step = called(results.path, results.manifest).step
    accuracy: dict[str, str] = {}
    for row in results.rows:
        task = results.manifest.tasks.get(row.task)
        if row.group == ALL and task is not None and row.style == task.headline:
            accuracy.setdefault(row.task, percent(row.accuracy))
    return MISSING if step is None else f"{step:,}", accuracy
