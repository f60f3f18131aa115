"""`vipbench render`: a contact sheet of samples with their marks."""

from pathlib import Path
from typing import Annotated

import typer

from vipbench.cli import complete
from vipbench.cli.app import app
from vipbench.cli.options import RawValues, read_fields, record_command, side_option
from vipbench.cli.printing import put, save, say
from vipbench.errors import DataError
from vipbench.option import Option


@record_command(
    app,
    "render",
    fields=("styles", "ids", "seed", "data", "include", "fit"),
    words={
        "styles": Option(
            "Prompt styles.", metavar="LIST", unset="of the task", flags=("--style", "--styles")
        )
    },
    before={"out": "styles", "n": "ids"},
)
def render(
    raw: RawValues,
    task: Annotated[
        str,
        typer.Argument(
            autocompletion=complete.task, metavar="TASK", help="Name of a task.", show_default=False
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "-o", "--out", metavar="PATH", help="The picture to write.", show_default=False
        ),
    ],
    n: Annotated[int, typer.Option("--n", metavar="N", min=1, help="Number of samples.")] = 12,
    size: Annotated[
        int | None,
        side_option(
            "Side in px of the model's square, to see what the model sees.",
            unset="as drawn, before fitting",
        ),
    ] = None,
) -> None:
    """Write a contact sheet: samples with their marks, the exact text under each."""
    from PIL import Image

    from vipbench.images.contact_sheet import Cell, contact_sheet
    from vipbench.images.load import load_measured
    from vipbench.run.settings import RunSettings
    from vipbench.trials.make import make_trials
    from vipbench.trials.selection import select

    fields = read_fields(RunSettings, raw)
    seed, ids = fields.pop("seed"), fields.pop("ids")
    chosen = select(tasks=[task], **fields)
    for note in chosen.notes:
        say(note)
    trials, _ = make_trials(chosen, list, seed=seed, limit=n, ids=ids)
    order = {(trial.task, trial.id): index for index, trial in reversed(list(enumerate(trials)))}
    cells = []
    for trial in sorted(trials, key=lambda trial: order[trial.task, trial.id]):
        if trial.request is None:
            say(f"{trial.task} {trial.id}: {trial.error}")
            continue
        loaded = load_measured(trial.request, chosen.images[trial.task], size)
        first, *others = map(Image.fromarray, loaded.each)
        title = f"{trial.task} · {trial.style} · {trial.id}"
        text = "\n\n".join(trial.request.turns)
        cells.append(Cell(first, title, text, tuple(others)))
    if not cells:
        raise DataError(f"{task}: no sample can be drawn · `vipbench check {task}` says why")
    n_styles = max(len(choice.styles) for choice in chosen.tasks)
    save(contact_sheet(cells, n_styles if n_styles > 1 else None), out)
    put(out)
