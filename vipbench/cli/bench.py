"""Measure how fast this machine answers."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from vipbench.cli.app import app
from vipbench.cli.options import Device, Dtype, Model
from vipbench.cli.printing import CONSOLE, listed, print_columns

N = 500
N_TUNE = 128


@app.command()
def bench(
    json: Annotated[
        Path, typer.Option("--json", metavar="FILE", help="The report; a stopped bench goes on.")
    ] = Path("results/bench.json"),
    model: Model = None,
    random: Annotated[
        Literal["tiny", "7b", "13b"] | None,
        typer.Option(help="A model of this size with random weights.", show_default=False),
    ] = None,
    device: Device = None,
    dtype: Dtype = None,
    n: Annotated[
        int, typer.Option("--n", metavar="N", min=1, help="Samples, spread over the tasks.")
    ] = N,
    n_official: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, help="Of them, those for the official way.", show_default="all"
        ),
    ] = None,
    n_usual: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, help="Of them, those for the usual way.", show_default="all"
        ),
    ] = None,
    ways: Annotated[
        list[str] | None,
        typer.Option(
            metavar="WAY",
            help="vipbench, official, usual; repeatable, or with commas.",
            show_default="all",
        ),
    ] = None,
    tasks: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TASK",
            help="Tasks of the demo suite; repeatable, or with commas.",
            show_default="all",
        ),
    ] = None,
    prompt_tokens: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help="Lengthen every prompt to so many tokens, the image's among them.",
            show_default="as they are",
        ),
    ] = None,
    new_tokens: Annotated[
        str | None,
        typer.Option(
            metavar="N|open",
            help="Tokens of an answer at most; open: each its own, as of open questions.",
            show_default="of the task",
        ),
    ] = None,
    image_width: Annotated[
        int | None,
        typer.Option(
            metavar="PX",
            min=1,
            help="Width of every image before it is fitted.",
            show_default="as they are",
        ),
    ] = None,
    rounds: Annotated[
        int, typer.Option(metavar="N", min=1, help="Measurements of each way; the median counts.")
    ] = 3,
    n_tune: Annotated[
        int,
        typer.Option(
            metavar="N", min=1, help="Samples on which threads and batch sizes are tried."
        ),
    ] = N_TUNE,
    n_process: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help="Samples that one process answers before the next one goes on.",
            show_default="all",
        ),
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Measure all of it again.")] = False,
) -> None:
    """Measure vipbench beside batch-1 and batched `generate` of transformers, on the same samples.

    Without arguments: the embedded checkpoint on a fixed part of the demo suite, in a few minutes.
    """
    from vipbench.bench.driver import bench as measure
    from vipbench.bench.records import WAYS
    from vipbench.bench.settings import BenchSettings
    from vipbench.report.text import number, percent
    from vipbench.validation import checked

    fields: dict[str, object] = {
        "model": model,
        "random": random,
        "device": device,
        "dtype": dtype,
        "n": n,
        "n_official": n_official,
        "n_usual": n_usual,
        "ways": listed("--ways", ways) or WAYS,
        "tasks": listed("--tasks", tasks),
        "prompt_tokens": prompt_tokens,
        "new_tokens": int(new_tokens) if new_tokens and new_tokens.isdecimal() else new_tokens,
        "image_width": image_width,
        "rounds": rounds,
        "n_tune": n_tune,
        "n_process": n_process,
    }
    settings = checked(BenchSettings, fields, "vipbench bench")
    report = measure(settings, json, fresh=fresh, console=CONSOLE)
    heads = "way samples/s steady MFU waits processes threads batch padding n memory"
    rows = [tuple(heads.split())]
    for way, found in report.ways.items():
        rows.append(
            (
                way,
                number(found.samples_per_s, 1),
                number(found.samples_per_s_steady, 1),
                f"{percent(found.mfu)} %",
                f"{percent(found.wait_share)} %",
                str(found.workers),
                str(found.threads),
                str(found.batch_size),
                f"{percent(found.padding_waste)} %",
                f"{found.n:,}",
                f"{number(found.memory_mib, 0)} MiB",
            )
        )
    print_columns(rows)
    ratios = (("official", report.ratio_official), ("usual", report.ratio_usual))
    told = [f"{number(ratio, 2)} x the {way} way" for way, ratio in ratios if ratio is not None]
    if told:
        print(", ".join(told))
    agreement = report.agreement.items()
    agreed = ", ".join(f"{way} {count}/{report.n_compared}" for way, count in agreement)
    if report.answers_equal is not None:
        print(f"answers {'equal' if report.answers_equal else 'NOT equal'} ({agreed})")
    floor = report.floor
    print(
        f"arithmetic alone: {number(floor.samples_per_s, 0)} samples/s at {floor.peak:.3g} FLOP/s"
    )
    print(json)
