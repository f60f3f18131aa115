"""Run, score, leaderboard."""

import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from vipbench.cli import judge
from vipbench.cli.app import app
from vipbench.cli.options import (
    BatchSize,
    Data,
    Device,
    Dtype,
    Fit,
    Ids,
    Include,
    Limit,
    Metrics,
    Model,
    PromptFormat,
    Seed,
    Styles,
    TokenBudget,
)
from vipbench.cli.printing import CONSOLE, duration, listed, print_columns, say
from vipbench.errors import RunError

if TYPE_CHECKING:
    from vipbench.run.dry_run import DryRun
    from vipbench.run.score import Results
    from vipbench.run.settings import RunSettings
    from vipbench.runfolder.summary import SeedRow


DEMO_SUITE = "demo"
PAPER_SUITE = "paper"
"""The suite that `--replay` is about, where none is named."""


DEFAULT_RUNNER = "vipllava"
BREAKDOWN_AXES = ("shape", "color", "target_color", "target_size", "position")
"""What is printed at the end of a run, where its tasks break down by it; the rest is in files."""


@app.command()
def run(
    model: Model = None,
    suite: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Named set of tasks and styles.", show_default="demo"),
    ] = None,
    tasks: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TASK",
            help="Tasks instead of those of the suite; repeatable, or with commas.",
            show_default=False,
        ),
    ] = None,
    styles: Styles = None,
    data: Data = None,
    include: Include = None,
    limit: Limit = None,
    ids: Ids = None,
    seed: Seed = 0,
    batch_size: BatchSize = "auto",
    token_budget: TokenBudget = None,
    dtype: Dtype = None,
    device: Device = None,
    prompt_format: PromptFormat = None,
    fit: Fit = None,
    runner: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="What answers; `vipbench ls runners`, or package.module:Class."
        ),
    ] = DEFAULT_RUNNER,
    path: Annotated[
        Literal["fast", "reference"],
        typer.Option(help="How VipLlava answers: as fast as it can, or by plain `generate`."),
    ] = "fast",
    replay: Annotated[
        Literal["official"] | None,
        typer.Option(
            help="Sample where the published scripts do, at their temperature.",
            show_default="greedy",
        ),
    ] = None,
    seeds: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=2,
            help="So many runs, from --seed on, and the spread over them.",
            show_default="one run",
        ),
    ] = None,
    metrics: Metrics = None,
    max_errors: Annotated[
        float,
        typer.Option(
            metavar="SHARE", min=0, max=1, help="Share of a task's samples that may fail."
        ),
    ] = 0.01,
    workers: Annotated[
        int,
        typer.Option(
            metavar="N", min=1, help="Processes that answer: one a GPU, or one a core of the CPU."
        ),
    ] = 1,
    engine: Annotated[
        Literal["local", "ray"],
        typer.Option(help="Where they are: here, or actors on a cluster of Ray (vipbench[ray])."),
    ] = "local",
    loaders: Annotated[
        str,
        typer.Option(
            metavar="auto|N",
            help="Processes that open and mark images; auto: up to 8 a GPU, none on a CPU.",
        ),
    ] = "auto",
    shard: Annotated[
        str | None,
        typer.Option(
            metavar="I/N|auto",
            help="Ask every N-th batch from the I-th on; auto: as SLURM or torchrun says.",
            show_default="all",
        ),
    ] = None,
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
    fresh: Annotated[bool, typer.Option("--fresh", help="Redo what an earlier run did.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be asked, how long, how large.")
    ] = False,
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
    """Ask a model the questions of a suite under its styles, and score the answers.

    Without arguments: the embedded checkpoint on the embedded benchmark. The same command goes on
    where it was stopped; a finished run is printed again.
    """
    from vipbench.data.locate import parse_data_options
    from vipbench.run import dry_run as run_dry_run
    from vipbench.run import loop
    from vipbench.run.seeds import run_seeds
    from vipbench.run.settings import RunSettings
    from vipbench.runfolder.shard import AUTO, parse_shard
    from vipbench.validation import checked

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
    if chosen is None and judge_ledger is not None:
        raise RunError("--judge-ledger: no judge to ask; give --judge-url too")
    if chosen is not None and seeds is not None:
        raise RunError(
            "--seeds with --judge-url: give the judge to `vipbench score` for each of the runs"
        )
    part = parse_shard(shard, os.environ) if shard is not None else None
    if shard == AUTO:
        device = _device_of_rank(device)
    if ":" in runner:
        sys.path.append(str(Path.cwd()))  # where a user's own runner usually lies
    names = listed("--tasks", tasks)
    fields: dict[str, object] = {
        "model": model,
        "suite": suite or (None if names else PAPER_SUITE if replay else DEMO_SUITE),
        "tasks": names,
        "styles": styles,
        "data": parse_data_options(data or ()),
        "include": tuple(include or ()),
        "limit": limit,
        "ids": listed("--ids", ids),
        "seed": seed,
        "batch_size": parse_batch_size(batch_size),
        "token_budget": token_budget,
        "dtype": dtype,
        "device": device,
        "prompt_format": prompt_format,
        "fit": fit,
        "runner": runner,
        "path": path,
        "replay": replay,
        "metrics": listed("--metric", metrics),
        "max_errors": max_errors,
        "workers": workers,
        "engine": engine,
        "loaders": parse_loaders(loaders),
        "shard": part,
        "judge": chosen,
        "fresh": fresh,
        "out": out,
    }
    settings = with_demo(checked(RunSettings, fields, "vipbench run"))
    if dry_run:
        _print_dry_run(run_dry_run.dry_run(settings, CONSOLE))
    elif seeds is not None:
        _print_seeds(*run_seeds(settings, seeds, console=CONSOLE))
    elif settings.shard is not None:
        print(loop.run(settings, console=CONSOLE).path)
    else:
        print_results(loop.run(settings, console=CONSOLE))


