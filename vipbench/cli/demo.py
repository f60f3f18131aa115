"""`vipbench demo`: write the embedded benchmark, train its checkpoints."""

import shutil
from pathlib import Path
from typing import Annotated

import typer

from vipbench.cli.app import app
from vipbench.cli.commands import App
from vipbench.cli.printing import CONSOLE, put
from vipbench.errors import DataError

demo_app = App(
    help="The embedded benchmark and the training of its checkpoints.", no_args_is_help=True
)
app.add_typer(demo_app, name="demo")


@demo_app.command("make")
def demo_make(
    out: Annotated[
        Path,
        typer.Option(
            "-o", "--out", metavar="PATH", help="A new or empty folder.", show_default=False
        ),
    ],
    n: Annotated[
        int, typer.Option("--n", metavar="N", min=1, help="Questions of each benchmark.")
    ] = 250,
    seed: Annotated[
        int | None,
        typer.Option(metavar="N", help="Seed of the scenes.", show_default="as embedded"),
    ] = None,
) -> None:
    """Write the synthetic benchmark in the layouts of all four releases."""
    from vipbench.demo.embedded import sources
    from vipbench.demo.generate import EVALUATION_SEED, make

    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DataError(f"-o {out}: is not empty · give a new or an empty folder")
    try:
        make(out, n, EVALUATION_SEED if seed is None else seed)
    except OSError as error:
        shutil.rmtree(out, ignore_errors=True)  # it was new, or empty
        raise DataError(
            f"-o {out}: cannot be written ({error.strerror}) · give another folder, or make room"
        ) from error
    for key, source in sources(out).items():
        put(f"--data {key}={source.questions}")


@demo_app.command("train")
def demo_train(
    state: Annotated[
        Path,
        typer.Option(
            metavar="DIR", help="Folder of the training's state; training resumes from there."
        ),
    ] = Path("results/demo-training"),
    out: Annotated[
        Path | None,
        typer.Option(
            "-o", "--out", metavar="PATH", help="The checkpoint.", show_default="STATE/checkpoint"
        ),
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Keys every random draw.")] = 0,
    threads: Annotated[int, typer.Option(metavar="N", min=1, help="Threads of torch.")] = 1,
) -> None:
    """Train the embedded checkpoint again; an hour or two on one CPU thread."""
    for option, folder in (("--state", state), ("-o", out)):
        if folder is not None and folder.exists() and not folder.is_dir():
            raise DataError(f"{option} {folder}: is not a folder · give a new or an earlier one")
    from vipbench.demo.train import train

    train(state, out, seed=seed, threads=threads, console=CONSOLE)
