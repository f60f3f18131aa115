"""`vipbench judge calibrate`: how a judge differs from a retired one."""

from pathlib import Path
from typing import Annotated

import typer

from vipbench.cli.app import app
from vipbench.cli.commands import App
from vipbench.cli.judge import judge_settings
from vipbench.cli.options import RawValues, read_fields, record_command
from vipbench.cli.printing import CONSOLE, print_tables, put, put_sentence
from vipbench.errors import JudgeError

judge_app = App(help="Judges of free answers.", no_args_is_help=True)
app.add_typer(judge_app, name="judge")


@record_command(judge_app, "calibrate", fields=("judge",))
def calibrate(
    raw: RawValues,
    folder: Annotated[
        Path, typer.Argument(metavar="RUN", help="A run folder.", show_default=False)
    ],
    known: Annotated[
        Path,
        typer.Option(
            "--known",
            metavar="FILE",
            help="What the retired judge gave for these answers: the official evaluator's "
            "…-grade-<n>runs.json, or …-cap-score-<n>runs.csv with the totals alone.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "-o", "--out", metavar="PATH", help="Folder of the tables.", show_default=False
        ),
    ],
    task: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Which graded task.", show_default="the only one"),
    ] = None,
) -> None:
    """Grade answers that a retired judge has graded, and tell how the two differ.

    RUN holds the answers, such as `vipbench import` makes of released ones. Agreement, bias and
    scatter of each capability, with 95 % intervals clustered by image. No grade is asked for twice:
    by default they are in the ledger of the run.
    """
    from vipbench.judge import calibration
    from vipbench.judge.known import read_known
    from vipbench.judge.options import JudgeOptions
    from vipbench.report.terminal import grid_table
    from vipbench.run.settings import RunSettings

    settings = judge_settings(JudgeOptions(**read_fields(RunSettings, raw)["judge"]))
    if settings is None:
        raise JudgeError("vipbench judge calibrate: needs a judge · add --judge-url")
    found = calibration.calibrate(
        folder, read_known(known), known, settings, task=task, console=CONSOLE
    )
    paths = calibration.write(found, out)
    print_tables(grid_table(calibration.table(found)))
    for note in calibration.notes(found):
        put_sentence(note)
    for path in paths:
        put(path)
