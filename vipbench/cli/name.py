"""`vipbench name`: print or say what tables call a run."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vipbench.cli.app import app
from vipbench.cli.printing import put
from vipbench.errors import RunError

if TYPE_CHECKING:
    from vipbench.runfolder.manifest import Manifest


@app.command("name")
def name_run(
    folder: Annotated[
        Path, typer.Argument(metavar="RUN", help="A run folder.", show_default=False)
    ],
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NEW",
            help="What tables call its model; '' removes it.",
            show_default="as it is",
        ),
    ] = None,
    step: Annotated[
        str | None,
        typer.Option(
            "--step",
            metavar="N",
            help="Training step of the checkpoint; '' removes what was said.",
            show_default="as it is",
        ),
    ] = None,
    remove: Annotated[
        bool, typer.Option("--remove", help="Remove the name: it is called after its model again.")
    ] = False,
) -> None:
    """Print or say what tables, plots and reports call the model of a run.

    Nothing else of the run changes.
    """
    from vipbench.runfolder import manifest as manifests
    from vipbench.runfolder.name_file import check_name, check_step, remove_name, write_name

    if remove and name:
        raise RunError(
            f"--remove: the name {name!r} is given, too · expected one of the two · leave one out"
        )
    manifest = manifests.read(folder)
    new_name = check_name(name, "NEW") if name else None
    new_step = check_step(step, "--step") if step else None
    remove_name(folder, name=remove or name == "", step=step == "")
    write_name(folder, new_name, new_step)
    put(_line(folder, manifest))


def _line(folder: Path, manifest: "Manifest") -> str:
    """Say what a run is called, and where that comes from."""
    from vipbench.report.names import called_as, sources
    from vipbench.runfolder.name_file import read_name

    given = read_name(folder)
    known, (of_name, of_step) = called_as(given, manifest), sources(given, manifest)
    step = "step not known" if known.step is None else f"step {known.step:,} ({of_step})"
    return f"{folder}: {known.name} ({of_name}), {step}"
