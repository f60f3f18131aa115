"""`vipbench plan`: what a run will take, before it."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vipbench.cli.app import app
from vipbench.cli.commands import JOB
from vipbench.cli.job import take_planned_job
from vipbench.cli.judge import judge_settings
from vipbench.cli.options import RawValues, field_options, read_fields, record_command, typed_words
from vipbench.cli.printing import CONSOLE, put, put_json, say
from vipbench.cli.run import HEADINGS

if TYPE_CHECKING:
    from vipbench.planning.chain import Typed


OWN = ("devices", "bench", "published", "comparable_only", "slurm", "as_json")


@record_command(
    app, "plan", before={"job": "model"}, headings={**HEADINGS, **dict.fromkeys(OWN, "The plan")}
)
def plan(
    raw: RawValues,
    context: typer.Context,
    job: Annotated[
        Path | None,
        typer.Argument(
            metavar="JOB",
            is_eager=True,
            callback=take_planned_job,
            help="YAML file of options, as `vipbench run` takes it.",
            show_default=False,
        ),
    ] = None,
    devices: Annotated[
        str | None,
        typer.Option(
            metavar="[N x ]NAME",
            help="What will answer, such as '2 x H100'; N alone: of the kind that was measured.",
            show_default="what was measured, else one of each that is known",
        ),
    ] = None,
    bench: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="What `vipbench bench` has measured.", show_default=False
        ),
    ] = None,
    published: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="The published system that the model is: --system of `vipbench reproduce`.",
            show_default="that of the model",
        ),
    ] = None,
    comparable_only: Annotated[
        bool,
        typer.Option(
            "--comparable-only", help="Leave out tasks without a published number of this model."
        ),
    ] = False,
    slurm: Annotated[
        bool,
        typer.Option("--slurm", help="Print a script that hands all of it to SLURM, as jobs."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a text.")] = False,
) -> None:
    """Say what a run would take: requests, comparable numbers, hours, memory, disk, money.

    Takes the options of `vipbench run`. Loads no weights; says what it assumes.
    """
    from vipbench.judge.options import JudgeOptions
    from vipbench.planning.chain import script
    from vipbench.planning.devices import parse_fleet
    from vipbench.planning.plan import PlanOptions, make_plan
    from vipbench.planning.text import lines
    from vipbench.run.defaults import with_defaults
    from vipbench.run.settings import RunSettings
    from vipbench.validation import checked

    fields = read_fields(RunSettings, raw)
    fields["judge"] = judge_settings(JudgeOptions(**fields["judge"]))
    if ":" in fields["runner"]:
        sys.path.append(str(Path.cwd()))  # where a user's own runner usually lies
    settings = with_defaults(
        checked(
            RunSettings, fields | {"variables": raw.variables}, "vipbench plan", places=raw.places
        ),
        CONSOLE,
    )
    options = PlanOptions(
        typed=_typed(raw),
        fleet=None if devices is None else parse_fleet(devices),
        bench=bench,
        system=published,
        comparable_only=comparable_only,
        slurm=slurm,
    )
    if (seeds := context.meta.get(JOB, {}).get("seeds")) is not None:
        say(f"{seeds}: seeds: are not planned: what follows is of one run")
    made = make_plan(settings, options, CONSOLE)
    if as_json:
        put_json(made.model_dump(mode="json"))
    elif slurm:
        put(script(made.commands, "vipbench", lines(made, commands=False)).rstrip("\n"))
    else:
        for line in lines(made):
            put(line)


def _typed(raw: RawValues) -> "Typed":
    """Return what was typed as words of the commands of a chain."""
    from vipbench.planning.chain import Typed
    from vipbench.run.settings import RunSettings

    options = list(field_options(RunSettings))
    judge = [option for option in options if option.path[0] == "judge"]
    others = [option for option in options if option not in judge and option.name != "out"]
    return Typed(
        run=typed_words((option for option in others if option.name != "tasks"), raw),
        tasks=typed_words((option for option in others if option.name == "tasks"), raw),
        judge=typed_words(judge, raw),
        max_errors=typed_words((option for option in others if option.name == "max_errors"), raw),
    )
