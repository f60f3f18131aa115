"""`vipbench ls`: list tasks, styles, runners, suites or runs."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer

from vipbench.cli.app import app
from vipbench.cli.options import Include
from vipbench.cli.printing import print_columns
from vipbench.errors import RunError


@app.command("ls")
def list_things(
    what: Annotated[
        Literal["tasks", "styles", "runners", "suites", "runs"],
        typer.Argument(show_default=False),
    ],
    place: Annotated[
        Path | None,
        typer.Argument(
            metavar="DIR", help="Folder of the run folders.", show_default="results/runs"
        ),
    ] = None,
    include: Include = None,
    folder: Annotated[
        Path | None,
        typer.Option("--runs", metavar="DIR", help="The same.", show_default="results/runs"),
    ] = None,
) -> None:
    """List tasks, styles, runners, suites or runs; of these the last changed first."""
    from vipbench.cli.ls_runs import list_runs

    if place is not None and (folder is not None or what != "runs"):
        wanted = "one folder" if what == "runs" else "a folder for `vipbench ls runs` alone"
        raise RunError(f"ls {what} {place}: is one too many · expected {wanted} · leave it out")
    folders = tuple(include or ())
    if what == "tasks":
        print_columns(_task_rows(folders))
    elif what == "styles":
        print_columns(_style_rows(folders))
    elif what == "runners":
        print_columns(_runner_rows())
    elif what == "suites":
        print_columns(_suite_rows(folders))
    else:
        if folder is not None and not folder.is_dir():
            raise RunError(f"--runs {folder}: no such folder · give one that holds run folders")
        list_runs(place or folder)


def _task_rows(include: Sequence[Path]) -> Iterable[Sequence[str]]:
    from vipbench.data.tasks import find_tasks, load_task

    yield "task", "version", "kind", "data", "samples", "title"
    for name in find_tasks(include):
        spec = load_task(name, include)
        data = spec.data if isinstance(spec.data, str) else " + ".join(spec.data)
        n = spec.reference.get("samples", "")
        yield (
            name,
            f"{spec.version}",
            spec.kind,
            data,
            f"{n:,}" if isinstance(n, int) else n,
            spec.title,
        )


def _style_rows(include: Sequence[Path]) -> Iterable[Sequence[str]]:
    from vipbench.data.tasks import all_styles

    yield "style", "kind", "shapes", "title"
    for name, style in all_styles(include).items():
        yield name, style.kind, ", ".join(style.shapes), style.title


def _suite_rows(include: Sequence[Path]) -> Iterable[Sequence[str]]:
    from vipbench.data.tasks import find_suites, load_suite

    yield "suite", "tasks", "styles", "title"
    for name in find_suites(include):
        suite = load_suite(name, include)
        styles = ", ".join(suite.styles) or "(the tasks' own)"
        yield name, ", ".join(suite.tasks), styles, suite.title


def _runner_rows() -> Iterable[Sequence[str]]:
    from vipbench.runners.registry import list_runners

    yield "runner", "what it is"
    yield from list_runners().items()
