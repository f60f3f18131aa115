"""`vipbench import`: score answers that were made elsewhere."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer

from vipbench.cli.app import app
from vipbench.cli.options import RawValues, read_fields, record_command
from vipbench.cli.printing import CONSOLE, print_results
from vipbench.errors import RunError
from vipbench.option import Option

ReadFormat = Literal[
    "answers",
    "visual7w",
    "vip_bench",
    "gar_bench",
    "blink",
    "blink_raw",
    "csv",
    "jsonl",
    "datasets",
]


@record_command(
    app,
    "import",
    fields=(
        *("data", "model", "name", "step", "suite", "styles", "include", "limit", "ids", "seed"),
        *("max_errors", "fresh", "out"),
    ),
    words={
        "model": Option("Who gave the answers.", metavar="NAME", unset="as the files say"),
        "suite": Option("Whose styles, fit and metrics.", metavar="NAME"),
        "styles": Option(
            "The style of ours that the answers were made under.",
            metavar="STYLE",
            unset="as the file says, else elsewhere",
            flags=("--style", "--styles"),
        ),
        "max_errors": Option("Share of a task's samples that may have no answer.", metavar="SHARE"),
    },
    before={"as_format": "suite"},
)
def import_answers(
    raw: RawValues,
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="TASK[@STYLE]=FILE",
            help="Answers to a task, and the style of ours that they were made under.",
            show_default=False,
        ),
    ],
    as_format: Annotated[
        ReadFormat | None,
        typer.Option("--format", help="Format of the files.", show_default="as they look"),
    ] = None,
) -> None:
    """Score answers that were made elsewhere, into a run folder like any other.

    A sample without an answer is an error, and so is one with several that differ. A joint task is
    scored where all its parts are given. Answers of which nobody says how they were made stand
    under style `elsewhere`.
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
        "variables": raw.variables,
    }
    fields["tasks"] = _with_joint(answers, fields["include"])
    settings = checked(RunSettings, fields, "vipbench import", places=raw.places)
    print_results(loop.run(settings, console=CONSOLE))


def _answer_files(arguments: Sequence[str]) -> dict[str, Path]:
    """Return the file of each task, or `task@style`."""
    files: dict[str, Path] = {}
    for argument in arguments:
        name, path = _split(argument)
        task, at, style = (part.strip() for part in name.partition("@"))
        if not (task and path and bool(at) == bool(style)):
            raise RunError(
                f"{argument!r}: expected TASK=FILE, such as vcr_qa=answers.jsonl, or"
                " TASK@STYLE=FILE"
            )
        name = f"{task}{at}{style}"
        if name in files:
            raise RunError(
                f"{argument!r}: {name} is given twice · give one file a task, or one a style:"
                f" {task}@STYLE=FILE"
            )
        files[name] = Path(path).expanduser()
    return files


def _split(argument: str) -> tuple[str, str]:
    """Split at the first `=` that is not that of an inline style's key, such as `radius=5`."""
    from vipbench.prompts.expressions import style_keys

    name, _, path = argument.partition("=")
    while "@" in name and re.split("[@:+]", name)[-1].strip() in style_keys():
        value, _, path = path.partition("=")
        name = f"{name}={value}"
    return name, path


def _with_joint(names: Iterable[str], include: Sequence[Path]) -> tuple[str, ...]:
    """Return the tasks, and the joint tasks of which all parts are there under the same styles."""
    from vipbench.data.tasks import find_tasks, load_task

    styles: dict[str, set[str]] = {}
    for name in names:
        task, _, style = name.partition("@")
        styles.setdefault(task, set()).add(style)
    for task in styles:
        load_task(task, include)  # a misspelt one is said before others are read
    specs = (load_task(name, include) for name in find_tasks(include))
    joint = (
        spec.name
        for spec in specs
        if spec.kind == "joint"
        and styles.keys() >= set(spec.data)
        and all(styles[part] == styles[spec.data[0]] for part in spec.data)
    )
    return tuple(dict.fromkeys((*styles, *joint)))
