"""`vipbench ls`: list tasks, styles, runners, suites or runs."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer

from vipbench.cli.app import app
from vipbench.cli.options import Include
from vipbench.cli.printing import print_columns, say
from vipbench.errors import RunError


@app.command("ls")
def list_things(
    what: Annotated[
        Literal["tasks", "styles", "runners", "suites", "runs"],
        typer.Argument(show_default=False),
    ],
    include: Include = None,
    folder: Annotated[
        Path | None,
        typer.Option(
            "--runs", metavar="DIR", help="Folder of the run folders.", show_default="results/runs"
        ),
    ] = None,
) -> None:
    """List tasks, styles, runners, suites or runs."""
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
        print_columns(_run_rows(folder))


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


def _run_rows(folder: Path | None) -> Iterable[Sequence[str]]:
    from vipbench.report.names import model_name
    from vipbench.run.claim import RUNS
    from vipbench.runfolder import manifest as manifests
    from vipbench.runfolder.folder import MANIFEST

    if folder is not None and not folder.is_dir():
        raise RunError(f"--runs {folder}: no such folder · give one that holds run folders")
    yield "run", "model", "suite", "requests", "started", "finished"
    # Not a pattern with the file's name: glob passes over a link that leads nowhere.
    folders = sorted((folder or RUNS).glob("*"))
    for path in (each / MANIFEST for each in folders if os.path.lexists(each / MANIFEST)):
        try:
            manifest = manifests.read(path.parent)
        except RunError as error:
            say(str(error))
            continue
        identity = manifest.identity
        yield (
            *(str(path.parent), model_name(manifest), identity.suite, f"{manifest.n_requests:,}"),
            *(manifest.started, manifest.finished or "no"),
        )
