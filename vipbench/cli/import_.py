"""`vipbench import`: score answers that were made elsewhere."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer

from vipbench.cli.app import app
from vipbench.cli.options import RawValues, read_fields, record_command
from vipbench.cli.printing import CONSOLE, print_results
from vipbench.errors import RunError
from vipbench.option import Option

ReadFormat = Literal["answers", "visual7w", "vip_bench", "gar_bench", "csv", "jsonl", "datasets"]


@record_command(
    app,
    "import",
    fields=(
        *("data", "model", "suite", "styles", "include", "limit", "ids", "seed"),
        *("max_errors", "fresh", "out"),
    ),
    words={
        "model": Option("Who gave the answers.", metavar="NAME", unset="as the files say"),
        "suite": Option("Whose styles, fit and metrics.", metavar="NAME"),
        "max_errors": Option("Share of a task's samples that may have no answer.", metavar="SHARE"),
    },
    before={"as_format": "suite"},
)
def import_answers(
    raw: RawValues,
    files: Annotated[
        list[str],
        typer.Argument(metavar="TASK=FILE", help="Answers to a task.", show_default=False),
    ],
    as_format: Annotated[
        ReadFormat | None,
        typer.Option("--format", help="Format of the files.", show_default="as they look"),
    ] = None,
) -> None:
    """Score answers that were made elsewhere, into a run folder like any other.

    A sample without an answer is an error, and so is one with several that differ. A joint task is
    scored where all its parts are given.
    """
    from vipbench.run import loop
    from vipbench.run.settings import RunSettings
    from vipbench.runfolder.manifest import IMPORTED
    from vipbench.validation import checked

    answers = _answer_files(files)
    fields = read_fields(RunSettings, raw) | {
        "answers": answers,
        "answers_format": as_format,
        "runner": IMPORTED,
    }
    fields["tasks"] = _with_joint(tuple(answers), fields["include"])
    settings = checked(RunSettings, fields, "vipbench import")
    print_results(loop.run(settings, console=CONSOLE))


def _answer_files(arguments: Sequence[str]) -> dict[str, Path]:
    files: dict[str, Path] = {}
    for argument in arguments:
        task, _, path = argument.partition("=")
        if not (task and path):
            raise RunError(f"{argument!r}: expected TASK=FILE, such as vcr_qa=answers.jsonl")
        if task in files:
            raise RunError(f"{argument!r}: {task} is given twice · give one file a task")
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
