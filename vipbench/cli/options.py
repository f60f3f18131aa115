"""Options that several commands have."""

from pathlib import Path
from typing import Annotated, Literal

import typer

Data = Annotated[
    list[str] | None,
    typer.Option(
        "--data",
        metavar="KEY=DIR",
        help="Where the data of a key lie, or a YAML file {KEY: {questions, images}}; repeatable.",
        show_default=False,
    ),
]
Include = Annotated[
    list[Path] | None,
    typer.Option(
        "--include",
        metavar="DIR",
        help="Folder with further task files; repeatable.",
        show_default=False,
    ),
]
Ids = Annotated[
    list[str] | None,
    typer.Option(
        "--ids",
        metavar="ID",
        help="Only these samples; repeatable, or with commas.",
        show_default="all",
    ),
]
Styles = Annotated[
    str | None,
    typer.Option(
        metavar="LIST",
        help="Prompt styles, such as 'demo,blind' or 'rectangle,ellipse x red,blue'.",
        show_default="of the suite or the task",
    ),
]
Fit = Annotated[
    Literal["pad", "squash", "crop"] | None,
    typer.Option(help="How images are brought to the model's square.", show_default="of the task"),
]
Metrics = Annotated[
    list[str] | None,
    typer.Option(
        "--metric",
        metavar="NAME",
        help="Report this metric too (lenient, option_argmax); repeatable.",
        show_default="those of the suite",
    ),
]
Seed = Annotated[int, typer.Option(metavar="N", help="Keys every random draw.")]
