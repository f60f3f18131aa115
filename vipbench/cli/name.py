"""`vipbench name`: say what tables call a run."""

from pathlib import Path
from typing import Annotated

import typer

from vipbench.cli.app import app
from vipbench.cli.printing import put
from vipbench.errors import RunError


@app.command("name")
def name_run(
    folder: Annotated[
        Path, typer.Argument(metavar="RUN", help="A run folder.", show_default=False)
    ],
    name: Annotated[
        str | None,
        typer.Argument(metavar="NEW", help="What tables call its model.", show_default="as it is"),
    ] = None,
    step: Annotated[
        str | None,
        typer.Option(
            "--step", metavar="N", help="Training step of the checkpoint.", show_default="as it is"
        ),
    ] = None,
) -> None:
    """Say what tables, plots and reports call the model of a run; nothing else of it changes."""
    from vipbench.report.names import called
    from vipbench.runfolder import manifest as manifests
    from vipbench.runfolder.name_file import check_name, check_step, write_name

    if name is None and step is None:
        raise RunError(
            f"{folder}: neither a name nor a step is given · expected one of the two · "
            f"`vipbench name {folder} NEW`, or --step N"
        )
    manifest = manifests.read(folder)
    write_name(
        folder,
        None if name is None else check_name(name, "NEW"),
        None if step is None else check_step(step, "--step"),
    )
    known = called(folder, manifest)
    put(f"{folder}: {known.name}" + ("" if known.step is None else f", step {known.step:,}"))
