"""score: part of what was vipbench/cli/run.py."""

from pathlib import Path
from typing import Annotated

import typer

from vipbench.cli import judge
from vipbench.cli.app import app
from vipbench.cli.options import Metrics
from vipbench.cli.printing import CONSOLE, listed
from vipbench.cli.run import print_results


@app.command()
def score(
    folder: Annotated[
        Path, typer.Argument(metavar="RUN", help="A run folder.", show_default=False)
    ],
    metrics: Metrics = None,
    judge_url: judge.Url = None,
    judge_model: judge.Model = None,
    judge_key_file: judge.KeyFile = None,
    judge_prompt_from: judge.PromptFrom = None,
    judge_runs: judge.Runs = None,
    judge_workers: judge.Workers = None,
    judge_price: judge.Price = None,
    judge_budget: judge.Budget = None,
    judge_max_calls: judge.MaxCalls = None,
    judge_ledger: judge.LedgerPath = None,
) -> None:
    """Score a run again from its answers, without a model.

    With --judge-url, answers to graded tasks that have no grade yet are graded.
    """
    from vipbench.run import score as run_score

    chosen = judge.judge_settings(
        url=judge_url,
        model=judge_model,
        key_file=judge_key_file,
        prompt_from=judge_prompt_from,
        runs=judge_runs,
        workers=judge_workers,
        price=judge_price,
        budget=judge_budget,
        max_calls=judge_max_calls,
        ledger=judge_ledger,
    )
    results = run_score.score(
        folder, listed("--metric", metrics), chosen, judge_ledger, console=CONSOLE
    )
    print_results(results)
