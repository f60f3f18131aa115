"""`vipbench bench`: measure how fast this machine answers."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vipbench.cli.app import app
from vipbench.cli.options import RawValues, read_fields, record_command
from vipbench.cli.printing import CONSOLE, print_columns, put, put_sentence

if TYPE_CHECKING:
    from vipbench.bench.report import BenchReport
    from vipbench.bench.settings import BenchSettings


def _settings() -> "type[BenchSettings]":
    from vipbench.bench.settings import BenchSettings

    return BenchSettings


@record_command(app, "bench", _settings, before={"json": "model"})
def bench(
    raw: RawValues,
    json: Annotated[
        Path, typer.Option("--json", metavar="FILE", help="The report; a stopped bench resumes.")
    ] = Path("results/bench.json"),
    fresh: Annotated[bool, typer.Option("--fresh", help="Measure all of it again.")] = False,
) -> None:
    """Measure vipbench beside batch-1 and batched `generate` of transformers, on the same samples.

    With --peer also beside a server. Without arguments: the embedded checkpoint on a fixed part of
    the demo suite, in a few minutes.
    """
    from vipbench.bench.driver import bench as measure
    from vipbench.bench.settings import BenchSettings
    from vipbench.validation import checked

    fields = read_fields(BenchSettings, raw)
    settings = checked(BenchSettings, fields, "vipbench bench", places=raw.places)
    report = measure(settings, json, fresh=fresh, console=CONSOLE)
    _print_report(report)
    put(json)


def _print_report(report: "BenchReport") -> None:
    from vipbench.report.text import number, percent

    heads = "way samples/s steady MFU waits processes threads batch padding n memory"
    rows = [tuple(heads.split())]
    for way, speed in report.ways.items():
        rows.append(
            (
                way,
                number(speed.samples_per_s, 1),
                number(speed.samples_per_s_steady, 1),
                f"{percent(speed.mfu)} %",
                f"{percent(speed.wait_share)} %",
                str(speed.workers),
                str(speed.threads),
                str(speed.batch_size),
                f"{percent(speed.padding_waste)} %",
                f"{speed.n:,}",
                f"{number(speed.memory_mib, 0)} MiB",
            )
        )
    print_columns(rows)
    ratios = (
        ("itself without sharing", report.ratio_unshared),
        ("the official way", report.ratio_official),
        ("the usual way", report.ratio_usual),
        ("the server", report.ratio_peer),
    )
    factors = [f"{number(ratio, 2)} x {way}" for way, ratio in ratios if ratio is not None]
    if factors:
        put_sentence(", ".join(factors))
        _print_intervals(report)
    agreement = report.agreement.items()
    agreed = ", ".join(f"{way} {count}/{report.n_compared}" for way, count in agreement)
    if report.answers_equal is not None:
        put_sentence(f"answers {'equal' if report.answers_equal else 'NOT equal'} ({agreed})")
    floor = report.floor
    put_sentence(
        f"arithmetic alone: {number(floor.samples_per_s, 0)} samples/s at {floor.peak:.3g} FLOP/s"
    )
    if floor.saving is not None:
        saving = report.ways["vipbench"].saving if "vipbench" in report.ways else None
        put_sentence(
            f"what prompts have in common is {percent(floor.saving)} % of the arithmetic; vipbench "
            f"saved {percent(saving or 0.0)} %"
        )
    if "peer" in report.ways and not report.ways["peer"].forgets:
        put_sentence(
            "the server keeps what it has read from round to round · start vLLM with "
            "VLLM_SERVER_DEV_MODE=1, and it forgets before each"
        )


def _print_intervals(report: "BenchReport") -> None:
    """Print how well the ratios are known: of each, the mean of its rounds with an interval."""
    from vipbench.report.text import number

    if report.rounds == 1:
        put_sentence("from one round no interval follows · give --rounds 2 or more")
        return
    parts = [
        f"{way} {number(ratio.mean, 2)} [{number(ratio.low, 2)}, {number(ratio.high, 2)}]"
        for way, ratio in report.ratios.items()
    ]
    said = f"paired by round, {report.rounds} rounds, mean and 95 % interval"
    put_sentence(f"{said}: {', '.join(parts)}")
