"""`vipbench score`: score a run again from its answers, and have them graded."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vipbench.cli.app import app
from vipbench.cli.extractor import extractor_settings
from vipbench.cli.judge import judge_settings
from vipbench.cli.options import RawValues, read_fields, record_command
from vipbench.cli.printing import CONSOLE, print_results, put_sentence

if TYPE_CHECKING:
    from vipbench.run.settings import ScoreSettings


def _settings() -> "type[ScoreSettings]":
    from vipbench.run.settings import ScoreSettings

    return ScoreSettings


@record_command(app, "score", _settings, fields=("metrics", "judge", "extractor"))
def score(
    raw: RawValues,
    folder: Annotated[
        Path, typer.Argument(metavar="RUN", help="A run folder.", show_default=False)
    ],
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Only say what judge and extractor would be asked, and what it may cost.",
        ),
    ] = False,
) -> None:
    """Score a run again from its answers, without a model.

    With --judge-url, answers to graded tasks that have no grade yet are graded. With
    --extractor-url, a model reads what the rule leaves unread, in rows of its own.
    """
    from vipbench.extractor.options import ExtractorOptions
    from vipbench.judge.options import JudgeOptions
    from vipbench.run import score as run_score

    fields = read_fields(_settings(), raw)
    judge = JudgeOptions(**fields["judge"])
    if dry_run:
        extractor = extractor_settings(ExtractorOptions(**fields["extractor"]))
        console = replace(CONSOLE, say=put_sentence)
        run_score.dry_score(folder, judge_settings(judge), extractor, console=console)
        return
    results = run_score.score(
        folder,
        fields["metrics"],
        judge_settings(judge),
        judge.ledger,
        extractor_settings(ExtractorOptions(**fields["extractor"])),
        may_fork=True,
        console=CONSOLE,
    )
    print_results(results)
