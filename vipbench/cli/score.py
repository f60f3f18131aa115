"""`vipbench score`: score a run again from its answers, and have them graded."""

from pathlib import Path
from typing import Annotated

import typer

from vipbench.cli.app import app
from vipbench.cli.judge import judge_settings
from vipbench.cli.options import RawValues, read_fields, record_command
from vipbench.cli.printing import CONSOLE, print_results


@record_command(app, "score", fields=("metrics", "judge"))
def score(
    raw: RawValues,
    folder: Annotated[
        Path, typer.Argument(metavar="RUN", help="A run folder.", show_default=False)
    ],
) -> None:
    """Score a run again from its answers, without a model.

    With --judge-url, answers to graded tasks that have no grade yet are graded.
    """
    from vipbench.judge.options import JudgeOptions
    from vipbench.run import score as run_score
    from vipbench.run.settings import RunSettings

    fields = read_fields(RunSettings, raw)
    judge = JudgeOptions(**fields["judge"])
    results = run_score.score(
        folder, fields["metrics"], judge_settings(judge), judge.ledger, console=CONSOLE
    )
    print_results(results)
