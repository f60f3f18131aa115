"""`vipbench convert`: make a checkpoint of the official ViP-LLaVA code one that `run` takes."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from vipbench.cli.app import app
from vipbench.cli.printing import CONSOLE, put_sentence


@app.command()
def convert(
    original: Annotated[
        str,
        typer.Argument(metavar="ORIGINAL", help="Folder or hub id, such as mucai/vip-llava-7b."),
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A new or empty folder.")],
    vision_tower: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER_OR_ID",
            help="CLIP model, for an original that holds no vision tower.",
            show_default="the one that the original's configuration stands for",
        ),
    ] = None,
    dtype: Annotated[
        Literal["float16", "float32", "keep"],
        typer.Option(help="How the weights are stored; keep: as in the original."),
    ] = "keep",
) -> None:
    """Convert a checkpoint of the official ViP-LLaVA code to VipLlava, the model of transformers.

    Writes OUT/vipbench.json with the prompt format and the fit of the official scripts.
    """
    from vipbench.runners.conversion.convert import convert as convert_checkpoint

    with CONSOLE.bar(str(out), unit="B", in_logs=False) as bar:

        def plan(n_bytes: int) -> None:
            bar.reset(total=n_bytes)

        done = convert_checkpoint(
            original,
            out,
            vision_tower=vision_tower,
            dtype=dtype,
            on_plan=plan,
            on_written=bar.update,
        )
    put_sentence(
        f"{done.path}: {done.n_tensors} tensors, {done.n_bytes / 1e9:.2f} GB, converted from "
        f"{done.converted_from}"
    )
    put_sentence(f"vision tower: {done.vision_tower}")
    put_sentence(
        f"prompt format: {done.hints.prompt_format}, fit: {done.hints.fit} (vipbench.json)"
    )
    put_sentence(f"next: vipbench run --model {done.path} --suite paper --data KEY=DIR")
