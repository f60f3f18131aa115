"""`vipbench gate`: fail if a checkpoint got worse."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from vipbench.cli.app import app
from vipbench.cli.options import RawValues, listed, record_command
from vipbench.cli.printing import file_name, print_tables, put, put_sentence, save, say
from vipbench.errors import CheckFailed, RunError, VipbenchError
from vipbench.option import Option

if TYPE_CHECKING:
    from vipbench.analysis.gate import Gate
    from vipbench.analysis.pairs import Side

FIELDS = (
    *("model", "name", "step", "base", "adapter", "runner", "prompt_format", "dtype", "quantize"),
    *("device", "path", "fit", "data", "include", "max_errors", "batch_size", "token_budget"),
    *("workers", "engine", "no_share", "loaders", "shard", "endpoint", "fresh", "out"),
)
"""Options of the new run; what is asked is as in the base."""
WHAT = ("suite", "tasks", "styles", "limit", "ids", "seed")
"""What is asked of both, where the base is a model."""
HEADING = "The new run (--sequential)"
BOTH = "What both are asked (--sequential --base-model)"
WORDS = {
    "out": Option(
        "Its run folder; with --base-model that of both, DIR/base and DIR/new.",
        metavar="DIR",
        unset="results/runs/<id of the run>",
        flags=("-o", "--out"),
    )
}


@record_command(
    app,
    "gate",
    fields=(*FIELDS, *WHAT),
    words=WORDS,
    before=dict.fromkeys(
        (
            *("runs", "base_summary", "config", "max_drop", "by", "require_power"),
            *("allow_difference", "rounding", "junit", "summary", "lost", "embed_images"),
            *("sequential", "base_model", "block"),
        ),
        "model",
    ),
    headings=dict.fromkeys(FIELDS, HEADING) | dict.fromkeys(WHAT, BOTH),
)
def gate(
    raw: RawValues,
    runs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="RUN",
            help="BASE and NEW: runs of the old checkpoint and of the new one; with --base-summary "
            "NEW alone, with --sequential BASE alone, with --base-model none.",
            show_default=False,
        ),
    ] = None,
    base_summary: Annotated[
        Path | None,
        typer.Option(
            "--base-summary",
            metavar="FILE",
            help="The old checkpoint's run as `vipbench export RUN baseline` wrote it.",
            show_default=False,
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config", metavar="FILE", help="Thresholds (YAML).", show_default="no drop allowed"
        ),
    ] = None,
    max_drop: Annotated[
        float | None,
        typer.Option(
            "--max-drop",
            metavar="POINTS",
            help="Percentage points that a task may drop by.",
            show_default="of --config, else 0",
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
        bool, typer.Option("--require-power", help="Too little power is a failure, not a warning.")
    ] = False,
    allow_difference: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-difference",
            metavar="NAME",
            help="Something beside the checkpoint that may differ, such as dtype; repeatable, or "
            "with commas.",
            show_default=False,
        ),
    ] = None,
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
    lost: Annotated[
        Path | None,
        typer.Option(
            "--lost",
            metavar="DIR",
            help="Draw what was lost in rows that fail, with its marks.",
            show_default=False,
        ),
    ] = None,
    embed_images: Annotated[
        bool,
        typer.Option(
            "--embed-images",
            help="With --lost: tasks too whose pictures may not be redistributed (VCR).",
        ),
    ] = False,
    sequential: Annotated[
        bool,
        typer.Option(
            "--sequential", help="Ask --model in random order, until each row has its verdict."
        ),
    ] = False,
    base_model: Annotated[
        str | None,
        typer.Option(
            "--base-model",
            metavar="MODEL",
            help="With --sequential, in place of BASE: the old checkpoint, or the old model of an "
            "endpoint, which is asked the same samples.",
            show_default=False,
        ),
    ] = None,
    block: Annotated[
        int | None,
        typer.Option(
            "--block",
            metavar="N",
            min=1,
            help="With --sequential: samples of a task between two looks.",
            show_default="100, then a quarter of those asked",
        ),
    ] = None,
) -> None:
    """Fail if a checkpoint got worse: exit code 0 or 1.

    It fails at once where something else than the checkpoint differs: prompt_format, fit, dtype,
    path, judge, rule, tokenizer, processor, template, runner, answered_by, exif, endpoint,
    requests.

    A row for each task, under its headline style and metric; it fails where the drop is larger
    than allowed beyond doubt (one-sided 95 %, paired, clustered by image, Holm over the rows).

    With --sequential the new run is not there yet: --model is asked, and no longer than it takes to
    know whether all samples together would show a larger drop than --max-drop.
    """
    from vipbench.analysis import gate as gates
    from vipbench.analysis.differences import check_names
    from vipbench.analysis.gate_text import verdict

    if embed_images and lost is None:
        raise RunError(
            "--embed-images: nothing is drawn · give it with --lost DIR, or leave it out"
        )
    thresholds = gates.read_thresholds(config)
    if rounding is not None:
        thresholds = thresholds.model_copy(update={"rounding": rounding})
    if max_drop is not None:
        thresholds = gates.with_max_drop(thresholds, max_drop)
    listed("--by", by)  # refuses an option that names nothing
    option = "--allow-difference"
    allowed = check_names(option, listed(option, allow_difference))
    if sequential:
        from vipbench.cli import gate_sequential

        others = {
            "--require-power": require_power,
            "--rounding": rounding is not None,
            "--lost": lost is not None,
        }
        gate_sequential.check_options(others)
        base = gate_sequential.base_of(runs or (), base_summary, base_model)
        gate_sequential.run_gate(
            base,
            gate_sequential.settings(raw, block, base),
            thresholds,
            by or (),
            allowed,
            (junit, summary),
        )
        return
    _refuse_options(raw, block, base_model)
    was, new = _sides(runs or (), base_summary)
    result = gates.gate(
        was, new, thresholds, by=by or (), require_power=require_power, allow=allowed
    )
    _write_gate(result, junit, summary)
    _print_gate(result)
    if lost is not None:
        _draw_lost(result, lost, embed_images=embed_images)
    if result.failures:
        raise CheckFailed(verdict(result))
    put_sentence(verdict(result))


def _refuse_options(raw: RawValues, block: int | None, base_model: str | None) -> None:
    """Refuse options that say how a model is asked, where none is."""
    from vipbench.cli.options import field_options, typed_words
    from vipbench.run.settings import RunSettings

    given = ["--base-model"] if base_model is not None else []
    given += typed_words(field_options(RunSettings, (*FIELDS, *WHAT)), raw)
    given += ["--block"] if block is not None else []
    if given:
        raise RunError(
            f"{given[0]}: no model is asked · expected --sequential with it, or two finished runs: "
            "BASE and NEW"
        )


def _sides(runs: Sequence[str], base_summary: Path | None) -> "tuple[str | Side, str]":
    """Return what is compared; RunError where it is not one new run with one base."""
    from vipbench.report.text import counted

    wanted = ("BASE", "NEW") if base_summary is None else ("NEW",)
    if len(runs) != len(wanted):
        where = "gate" if base_summary is None else "gate --base-summary FILE"
        raise RunError(
            f"{where}: got {counted(len(runs), 'run')} ({', '.join(runs)}) · expected "
            f"{' and '.join(wanted)}"
        )
    if base_summary is None:
        return runs[0], runs[1]
    from vipbench.analysis.baselines import read_baseline

    return read_baseline(base_summary), runs[0]


def _write_gate(result: "Gate", junit: Path | None, summary: Path | None) -> None:
    from vipbench import files
    from vipbench.analysis import gate_text

    for path, text in ((junit, gate_text.junit(result)), (summary, gate_text.summary(result))):
        if path is not None:
            files.write_text(path, [text])


def _draw_lost(result: "Gate", folder: Path, *, embed_images: bool) -> None:
    """Write a picture of each lost sample; what cannot be drawn is said."""
    from PIL import Image

    from vipbench.analysis.lost import lost_samples
    from vipbench.images.contact_sheet import side_by_side
    from vipbench.images.load import load_measured
    from vipbench.report.text import counted

    found = lost_samples(result, embed_images=embed_images)
    for note in found.notes:
        say(note)
    n = 0
    for sample in found.samples:
        path = folder / f"{file_name('-'.join(sample.name))}.png"
        try:
            drawn = load_measured(sample.request, sample.images, None).each
        except VipbenchError as error:
            say(f"{path.name}: cannot be drawn: {error}")
            continue
        save(side_by_side([Image.fromarray(each) for each in drawn]), path)
        n += 1
    if n:
        put(f"{folder}  ({counted(n, 'lost sample')})")


def _print_gate(result: "Gate") -> None:
    from vipbench.analysis.gate_text import (
        SPARE,
        difference_lines,
        finding_lines,
        overlap_lines,
        table,
    )
    from vipbench.report.terminal import SparingTable

    for line in difference_lines(result):
        say(line)
    for note in result.notes:
        say(note)
    for line in result.rounding:
        say(f"rounding: {line}")
    if result.rows:
        print_tables(SparingTable(table(result), SPARE, "--summary FILE", "row"))
    for line in overlap_lines(result):
        say(line)
    for word, text in finding_lines(result):
        say(f"{word}: {text}")
