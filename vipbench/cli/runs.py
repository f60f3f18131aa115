"""Run, score, leaderboard."""

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from vipbench.cli.app import app
from vipbench.cli.options import Data, Fit, Ids, Include, Seed, Styles
from vipbench.cli.words import duration, listed, print_columns, say
from vipbench.errors import RunError

if TYPE_CHECKING:
    from vipbench.run import DryRun, Results, RunSettings

DEMO_SUITE = "demo"


DEFAULT_RUNNER = "vipllava"


@app.command()
def run(
    model: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL", help="Checkpoint folder or hub id.", show_default="the embedded"
        ),
    ] = None,
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
    limit: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help="Only so many samples of each task, drawn by the seed.",
            show_default="all",
        ),
    ] = None,
    ids: Ids = None,
    seed: Seed = 0,
    batch_size: Annotated[str, typer.Option(metavar="auto|N", help="Requests at a time.")] = "auto",
    dtype: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="float32, float16 or bfloat16.",
            show_default="float16 on CUDA, else float32",
        ),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="cpu, cuda, cuda:1, mps.", show_default="the fastest here"
        ),
    ] = None,
    prompt_format: Annotated[
        Literal["hf", "llava_v1", "chat_template"] | None,
        typer.Option(help="The frame around the user's text.", show_default="of suite, model, hf"),
    ] = None,
    fit: Fit = None,
    runner: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="What answers; `vipbench ls runners`, or package.module:Class."
        ),
    ] = DEFAULT_RUNNER,
    max_errors: Annotated[
        float,
        typer.Option(
            metavar="SHARE", min=0, max=1, help="Share of a task's samples that may fail."
        ),
    ] = 0.01,
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
    from vipbench import run as runs
    from vipbench.data import parse_data_options
    from vipbench.schema import checked

    if ":" in runner:
        sys.path.append(str(Path.cwd()))  # where a user's own runner usually lies
    names = listed("--tasks", tasks)
    fields: dict[str, object] = {
        "model": model,
        "suite": suite or (None if names else DEMO_SUITE),
        "tasks": names,
        "styles": styles,
        "data": parse_data_options(data or ()),
        "include": tuple(include or ()),
        "limit": limit,
        "ids": listed("--ids", ids),
        "seed": seed,
        "batch_size": _batch_size(batch_size),
        "dtype": dtype,
        "device": device,
        "prompt_format": prompt_format,
        "fit": fit,
        "runner": runner,
        "max_errors": max_errors,
        "fresh": fresh,
        "out": out,
    }
    settings = _with_demo(checked(runs.RunSettings, fields, "vipbench run"))
    if dry_run:
        _print_dry_run(runs.dry_run(settings, progress=True))
        return
    results = runs.run(settings, progress=True, say=say)
    _print_results(results)


def _batch_size(text: str) -> int | str:
    if text == "auto":
        return text
    if not re.fullmatch(r"0*[1-9][0-9]{0,8}", text):
        raise RunError(f"--batch-size {text!r}: expected 'auto' or a whole number from 1")
    return int(text)


def _with_demo(settings: "RunSettings") -> "RunSettings":
    """Fill in the embedded benchmark and checkpoint where the suite is one of theirs."""
    from vipbench import demo
    from vipbench.tasks import load_suite

    if not settings.suite or not load_suite(settings.suite, settings.include).demo:
        return settings
    changes: dict[str, object] = {"data": demo.benchmark() | settings.data}
    if settings.model is None and settings.runner == DEFAULT_RUNNER:
        changes["model"] = str(demo.CHECKPOINT)
    return settings.model_copy(update=changes)


@app.command()
def score(
    folder: Annotated[
        Path, typer.Argument(metavar="RUN", help="A run folder.", show_default=False)
    ],
) -> None:
    """Score a run again from its answers, without a model."""
    from vipbench import run as runs

    results = runs.score(folder)
    _print_results(results)


@app.command()
def leaderboard(
    folders: Annotated[
        list[Path], typer.Argument(metavar="RUN", help="Run folders.", show_default=False)
    ],
    out: Annotated[
        Path,
        typer.Option(
            "-o", "--out", metavar="PATH", help="Folder of the tables.", show_default=False
        ),
    ],
) -> None:
    """Write leaderboard.{md,csv,json,tex} and breakdown.{md,csv,json} of finished runs."""
    from vipbench import report

    for path in report.leaderboard(folders, out):
        print(path)


def _print_results(results: "Results") -> None:
    """Print what came out, how it depends on the kind of mark, and where it lies."""
    from rich.console import Console

    from vipbench.report import BreakdownTable, run_table

    styles = [style for styles in results.manifest.identity.styles.values() for style in styles]
    marked = {style.name for style in styles if style.kind in ("marks", "given")}
    # Into a file or a pipe, a table may be wider than a terminal's usual 80 columns.
    console = Console(width=None if sys.stdout.isatty() else 160)
    console.print(run_table(results.rows))
    breakdown = BreakdownTable(results.rows, marked)
    if breakdown.rows:
        console.print(breakdown)
    print(f"{results.path}  (`vipbench show {results.path} ID` prints one sample)")


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
