"""Import and export: answers in the formats of other programs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from vipbench.cli.app import app
from vipbench.cli.export import Format
from vipbench.cli.options import Data, Ids, Include, Limit, Seed, Styles
from vipbench.cli.printing import CONSOLE, listed
from vipbench.cli.run import print_results
from vipbench.errors import RunError


@app.command("import")
def import_answers(
    files: Annotated[
        list[str],
        typer.Argument(metavar="TASK=FILE", help="Answers to a task.", show_default=False),
    ],
    data: Data = None,
    model: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Who gave the answers.", show_default="as the files say"),
    ] = None,
    as_format: Annotated[
        Format | None, typer.Option("--format", help="Of the files.", show_default="as they look")
    ] = None,
    suite: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Whose styles, fit and metrics.", show_default=False),
    ] = None,
    styles: Styles = None,
    include: Include = None,
    limit: Limit = None,
    ids: Ids = None,
    seed: Seed = 0,
    max_errors: Annotated[
        float,
        typer.Option(
            metavar="SHARE", min=0, max=1, help="Share of a task's samples that may have no answer."
        ),
    ] = 0.01,
    fresh: Annotated[bool, typer.Option("--fresh", help="Redo what an earlier run did.")] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--out",
            metavar="PATH",
            help="The run folder.",
            show_default="results/runs/<id of the run>",
        ),
    ] = None,
) -> None:
    """Score answers that were made elsewhere, into a run folder like any other.

    A sample without an answer is an error, and so is one with several that differ. A joint task is
    scored where all its parts are given.
    """
    from vipbench.data.locate import parse_data_options
    from vipbench.run import loop as runs
    from vipbench.run.settings import RunSettings
    from vipbench.runfolder.manifest import IMPORTED
    from vipbench.validation import checked

    places = tuple(include or ())
    answers = _answer_files(files)
    fields: dict[str, object] = {
        "answers": answers,
        "answers_format": as_format,
        "tasks": _with_joint(tuple(answers), places),
        "model": model,
        "suite": suite,
        "styles": styles,
        "data": parse_data_options(data or ()),
        "include": places,
        "limit": limit,
        "ids": listed("--ids", ids),
        "seed": seed,
        "runner": IMPORTED,
        "max_errors": max_errors,
        "fresh": fresh,
        "out": out,
    }
    settings = checked(RunSettings, fields, "vipbench import")
    print_results(runs.run(settings, console=CONSOLE))


def _answer_files(arguments: Sequence[str]) -> dict[str, Path]:
    files: dict[str, Path] = {}
    for argument in arguments:
        task, _, path = argument.partition("=")
        if not (task and path):
            raise RunError(f"{argument!r}: expected TASK=FILE, such as vcr_qa=answers.jsonl")
        if task in files:
            raise RunError(f"{argument!r}: {task} is given twice; give one file a task")
        files[task] = Path(path).expanduser()
    return files


def _with_joint(tasks: Sequence[str], include: Sequence[Path]) -> tuple[str, ...]:
    """Add the joint tasks of which all parts are there."""
    from vipbench.data.tasks import find_tasks, load_task

    for name in tasks:
        load_task(name, include)  # a misspelt one is said before others are read
    specs = (load_task(name, include) for name in find_tasks(include))
    joint = (
        spec.name for spec in specs if spec.kind == "joint" and set(tasks).issuperset(spec.data)
    )
    return tuple(dict.fromkeys((*tasks, *joint)))
