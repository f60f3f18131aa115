"""`vipbench race`: find the best of several styles or models, with few questions."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vipbench.cli.app import app
from vipbench.cli.options import RawValues, listed, read_fields, record_command
from vipbench.cli.printing import CONSOLE, file_name, print_tables, put, put_sentence, say
from vipbench.cli.run import HEADINGS
from vipbench.errors import RunError
from vipbench.option import Option

if TYPE_CHECKING:
    from vipbench.run.settings import RunSettings

FIELDS = (
    *("model", "base", "adapter", "suite", "tasks", "styles", "data", "include", "limit", "ids"),
    *("seed", "batch_size", "token_budget", "dtype", "quantize", "device", "prompt_format", "fit"),
    *("runner", "path", "max_errors", "workers", "engine", "no_share", "loaders"),
    *("shard", "endpoint"),
    *("fresh", "out"),
)
"""Options of `run` that a race takes."""
WORDS = {
    "styles": Option(
        "The styles that race, such as 'shapes' or 'rectangle,ellipse x red,blue'.",
        metavar="LIST",
        unset="of the suite or the task",
    ),
    "out": Option(
        "Folder of race.{json,md,pdf,svg,png}, and of the runs, one a model.",
        metavar="PATH",
        unset="only printed; runs in results/runs",
        flags=("-o", "--out"),
    ),
}
TABLE_COLUMNS = 80
"""Width of the table in a file or a pipe."""


@record_command(
    app,
    "race",
    fields=FIELDS,
    words=WORDS,
    before={"models": "base", "within": "model", "block": "model"},
    headings=HEADINGS,
)
def race(
    raw: RawValues,
    models: Annotated[
        list[str] | None,
        typer.Option(
            "--models",
            metavar="PATH",
            help="Several models that race, in place of --model; repeatable, or with commas.",
            show_default=False,
        ),
    ] = None,
    within: Annotated[
        float,
        typer.Option(
            "--within",
            metavar="POINTS",
            help="End when all that are left are so near to the best; 0: when one is left.",
        ),
    ] = 1.0,
    block: Annotated[
        int | None,
        typer.Option(
            "--block",
            metavar="N",
            min=1,
            help="Samples between two looks.",
            show_default="100, then a quarter of those asked",
        ),
    ] = None,
) -> None:
    """Find the best of several styles, or models, with as few questions as that takes.

    All are asked the same samples in random order; out goes what cannot be best any more. The same
    command resumes where it was stopped. The other options are those of `vipbench run`.
    """
    from vipbench.report.terminal import grid_table
    from vipbench.run.defaults import with_defaults
    from vipbench.run.settings import RunSettings
    from vipbench.runfolder.manifest import Blocks
    from vipbench.sequential import race as races
    from vipbench.sequential import race_text as text
    from vipbench.trials.blocks import DEFAULT
    from vipbench.validation import checked

    fields = read_fields(RunSettings, raw)
    blocks = DEFAULT if block is None else Blocks(size=block)
    fields |= {"variables": raw.variables, "blocks": blocks}
    asked = with_defaults(checked(RunSettings, fields, "vipbench race"), CONSOLE)
    course = races.course_of(asked)
    for note in course.notes:
        say(note)
    settings = asked.model_copy(update={"styles": ";".join(course.styles)})
    result = races.race(
        _each(settings, raw["model"], listed("--models", models)), course, within / 100, CONSOLE
    )
    print_tables(grid_table(text.table(result)), columns=TABLE_COLUMNS)
    for sentence in text.sentences(result):
        put_sentence(sentence)
    for results in result.results:
        put(results.path)
    if asked.out is not None:
        for path in text.write(result, asked.out):
            put(path)


def _each(
    settings: "RunSettings", model: str | None, models: tuple[str, ...]
) -> "list[RunSettings]":
    """Return the settings of the run of each model, in a folder of its own."""
    if model is not None and models:
        raise RunError(f"--model {model} with --models: cannot be combined · give all to --models")
    named: tuple[str | None, ...] = models or (settings.model,)
    counts = Counter(_short(settings, name) for name in named)
    runs = []
    for name in named:
        short = _short(settings, name)
        folder = file_name(short if counts[short] == 1 else str(name))
        out = None if settings.out is None else settings.out / folder
        runs.append(settings.model_copy(update={"model": name, "out": out}))
    return runs


def _short(settings: "RunSettings", model: str | None) -> str:
    """Name a model by the last part of its path."""
    name = model or settings.adapter or settings.runner
    return Path(name).name or name