def _device_of_rank(device: str | None) -> str | None:
    """Return the GPU that torchrun means for this process; any other device as it is."""
    if "LOCAL_RANK" not in os.environ:
        return device
    from vipbench.runfolder.shard import device_of_rank
    from vipbench.runners.device import find_device

    return device_of_rank(str(find_device(device)), os.environ)


def parse_batch_size(text: str) -> int | str:
    """Read `--batch-size`; RunError for what is neither `auto` nor a number from 1."""
    if text == "auto":
        return text
    if not re.fullmatch(r"0*[1-9][0-9]{0,8}", text):
        raise RunError(f"--batch-size {text!r}: expected 'auto' or a whole number from 1")
    return int(text)


def parse_loaders(text: str) -> int | str:
    """Read `--loaders`; RunError for what is neither `auto` nor a number from 0."""
    if text == "auto":
        return text
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise RunError(f"--loaders {text!r}: expected 'auto' or a whole number from 0")
    return int(text)


def with_demo(settings: "RunSettings") -> "RunSettings":
    """Fill in the embedded benchmark and checkpoint where the suite is one of theirs."""
    from vipbench import demo
    from vipbench.data.tasks import load_suite

    if not settings.suite or not load_suite(settings.suite, settings.include).demo:
        return settings
    changes: dict[str, object] = {"data": demo.benchmark() | settings.data}
    if settings.model is None and settings.runner == DEFAULT_RUNNER:
        changes["model"] = str(demo.CHECKPOINT)
    return settings.model_copy(update=changes)


def print_results(results: "Results") -> None:
    """Print what came out, how it depends on the kind of mark, and where it lies."""
    from rich.console import Console

    from vipbench.report.terminal import BreakdownTable, run_table

    styles = [style for styles in results.manifest.identity.styles.values() for style in styles]
    marked = {style.name for style in styles if style.kind in ("marks", "given")}
    # Into a file or a pipe, a table may be wider than a terminal's usual 80 columns.
    console = Console(width=None if sys.stdout.isatty() else 160)
    console.print(run_table(results.rows))
    listed_axes = {axis for task in results.manifest.tasks.values() for axis in task.breakdown}
    breakdown = BreakdownTable(
        results.rows, marked, [axis for axis in BREAKDOWN_AXES if axis in listed_axes]
    )
    if breakdown.rows:
        console.print(breakdown)
    print(f"{results.path}  (`vipbench show {results.path} ID` prints one sample)")


def _print_seeds(path: Path, rows: "Sequence[SeedRow]") -> None:
    """Print the spread over seeds, and where it lies."""
    from rich.console import Console

    from vipbench.report.terminal import seed_table

    Console(width=None if sys.stdout.isatty() else 160).print(seed_table(rows))
    print(path)


def _print_dry_run(plan: "DryRun") -> None:
    for note in plan.notes:
        say(note)
    header = ("task", "style", "samples", "unusable")
    rows = [
        (task, style, f"{n:,}", f"{plan.n_errors.get(task, 0):,}")
        for (task, style), n in plan.counts.items()
    ]
    print_columns([header, *rows])
    print(f"run folder  {plan.path}")
    print(f"to ask      {plan.n_left:,} of {sum(plan.counts.values()):,} requests")
    if plan.seconds is None:
        print(f"time        {plan.seconds_from}")
    else:
        print(f"time        about {duration(plan.seconds)}, as {plan.seconds_from}")
    print(f"disk        about {plan.n_bytes / 1e6:.1f} MB")
