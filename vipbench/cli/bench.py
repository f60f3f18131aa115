"""Measure how fast this machine answers."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from vipbench.cli.app import app
from vipbench.cli.options import Device, Dtype, Model
from vipbench.cli.words import listed, print_columns, say

N = 500


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
        int | None,
        typer.Option(
            metavar="N", min=1, help="Tokens of an answer at most.", show_default="of the task"
        ),
    ] = None,
    rounds: Annotated[
        int, typer.Option(metavar="N", min=1, help="Measurements of each way; the median counts.")
    ] = 3,
    fresh: Annotated[bool, typer.Option("--fresh", help="Measure all of it again.")] = False,
) -> None:
    """Measure vipbench beside batch-1 and batched `generate` of transformers, on the same samples.

    Without arguments: the embedded checkpoint on a fixed part of the demo suite, in a few minutes.
    """
    from vipbench.bench import BenchSettings
    from vipbench.bench import bench as measure

    settings = BenchSettings(
        model=model,
        random=random,
        device=device,
        dtype=dtype,
        n=n,
        tasks=listed("--tasks", tasks),
        prompt_tokens=prompt_tokens,
        new_tokens=new_tokens,
        rounds=rounds,
    )
    report = measure(settings, json, fresh=fresh, say=say)
    rows = [
        ("way", "samples/s", "steady", "MFU", "processes", "threads", "batch", "padding", "memory")
    ]
    for way, found in report.ways.items():
        steady = found.samples_per_s_steady
        rows.append(
            (
                way,
                f"{found.samples_per_s:.1f}",
                "-" if steady is None else f"{steady:.1f}",
                f"{found.mfu:.1%}",
                str(found.workers),
                str(found.threads),
                str(found.batch_size),
                f"{found.padding_waste:.1%}",
                f"{found.memory_mib:.0f} MiB",
            )
        )
    print_columns(rows)
    print(
        f"{report.ratio_official:.2f} x the official way, {report.ratio_usual:.2f} x the usual way"
    )
    agreed = ", ".join(f"{way} {count}/{report.n}" for way, count in report.agreement.items())
    print(f"answers {'equal' if report.answers_equal else 'NOT equal'} ({agreed})")
    floor = report.floor
    print(f"arithmetic alone: {floor.samples_per_s:.0f} samples/s at {floor.peak:.3g} FLOP/s")
    print(json)
