"""certify: what rounding does to a run's answers."""

from pathlib import Path
from typing import Annotated

import typer

from vipbench.cli.app import app
from vipbench.cli.options import (
    BatchSize,
    Data,
    Device,
    Dtype,
    Include,
    Model,
    PromptFormat,
    Seed,
    TokenBudget,
)
from vipbench.cli.printing import CONSOLE, listed, print_columns
from vipbench.cli.run import DEFAULT_RUNNER, DEMO_SUITE, parse_batch_size, with_demo

SHOWN_FLIPS = 10
SHOWN_LETTERS = 40


@app.command()
def certify(
    model: Model = None,
    runner: Annotated[
        str, typer.Option(metavar="NAME", help="What answers: vipllava or hf.")
    ] = DEFAULT_RUNNER,
    dtype: Dtype = None,
    device: Device = None,
    batch_size: BatchSize = "auto",
    token_budget: TokenBudget = None,
    prompt_format: PromptFormat = None,
    n: Annotated[
        int, typer.Option("--n", metavar="N", min=1, help="Samples in all, as many of each task.")
    ] = 200,
    suite: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Where the samples are from.", show_default="demo"),
    ] = None,
    tasks: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TASK",
            help="Tasks instead of those of the suite; repeatable, or with commas.",
            show_default=False,
        ),
    ] = None,
    data: Data = None,
    include: Include = None,
    seed: Seed = 0,
    out: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--out",
            metavar="FILE",
            help="The certificate.",
            show_default="results/certificates/<settings>.json",
        ),
    ] = None,
) -> None:
    """Count the answers that rounding flips, and write the numerics certificate.

    The same samples are answered one at a time in float32, and as a run with these settings does.
    Such a run, and `vipbench gate` and `compare` after it, find the certificate.
    """
    from vipbench import certify as certificates
    from vipbench.data.locate import parse_data_options
    from vipbench.run.settings import RunSettings
    from vipbench.validation import checked

    names = listed("--tasks", tasks)
    fields: dict[str, object] = {
        "model": model,
        "runner": runner,
        "dtype": dtype,
        "device": device,
        "batch_size": parse_batch_size(batch_size),
        "token_budget": token_budget,
        "prompt_format": prompt_format,
        "suite": suite or (None if names else DEMO_SUITE),
        "tasks": names,
        "data": parse_data_options(data or ()),
        "include": tuple(include or ()),
        "seed": seed,
    }
    settings = with_demo(checked(RunSettings, fields, "vipbench certify"))
    path, found = certificates.certify(settings, n, out, console=CONSOLE)
    print_columns(list(certificates.report(found).items()))
    flips = [
        (
            flip.task,
            flip.id,
            _shown(flip.text_reference),
            _shown(flip.error if flip.text is None else flip.text),
        )
        for flip in found.flips[:SHOWN_FLIPS]
    ]
    if flips:
        print()
        print_columns([("task", "id", "float32", str(found.dtype)), *flips])
    if found.n_flipped > SHOWN_FLIPS:
        print(f"and {found.n_flipped - SHOWN_FLIPS:,} more")
    print(path)


def _shown(text: str | None) -> str:
    """Write an answer in one line that fits."""
    shown = ascii(text or "")[1:-1] if text and not text.isprintable() else text or ""
    return f"{shown[: SHOWN_LETTERS - 1]}…" if len(shown) > SHOWN_LETTERS else shown
