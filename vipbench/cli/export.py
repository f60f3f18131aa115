"""`vipbench export`: write a run in the format of another program, or for a registry of results."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from vipbench.cli.app import app
from vipbench.cli.printing import put, say
from vipbench.errors import RunError

if TYPE_CHECKING:
    from vipbench.exchange.hub_results import HubFile

Format = Literal[
    "answers",
    "visual7w",
    "vip_bench",
    "csv",
    "jsonl",
    "datasets",
    "hf-eval-results",
    "every-eval-ever",
    "model-card",
    "baseline",
]
ANSWERS = ("answers", "visual7w", "vip_bench", "csv", "jsonl", "datasets")
"""Formats of answers; the others are of results."""
OPTIONS = {
    "--partial": (*ANSWERS, "hf-eval-results"),
    "--style": (*ANSWERS, "hf-eval-results", "every-eval-ever", "model-card"),
    "--task": (*ANSWERS, "hf-eval-results", "every-eval-ever", "model-card"),
    "--dataset-id": ("hf-eval-results",),
    "--task-id": ("hf-eval-results",),
    "--push": ("hf-eval-results",),
    "--yes": ("hf-eval-results",),
    "--model-id": ("every-eval-ever", "model-card"),
    "--organization": ("every-eval-ever",),
    "--relationship": ("every-eval-ever",),
}
"""Option -> the formats that heed it."""


@app.command()
def export(
    folder: Annotated[
        Path, typer.Argument(metavar="RUN", help="A run folder.", show_default=False)
    ],
    as_format: Annotated[
        Format, typer.Argument(metavar="FORMAT", help="See docs/formats.md.", show_default=False)
    ],
    out: Annotated[
        Path,
        typer.Option(
            "-o",
            "--out",
            metavar="PATH",
            help="The file to write; for datasets and every-eval-ever a folder.",
            show_default=False,
        ),
    ],
    task: Annotated[
        str | None,
        typer.Option(
            metavar="TASK",
            help="Where the run has several.",
            show_default="of results: all",
        ),
    ] = None,
    style: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Prompt style.", show_default="the headline style"),
    ] = None,
    partial: Annotated[
        bool,
        typer.Option(
            "--partial",
            help="Write vip_bench although samples are missing; push results that are not of the "
            "whole benchmark.",
        ),
    ] = False,
    dataset_id: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[TASK=]ID",
            help="hf-eval-results: data set on the hub; repeatable.",
            show_default="as the task says",
        ),
    ] = None,
    task_id: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[TASK=]ID",
            help="hf-eval-results: the task in eval.yaml of that data set; repeatable.",
            show_default="the task's name",
        ),
    ] = None,
    push: Annotated[
        str | None,
        typer.Option(
            metavar="REPO",
            help="hf-eval-results: open a pull request at this model on the hub, after showing it "
            "and asking.",
            show_default=False,
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="With --push: do not ask.")] = False,
    model_id: Annotated[
        str | None,
        typer.Option(
            metavar="OWNER/NAME",
            help="every-eval-ever, model-card: what the model is called there.",
            show_default="as the run says",
        ),
    ] = None,
    organization: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="every-eval-ever: who has run the evaluation.",
            show_default="unknown",
        ),
    ] = None,
    relationship: Annotated[
        Literal["first_party", "third_party", "collaborative", "other"] | None,
        typer.Option(
            help="every-eval-ever: what they are to the model.",
            show_default="other",
        ),
    ] = None,
) -> None:
    """Write the answers or the results of a run in a format of others.

    FORMAT of answers: answers, visual7w, vip_bench, csv, jsonl, datasets; of results:
    hf-eval-results, every-eval-ever, model-card; baseline is what `vipbench gate --base-summary`
    reads.
    """
    _check_options(
        as_format,
        {
            "--partial": partial,
            "--style": style is not None,
            "--task": task is not None,
            "--dataset-id": bool(dataset_id),
            "--task-id": bool(task_id),
            "--push": push is not None,
            "--yes": yes,
            "--model-id": model_id is not None,
            "--organization": organization is not None,
            "--relationship": relationship is not None,
        },
    )
    if as_format in ANSWERS:
        _export_answers(folder, as_format, out, task=task, style=style, partial=partial)
    elif as_format == "baseline":
        _export_baseline(folder, out)
    elif as_format == "hf-eval-results":
        from vipbench.exchange import hub_results
        from vipbench.exchange.results import read_results

        results = read_results(folder, task, style)
        file = hub_results.hub_file(results, dataset_id or (), task_id or ())
        _export_hub_results(file, out, push, partial=partial, asks=not yes)
    elif as_format == "model-card":
        from vipbench.exchange import model_card
        from vipbench.exchange.results import read_results

        results = read_results(folder, task, style)
        model_card.write(results, out, model_id)
        _tell(results.notes, out, result=len(results.results))
    else:
        from vipbench.exchange import every_eval_ever
        from vipbench.exchange.results import read_results

        source = every_eval_ever.Source(
            model_id, organization or every_eval_ever.UNKNOWN, relationship or "other"
        )
        results = read_results(folder, task, style)
        written = every_eval_ever.write(results, out, source)
        _tell(written.notes, written.path, result=len(results.results), sample=written.n)


def _check_options(as_format: str, given: dict[str, bool]) -> None:
    """Refuse options that the format does not heed."""
    for option, formats in OPTIONS.items():
        if given[option] and as_format not in formats:
            raise RunError(
                f"{option}: means nothing to format {as_format} · expected with "
                f"{', '.join(formats)} · leave it out"
            )
    if given["--yes"] and not given["--push"]:
        raise RunError("--yes: there is nothing to confirm · give it with --push, or leave it out")


def _tell(notes: Sequence[str], out: Path, **numbers: int) -> None:
    """Say what was left out, and how many of what were written where."""
    from vipbench.report.text import counted

    for note in notes:
        say(note)
    put(f"{out}  ({', '.join(counted(n, noun) for noun, n in numbers.items())})")


def _export_answers(
    folder: Path, as_format: str, out: Path, *, task: str | None, style: str | None, partial: bool
) -> None:
    from vipbench.exchange.export import export_run

    done = export_run(folder, as_format, out, task=task, style=style, partial=partial)
    for note in done.notes:
        say(note)
    put(f"{out}  ({done.n:,} answers)")


def _export_baseline(folder: Path, out: Path) -> None:
    from vipbench.analysis.baselines import write_baseline

    n = write_baseline(folder, out)
    put(f"{out}  ({n:,} scores)")


def _export_hub_results(
    file: "HubFile", out: Path, push: str | None, *, partial: bool, asks: bool
) -> None:
    from vipbench.exchange import hub_results

    if push is not None:
        hub_results.check_push(file, out.name, push, partial=partial)
    hub_results.write(file, out)
    _tell(file.notes, out, result=file.n)
    if push is None:
        return
    put(f"\nto {push}, as a pull request: {hub_results.FOLDER}/{out.name}\n\n{file.text}")
    if asks and not sys.stdin.isatty():
        raise RunError(f"--push {push}: nobody is here to be asked · --yes sends it unasked")
    if asks and not typer.confirm("Send it?", default=False):
        say("nothing was sent")
        return
    put(hub_results.push(file, out.name, push))
