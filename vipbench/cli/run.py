"""`vipbench run`: ask a model the questions of a suite, and score the answers."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vipbench.cli.app import app
from vipbench.cli.job import config_text, take_job
from vipbench.cli.judge import judge_settings
from vipbench.cli.options import Log, RawValues, listed, read_fields, record_command
from vipbench.cli.printing import (
    CONSOLE,
    print_columns,
    print_results,
    print_tables,
    put,
    put_sentence,
    say,
)
from vipbench.console import duration
from vipbench.errors import RunError

if TYPE_CHECKING:
    from vipbench.run.dry_run import DryRun
    from vipbench.runfolder.summary import SeedRow
    from vipbench.runners.spec import Estimate


HEADINGS = {
    **dict.fromkeys(
        ("suite", "tasks", "styles", "data", "include", "limit", "ids", "seed", "seeds", "fit"),
        "What is asked",
    ),
    **dict.fromkeys(("metrics", "max_errors"), "What is asked"),
    **dict.fromkeys(
        (
            "model",
            "name",
            "step",
            "base",
            "adapter",
            "runner",
            "prompt_format",
            "dtype",
            "quantize",
        ),
        "What answers",
    ),
    **dict.fromkeys(("device", "path", "replay"), "What answers"),
    **dict.fromkeys(
        ("batch_size", "token_budget", "workers", "engine", "no_share", "loaders", "shard"),
        "How fast",
    ),
    "judge": "Judge (--judge-url)",
}
"""What help lists together."""


@record_command(
    app,
    "run",
    typed={"workers": "auto"},
    before={
        "job": "model",
        "seeds": "metrics",
        "dry_run": "out",
        "show_config": "out",
        "log": "out",
    },
    headings=HEADINGS,
)
def run(
    raw: RawValues,
    context: typer.Context,
    job: Annotated[
        Path | None,
        typer.Argument(
            metavar="JOB",
            is_eager=True,
            callback=take_job,
            help="YAML file of options by their long names, with _ or -; those that are typed, and "
            "those of variables, go before it. Its paths are relative to the working directory.",
            show_default=False,
        ),
    ] = None,
    seeds: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=2,
            help="Number of runs, seeded from --seed on, and the spread over them.",
            show_default="one run",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be asked, how long, how large.")
    ] = False,
    show_config: Annotated[
        bool,
        typer.Option("--show-config", help="Only print all options as YAML, which is a job file."),
    ] = False,
    log: Log = None,
) -> None:
    """Ask a model the questions of a suite under its styles, and score the answers.

    Without arguments: the embedded checkpoint on the embedded benchmark. The same command resumes
    where it was stopped; a finished run is printed again.
    """
    from vipbench.judge.options import JudgeOptions
    from vipbench.run import dry_run as run_dry_run
    from vipbench.run import loop
    from vipbench.run.defaults import with_defaults
    from vipbench.run.seeds import run_seeds
    from vipbench.run.settings import RunSettings
    from vipbench.runfolder.shard import AUTO
    from vipbench.training.tracked import Tracked
    from vipbench.validation import checked

    fields = read_fields(RunSettings, raw)
    judge = JudgeOptions(**fields["judge"])
    fields["judge"] = judge_settings(judge)
    if fields["judge"] is None and judge.ledger is not None:
        raise RunError("--judge-ledger: needs a judge · add --judge-url")
    if fields["judge"] is not None and seeds is not None:
        raise RunError(
            "--seeds with --judge-url: cannot be combined · give the judge to `vipbench score` "
            "for each of the runs"
        )
    if log and (seeds is not None or raw["shard"] is not None):
        other = "--seeds" if seeds is not None else "--shard"
        raise RunError(
            f"--log with {other}: cannot be combined · expected one run with its scores · give "
            "--log when it is whole"
        )
    if raw["shard"] == AUTO:
        fields["device"] = _device_of_rank(fields["device"])
    if ":" in fields["runner"]:
        sys.path.append(str(Path.cwd()))  # where a user's own runner usually lies
    asked = checked(
        RunSettings, fields | {"variables": raw.variables}, "vipbench run", places=raw.places
    )
    if show_config:
        put(config_text(context))
        return
    settings = with_defaults(asked, CONSOLE)
    if dry_run:
        _print_dry_run(run_dry_run.dry_run(settings, CONSOLE))
    elif seeds is not None:
        _print_seeds(*run_seeds(settings, seeds, console=CONSOLE))
    elif settings.shard is not None:
        put(loop.run(settings, console=CONSOLE).path)
    else:
        tracked = Tracked(listed("--log", log), say)
        results = loop.run(settings, console=CONSOLE)
        print_results(results)
        tracked.tell(results)
        tracked.end()


def _device_of_rank(device: str | None) -> str | None:
    """Return the GPU that torchrun means for this process; any other device as it is."""
    if "LOCAL_RANK" not in os.environ:
        return device
    from vipbench.runfolder.shard import device_of_rank
    from vipbench.runners.device import find_device

    return device_of_rank(str(find_device(device)), os.environ)


def _print_seeds(path: Path, rows: "Sequence[SeedRow]") -> None:
    """Print the spread over seeds, and where it lies."""
    from vipbench.report.terminal import seed_table

    print_tables(seed_table(rows))
    put(path)


def _print_dry_run(plan: "DryRun") -> None:
    for note in plan.notes:
        say(note)
    header = ("task", "style", "samples", "unusable")
    rows = [
        (task, style, f"{n:,}", f"{plan.n_errors.get(task, 0):,}")
        for (task, style), n in plan.counts.items()
    ]
    print_columns([header, *rows])
    put(f"run folder  {plan.path}")
    put(f"to ask      {plan.n_left:,} of {sum(plan.counts.values()):,} requests")
    if plan.seconds is None:
        put_sentence(f"time        {plan.seconds_from}", indent=12)
    else:
        put_sentence(
            f"time        about {duration(plan.seconds)}, as {plan.seconds_from}", indent=12
        )
    put(f"disk        about {plan.n_bytes / 1e6:.1f} MB")
    if plan.estimate is not None:
        _print_estimate(plan.estimate)


def _print_estimate(estimate: "Estimate") -> None:
    """Print what an endpoint would be sent; tokens are estimates, and rather too many."""
    put(f"images      {estimate.n_images:,}")
    put_sentence(
        f"tokens      about {estimate.n_prompt_tokens:,} of prompts, at most "
        f"{estimate.most_new_tokens:,} of answers",
        indent=12,
    )
    if estimate.most_dollars is None:
        put("money       unknown: give --price-in and --price-out")
        return
    over = ""
    if estimate.budget is not None and estimate.most_dollars > estimate.budget:
        over = f", more than --budget {estimate.budget:g}: it may stop before the end"
    put_sentence(f"money       at most about ${estimate.most_dollars:,.2f}{over}", indent=12)
