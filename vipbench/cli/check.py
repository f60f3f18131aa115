"""`vipbench check`: read all data of tasks without a model, and list what is wrong."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from vipbench.cli import complete
from vipbench.cli.app import app
from vipbench.cli.options import RawValues, listed, read_fields, record_command, side_option
from vipbench.cli.printing import CONSOLE, print_columns, put, put_sentence, verdict
from vipbench.errors import DataError, RunError
from vipbench.option import Option

if TYPE_CHECKING:
    from vipbench.trials.check import CheckReport
    from vipbench.trials.visibility import VisibilityReport


@record_command(
    app,
    "check",
    fields=("styles", "data", "include", "fit"),
    words={"fit": Option("With --visibility: only this one.", unset="all three")},
    before={"visibility": "fit"},
)
def check(
    raw: RawValues,
    tasks: Annotated[
        list[str],
        typer.Argument(
            autocompletion=complete.task, metavar="TASK", help="Names of tasks.", show_default=False
        ),
    ],
    visibility: Annotated[
        bool,
        typer.Option(
            "--visibility", help="Instead, measure what crop, pad and squash leave of the marks."
        ),
    ] = False,
    size: Annotated[
        int | None,
        side_option("With --visibility: side in px of the model's square.", unset="336"),
    ] = None,
    patch: Annotated[
        int | None,
        side_option("With --visibility: side in px of its patches.", unset="14"),
    ] = None,
) -> None:
    """Read all data of tasks, decode and draw every sample, and report all problems with counts.

    Exit code 2 if there are errors, 0 if there are only warnings. With --visibility, only headers
    of images are read.
    """
    names = listed("TASK", tasks)
    if visibility:
        _check_visibility(names, raw, size, patch)
        return
    for option, value in (("--fit", raw["fit"]), ("--size", size), ("--patch", patch)):
        if value is not None:
            raise RunError(
                f"{option} {value}: goes with --visibility only · add it, or leave it out"
            )
    _check_data(names, raw)


def _check_data(names: Sequence[str], raw: RawValues) -> None:
    from vipbench.run.settings import RunSettings
    from vipbench.trials.check import check_tasks

    fields = read_fields(RunSettings, raw)
    reports = check_tasks(
        names, fields["data"], fields["styles"], fields["include"], console=CONSOLE
    )
    for report in reports:
        _print_report(report)
    n_errors = sum(report.n_errors for report in reports)
    if n_errors:
        raise DataError(f"check: {verdict(n_errors)}; they are listed above, by code")


def _check_visibility(
    names: Sequence[str], raw: RawValues, size: int | None, patch: int | None
) -> None:
    from vipbench.run.settings import RunSettings
    from vipbench.trials.check import SIDE
    from vipbench.trials.visibility import PATCH, check_visibility

    size, patch = size or SIDE, patch or PATCH
    if patch > size:
        raise RunError(f"--patch {patch}: expected at most --size, which is {size}")
    fields = read_fields(RunSettings, raw)
    reports = check_visibility(
        names,
        fields["data"],
        fields["styles"],
        fields["include"],
        fit=fields["fit"],
        size=size,
        patch_size=patch,
        console=CONSOLE,
    )
    put(f"What is left of each mark in a square of {size} px, in patches of {patch} px")
    for report in reports:
        _print_visibility(report)


def _print_servers(report: "VisibilityReport") -> None:
    """Print what usual servers leave of the marks of images that they are sent as drawn."""
    from vipbench.images.servers import SMALL

    if not report.servers:
        return
    put("  sent as drawn (--runner openai), and shrunk by the server:")
    header = ("style", "server", "marks", f"under {SMALL:g} px", "px: median", "5 %", "says")
    lines = [
        (
            row.style,
            row.rule.name,
            f"{row.n_marks:,}",
            f"{row.n_small:,}",
            *(f"{px:,.0f}" for px in reversed(row.px)),
            f"{row.rule.source}, {row.rule.read}",
        )
        for row in report.servers
    ]
    print_columns([header, *lines])


def _print_report(report: "CheckReport") -> None:
    about = f"{report.n_records:,} records"
    about += f", {report.n_images:,} images" if report.n_images else ""
    about += f", style {', '.join(report.styles)}" if report.styles else ""
    about += ", synthetic" if report.synthetic else ""
    put_sentence(f"{report.task}: {about}: {verdict(report.n_errors, report.n_warnings)}")
    for finding in report.findings:
        kind = "warning" if finding.warning else "error"
        put(f"  {kind} {finding.code}: {finding.n:,}")
        for problem in finding.first:
            put_sentence(f"    {problem.id}: {problem.message}")
        if finding.n > len(finding.first):
            put(f"    ({len(finding.first)} of {finding.n:,} listed)")


def _print_visibility(report: "VisibilityReport") -> None:
    unusable = f", {report.n_unusable:,} of which cannot be asked" if report.n_unusable else ""
    put(f"{report.task}: {report.n_records:,} records{unusable}")
    if report.marks:
        several = len({row.fit for row in report.marks}) > 1
        header = ("style", "fit", "marks", "lost", "cut", "px: median", "5 %")
        lines = [
            (
                row.style,
                f"{row.fit} (the task's)" if several and row.fit == report.fit else row.fit,
                *(f"{n:,}" for n in (row.n_marks, row.n_lost, row.n_cut)),
                *(f"{px:,.0f}" for px in reversed(row.px)),
                *(f"{patches:g}" for patches in reversed(row.patches)),
            )
            for row in report.marks
        ]
        print_columns([(*header, "patches: median", "5 %"), *lines])
    _print_servers(report)
    for name in report.without_marks:
        put_sentence(f"  style {name}: draws no marks, so that none are measured")
    for row in report.marks:
        if row.fit == report.fit and row.n_lost:
            advice = " · use --fit pad" if row.fit == "crop" else ""
            put_sentence(
                f"  warning marks_lost: style {row.style}, fit {row.fit}: in "
                f"{row.n_samples_lost:,} of {row.n_samples:,} samples a mark is lost{advice}"
            )
