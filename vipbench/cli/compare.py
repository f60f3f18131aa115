"""Compare, gate, power: what the difference between two runs says."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from vipbench.cli.app import app
from vipbench.cli.printing import listed, print_columns, say
from vipbench.errors import CheckFailed, RunError

if TYPE_CHECKING:
    from vipbench.analysis.compare import Comparison
    from vipbench.analysis.gate import Gate


@app.command()
def compare(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN...", help="Run folders, or RUN@STYLE; two or more.", show_default=False
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--out",
            metavar="PATH",
            help="Folder for compare.{md,csv,json}, flips.csv, forest.{png,svg}.",
            show_default="only printed",
        ),
    ] = None,
    partial: Annotated[
        bool, typer.Option("--partial", help="Leave out tasks and samples that one run lacks.")
    ] = False,
    metric: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Such as lenient.", show_default="of each task"),
    ] = None,
) -> None:
    """Compare runs with the first one, sample by sample: checkpoints, styles, dtypes.

    Without a style, the headline style of each task. RUN@none, RUN@blind and the like compare
    styles, within one run too.
    """
    from vipbench.analysis import compare as comparing

    found = comparing.compare(runs, metric=metric, partial=partial)
    for note in found.notes:
        say(note)
    _print_comparison(found)
    if out is not None:
        for path in comparing.write(found, out):
            print(path)


@app.command()
def gate(
    base: Annotated[
        str, typer.Argument(metavar="BASE", help="Run of the old checkpoint.", show_default=False)
    ],
    new: Annotated[
        str, typer.Argument(metavar="NEW", help="Run of the new one.", show_default=False)
    ],
    config: Annotated[
        Path | None,
        typer.Option(
            "--config", metavar="FILE", help="Thresholds (YAML).", show_default="no drop allowed"
        ),
    ] = None,
    by: Annotated[
        list[str] | None,
        typer.Option(
            "--by",
            metavar="AXIS",
            help="Test each value of a breakdown too, such as shape; repeatable, or with commas.",
            show_default=False,
        ),
    ] = None,
    require_power: Annotated[
        bool, typer.Option("--require-power", help="Too little power is a failure, no warning.")
    ] = False,
    rounding: Annotated[
        Literal["report", "widen"] | None,
        typer.Option(
            help="Report what certificates say of rounding, or allow for it too.",
            show_default="of --config, else report",
        ),
    ] = None,
    junit: Annotated[
        Path | None,
        typer.Option("--junit", metavar="FILE", help="Write JUnit XML.", show_default=False),
    ] = None,
    summary: Annotated[
        Path | None,
        typer.Option("--summary", metavar="FILE", help="Write Markdown.", show_default=False),
    ] = None,
) -> None:
    """Fail if a checkpoint got worse: exit code 0 or 1.

    A row for each task, under its headline style and metric; it fails where the drop is larger
    than allowed beyond doubt (one-sided 95 %, paired, clustered by image, Holm over the rows).
    """
    from vipbench.analysis import gate as gates

    thresholds = gates.read_thresholds(config)
    if rounding is not None:
        thresholds = thresholds.model_copy(update={"rounding": rounding})
    found = gates.gate(
        base,
        new,
        thresholds,
        by=listed("--by", by),
        require_power=require_power,
    )
    for path, text in ((junit, gates.junit(found)), (summary, gates.summary(found))):
        if path is not None:
            gates.write(text, path)
    _print_gate(found)
    if found.failures:
        raise CheckFailed(gates.verdict(found))
    print(gates.verdict(found))


@app.command()
def power(
    base: Annotated[
        str | None,
        typer.Argument(metavar="[RUN]", help="A run, or RUN@STYLE.", show_default=False),
    ] = None,
    new: Annotated[
        str | None,
        typer.Argument(
            metavar="[NEW]",
            help="A second run on the same samples: its changes are taken as typical.",
            show_default=False,
        ),
    ] = None,
    n: Annotated[
        int | None,
        typer.Option("--n", metavar="N", min=1, help="Samples, in place of a run."),
    ] = None,
    drop: Annotated[
        float, typer.Option(metavar="SHARE", min=0.0001, max=1, help="Drop to be found.")
    ] = 0.02,
    discordance: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            min=0.0001,
            max=1,
            help="Share of answers that change.",
            show_default="measured, else several",
        ),
    ] = None,
    design_effect: Annotated[
        float,
        typer.Option(metavar="X", min=1, help="Of samples that share images, without a run."),
    ] = 1.0,
    alpha: Annotated[
        float, typer.Option(metavar="SHARE", min=0.0001, max=0.4999, help="One-sided level.")
    ] = 0.05,
    power_: Annotated[
        float,
        typer.Option(
            "--power", metavar="SHARE", min=0.5001, max=0.9999, help="Chance to find the drop."
        ),
    ] = 0.8,
) -> None:
    """Print the smallest drop that a comparison finds, and the samples that a drop needs.

    From a run (and a second one), or from numbers alone.
    """
    from vipbench.analysis import power as powers
    from vipbench.stats import Design

    if (base is None) == (n is None):
        raise RunError("vipbench power: expected either a run or --n; give one of them")
    if base is not None:
        found = powers.power_of_runs(
            base, new, drop=drop, discordance=discordance, alpha=alpha, power=power_
        )
    else:
        shares = powers.DISCORDANCES if discordance is None else (discordance,)
        designs = [Design(n or 0, share, design_effect, alpha, power_) for share in shares]
        found = [
            powers.PowerRow(
                "-", each.n, 0, False, each, each.smallest_drop(), each.samples_for(drop)
            )
            for each in designs
        ]
    header = ("task", "samples", "images", "changed", "design effect", "smallest drop")
    rows = [
        (
            row.task,
            f"{row.n:,}",
            f"{row.n_clusters:,}" if row.n_clusters else "-",
            f"{100 * row.design.discordance:.1f} %{' (measured)' if row.measured else ''}",
            f"{row.design.design_effect:.2f}",
            "none" if row.smallest_drop is None else f"{100 * row.smallest_drop:.2f} points",
            f"{row.samples_needed:,}",
        )
        for row in found
    ]
    print_columns([(*header, f"samples for {100 * drop:g} points"), *rows])


def _print_comparison(found: "Comparison") -> None:
    from vipbench.analysis.compare import HEADER, table_rows
    from vipbench.report.leaderboard import ALL

    for new in dict.fromkeys(row.new for row in found.rows):
        rows = [row for row in found.rows if row.new == new]
        title = f"{rows[0].base} → {new}: accuracy, %"
        data = " · synthetic data" if any(row.synthetic for row in rows) else ""
        whole = [row for row in rows if row.group == ALL]
        _print_table(title + data, HEADER, list(table_rows(whole)))


def _print_gate(found: "Gate") -> None:
    from vipbench.analysis.gate import HEADER, table_rows

    for note in found.notes:
        say(note)
    for line in found.rounding:
        say(f"rounding: {line}")
    title = f"{found.base.name} → {found.new.name}: percent and percentage points"
    _print_table(title, ("", *HEADER), list(table_rows(found.rows)))
    for finding in found.findings:
        word = "FAIL" if finding.failed else "warning"
        say(f"{word}: {finding.task}: {finding.message}")


def _print_table(title: str, header: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(title), title_justify="left")
    for place, name in enumerate(header):
        table.add_column(Text(name), justify="left" if place == 0 else "right", overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    Console(width=None if sys.stdout.isatty() else 160).print(table)
