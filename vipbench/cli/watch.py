"""`vipbench watch`: evaluate checkpoints as a training writes them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vipbench.cli.app import app
from vipbench.cli.judge import judge_settings
from vipbench.cli.options import Log, RawValues, listed, read_fields, record_command
from vipbench.cli.printing import CONSOLE, print_results, say
from vipbench.cli.run import HEADINGS
from vipbench.cli.watched import print_overview
from vipbench.errors import CheckFailed, RunError
from vipbench.option import Option

if TYPE_CHECKING:
    from vipbench.run.score import Results

FIELDS = (
    *("name", "base", "suite", "tasks", "styles", "data", "include", "limit", "ids", "seed"),
    *("batch_size", "token_budget", "dtype", "quantize", "device", "prompt_format", "fit"),
    *("runner", "path", "metrics", "max_errors", "workers", "engine", "loaders", "judge", "out"),
)
"""Options of `run`; those that say which model, or that a watch says itself, are left out."""
WORDS = {
    "base": Option(
        "Checkpoint that lends what others lack; or a run, which each is held against.",
        metavar="PATH",
        unset="none",
    ),
    "out": Option(
        "Folder of the runs, one for each checkpoint.",
        metavar="PATH",
        unset="DIR/vipbench",
        flags=("-o", "--out"),
    ),
}


@record_command(
    app, "watch", fields=FIELDS, words=WORDS, before={"folder": "name"}, headings=HEADINGS
)
def watch(
    raw: RawValues,
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DIR",
            help="Where a training writes a folder for each checkpoint.",
            show_default=False,
        ),
    ],
    every: Annotated[
        str,
        typer.Option("--every", metavar="TIME", help="Between two looks: 60, 30s, 5m, 1h."),
    ] = "60",
    once: Annotated[bool, typer.Option("--once", help="End when no checkpoint is left.")] = False,
    log: Log = None,
) -> None:
    """Evaluate checkpoints as they are written, each once, when it is complete.

    That is, when its config and all of its weights are there and none of its files has changed
    between two looks. Options are those of `vipbench run`. At the end, a line for each checkpoint.
    """
    from vipbench.judge.options import JudgeOptions
    from vipbench.run.settings import RunSettings
    from vipbench.training.tracked import Tracked
    from vipbench.training.watch import Watched, parse_every, split_base
    from vipbench.training.watch import watch as watching
    from vipbench.validation import checked

    fields = read_fields(RunSettings, raw)
    fields["judge"] = judge_settings(JudgeOptions(**fields["judge"]))
    fields["base"], base_run = split_base(fields["base"])
    settings = checked(
        RunSettings, fields | {"variables": raw.variables}, "vipbench watch", places=raw.places
    )
    watched = Watched(folder, settings, parse_every(every), once, base_run)
    tracked = Tracked(listed("--log", log), say)

    def tell(results: "Results") -> None:
        if results.n_answered:  # else it was printed when it was evaluated
            print_results(results)
        tracked.tell(results, watched.out)

    try:
        outcome = watching(
            watched,
            CONSOLE,
            tell,
            tell_end=lambda looked: print_overview(looked, base_run, watched.out),
        )
    finally:
        tracked.end()
    if outcome.failures:
        raise outcome.failures[0]
    if not outcome.results:
        raise RunError(
            f"{folder}: no complete checkpoint · expected folders with config.json and all weights "
            "right below it, such as checkpoint-500 · name the folder that they are in"
        )
    if outcome.failed_gates:
        raise CheckFailed("; ".join(outcome.failed_gates))
