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
Model = Annotated[
    str | None,
    typer.Option(metavar="MODEL", help="Checkpoint folder or hub id.", show_default="the embedded"),
]
TokenBudget = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        min=1,
        help="Most tokens of prompts in a batch, images and padding included.",
        show_default="chosen by --batch-size",
    ),
]
Dtype = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="float32, float16 or bfloat16.",
        show_default="float16 on CUDA, else float32",
    ),
]
Device = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="cpu, cuda, cuda:1, mps.", show_default="the fastest here"),
]
BatchSize = Annotated[
    str,
    typer.Option(metavar="auto|N", help="Requests at a time; auto: as many as fit into memory."),
]
PromptFormat = Annotated[
    Literal["hf", "llava_v1", "chat_template"] | None,
    typer.Option(help="The frame around the user's text.", show_default="of suite, model, hf"),
]
Limit = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        min=1,
        help="Only so many samples of each task, drawn by the seed.",
        show_default="all",
    ),
]
