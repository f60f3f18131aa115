"""Check, render, show: look at samples without a model."""

import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from vipbench.cli.app import app
from vipbench.cli.options import Data, Fit, Ids, Include, Seed, Styles
from vipbench.cli.printing import file_name, listed, one_line, print_columns, save, say, verdict, visible
from vipbench.errors import DataError, RunError, VipbenchError, nearest

if TYPE_CHECKING:
    from vipbench.trials.check import CheckReport, VisibilityReport
    from vipbench.runfolder.folder import ScoreLine, TrialId

LARGEST_SQUARE = 4096
"""px; no model's square is near it, and larger sheets fill the memory."""


@app.command()
def check(
    tasks: Annotated[
        list[str], typer.Argument(metavar="TASK", help="Names of tasks.", show_default=False)
    ],
    styles: Styles = None,
    data: Data = None,
    include: Include = None,
    visibility: Annotated[
        bool,
        typer.Option(
            "--visibility", help="Instead, measure what crop, pad and squash leave of the marks."
        ),
    ] = False,
    fit: Annotated[
        Literal["pad", "squash", "crop"] | None,
        typer.Option(help="With --visibility: only this one.", show_default="all three"),
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            max=LARGEST_SQUARE,
            help="With --visibility: side in px of the model's square.",
            show_default="336",
        ),
    ] = None,
    patch: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            max=LARGEST_SQUARE,
            help="With --visibility: side in px of its patches.",
            show_default="14",
        ),
    ] = None,
) -> None:
    """Read all data of tasks, decode and draw every sample, and report all problems with counts.

    Exit code 2 if there are errors, 0 if there are only warnings. With --visibility, only headers
    of images are read.
    """
    from vipbench.trials.check import PATCH, SIDE, check_tasks, check_visibility
    from vipbench.data.locate import parse_data_options

    names, sources = listed("TASK", tasks), parse_data_options(data or ())
    if visibility:
        size, patch = size or SIDE, patch or PATCH
        if patch > size:
            raise RunError(f"--patch {patch}: expected at most --size, which is {size}")
        found = check_visibility(
            names, sources, styles, tuple(include or ()), fit=fit, size=size, patch_size=patch
        )
        print(f"What is left of each mark in a square of {size} px, in patches of {patch} px")
        for each in found:
            _print_visibility(each)
        return
    for option, value in (("--fit", fit), ("--size", size), ("--patch", patch)):
        if value is not None:
            raise RunError(
                f"{option} {value}: goes with --visibility only; add it, or leave it out"
            )
    reports = check_tasks(names, sources, styles, tuple(include or ()))
    for report in reports:
        _print_report(report)
    n_errors = sum(report.n_errors for report in reports)
    if n_errors:
        raise DataError(f"check: {verdict(n_errors)}; they are listed above, by code")


@app.command()
def render(
    task: Annotated[
        str, typer.Argument(metavar="TASK", help="Name of a task.", show_default=False)
    ],
    out: Annotated[
        Path,
        typer.Option(
            "-o", "--out", metavar="PATH", help="The picture to write.", show_default=False
        ),
    ],
    styles: Annotated[
        str | None,
        typer.Option(
            "--style", "--styles", metavar="LIST", help="Prompt styles.", show_default="of the task"
        ),
    ] = None,
    n: Annotated[int, typer.Option("--n", metavar="N", min=1, help="Number of samples.")] = 12,
    ids: Ids = None,
    seed: Seed = 0,
    data: Data = None,
    include: Include = None,
    fit: Fit = None,
    size: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            max=LARGEST_SQUARE,
            help="Side in px of the model's square, to see what the model sees.",
            show_default="as drawn, before fitting",
        ),
    ] = None,
) -> None:
    """Write a contact sheet: samples with their marks, the exact text under each."""
    from PIL import Image

    from vipbench.data.locate import parse_data_options
    from vipbench.images.load import load_image
    from vipbench.images.contact_sheet import COLUMNS, Cell, contact_sheet
    from vipbench.trials.make import TaskFacts, make_trials, select

    sources = parse_data_options(data or ())
    chosen = select(
        tasks=[task], styles=styles, data=sources, include=tuple(include or ()), fit=fit
    )
    for note in chosen.notes:
        say(note)
    facts: dict[str, TaskFacts] = {}
    trials = list(make_trials(chosen, seed=seed, limit=n, ids=listed("--ids", ids), facts=facts))
    order = {(trial.task, trial.id): place for place, trial in reversed(list(enumerate(trials)))}
    images = {choice.spec.name: choice.source.images for choice in chosen.tasks}
    cells = []
    for trial in sorted(trials, key=lambda trial: order[trial.task, trial.id]):
        if trial.request is None:
            say(f"{trial.task} {trial.id}: {trial.error}")
            continue
        pixels = load_image(trial.request, images[trial.task], size)
        title = f"{trial.task} · {trial.style} · {trial.id}"
        text = "\n\n".join(trial.request.turns)
        cells.append(Cell(Image.fromarray(pixels), title, text))
    if not cells:
        raise DataError(f"{task}: no sample can be drawn; `vipbench check {task}` says why")
    n_styles = max(len(choice.styles) for choice in chosen.tasks)
    save(contact_sheet(cells, n_styles if n_styles > 1 else COLUMNS), out)
    print(out)


@app.command()
def show(
    folder: Annotated[
        Path, typer.Argument(metavar="RUN", help="A run folder.", show_default=False)
    ],
    id: Annotated[  # noqa: A002  # the word that users know
        str, typer.Argument(metavar="ID", help="Id of a sample.", show_default=False)
    ],
    task: Annotated[
        str | None,
        typer.Option(metavar="TASK", help="Where several tasks have the id.", show_default=False),
    ] = None,
    style: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Prompt style.", show_default="the headline style"),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--out",
            metavar="PATH",
            help="The picture to write.",
            show_default="RUN/shown/<id>.png",
        ),
    ] = None,
) -> None:
    """Print one sample of a run: picture, prompt, answer, score."""
    from PIL import Image

    from vipbench.runfolder import manifest as manifests
    from vipbench.runfolder import folder as store
    from vipbench.images.load import load_image
    from vipbench.images.contact_sheet import half_blocks

    manifest = manifests.read(folder)
    trials = store.open_trials(folder / store.REQUESTS)
    headlines = {name: run.headline for name, run in manifest.tasks.items()}
    if task in manifest.tasks and manifest.tasks[task].parts:
        parts = " or ".join(manifest.tasks[task].parts)
        raise RunError(f"--task {task}: is scored from its parts; expected {parts}")
    place = _find_trial([entry.name for entry in trials.entries], id, task, style, headlines)
    [trial] = trials.read([place])
    name = store.trial_id(trial)
    print(f"sample   {one_line(trial.id)}\ntask     {trial.task}\nstyle    {trial.style}")
    print(f"model    {manifest.identity.model}")
    if trial.request is None:
        print(f"error    {one_line(trial.error or '')}")
        return
    default = folder / "shown" / f"{file_name('-'.join(name))}.png"
    try:
        pixels = load_image(trial.request, Path(manifest.tasks[trial.task].images), None)
        picture = Image.fromarray(pixels)
        save(picture, out or default)
    except VipbenchError as error:
        if out is not None:
            raise
        print(f"picture  none: {one_line(str(error))}")
    else:
        print(f"picture  {out or default}")
        if sys.stdout.isatty():
            print(half_blocks(picture, min(shutil.get_terminal_size().columns, 80)))
    print("\n" + visible("\n\n".join(trial.request.turns)) + "\n")
    response = store.read_responses(folder / store.RESPONSES).get(name)
    if response is None:
        print("answer   none yet")
    elif response.text is None:
        print(f"answer   none: {one_line(response.error or '')}")
    else:
        cut = " (cut off)" if response.finish == "length" else ""
        print(f"answer   {response.text!r}{cut}")
    print(f"target   {trial.target!r}")
    scores = folder / store.SCORES
    if scores.exists():
        for line in store.read_lines(scores, store.ScoreLine):
            mine = trial.task in (line.task, *manifest.tasks[line.task].parts)
            if mine and (line.id, line.style) == (trial.id, trial.style):
                _print_score(line, trial.task)


def _print_score(line: "ScoreLine", task: str) -> None:
    """Print the score of a sample, or that of a joint task which the sample takes part in."""
    label = "score   " if line.task == task else f"{line.task}:"
    value = "none" if line.value is None else f"{line.value:g}"
    parsed = "could not be parsed" if line.answer is None else f"parsed as {line.answer!r}"
    print(f"{label} {value} ({line.metric}; {one_line(line.error or line.ungraded or parsed)})")


def _print_report(report: "CheckReport") -> None:
    about = f"{report.n_records:,} records"
    about += f", {report.n_images:,} images" if report.n_images else ""
    about += f", style {', '.join(report.styles)}" if report.styles else ""
    about += ", synthetic" if report.synthetic else ""
    print(f"{report.task}: {about}: {verdict(report.n_errors, report.n_warnings)}")
    for finding in report.findings:
        kind = "warning" if finding.warning else "error"
        print(f"  {kind} {finding.code}: {finding.n:,}")
        for problem in finding.first:
            print(one_line(f"    {problem.id}: {problem.message}"))
        if finding.n > len(finding.first):
            print(f"    ({len(finding.first)} of {finding.n:,} listed)")


def _print_visibility(report: "VisibilityReport") -> None:
    unusable = f", {report.n_unusable:,} of which cannot be asked" if report.n_unusable else ""
    print(f"{report.task}: {report.n_records:,} records{unusable}")
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
    for name in report.without_marks:
        print(f"  style {name}: draws no marks, so that none are measured")
    for row in report.marks:
        if row.fit == report.fit and row.n_lost:
            advice = "; use --fit pad" if row.fit == "crop" else ""
            print(
                f"  warning marks_lost: style {row.style}, fit {row.fit}: in "
                f"{row.n_samples_lost:,} of {row.n_samples:,} samples a mark is lost{advice}"
            )


def _find_trial(
    names: Sequence["TrialId"],
    id_: str,
    task: str | None,
    style: str | None,
    headlines: Mapping[str, str],
) -> int:
    """Return the place of the one trial that is meant; RunError lists what there is instead."""
    for option, value, known in (
        ("--task", task, {name.task for name in names}),
        ("--style", style, {name.style for name in names}),
    ):
        if value is not None and value not in known:
            raise RunError(f"{option} {value!r} is not in this run{nearest(value, known)}")
    places = [
        place
        for place, name in enumerate(names)
        if name.id == id_ and task in (None, name.task) and style in (None, name.style)
    ]
    if not places:
        hint = nearest(id_, {name.id for name in names})
        few = "did you mean" in hint or len(names) < 20
        raise RunError(f"sample {id_!r} is not in this run{hint if few else ''}")
    tasks = sorted({names[place].task for place in places})
    if len(tasks) > 1:
        raise RunError(f"sample {id_!r} is in {', '.join(tasks)}; name one with --task")
    chosen = [place for place in places if names[place].style == headlines.get(tasks[0])]
    if len(places) > 1:
        others = ", ".join(names[place].style for place in places if place not in chosen[:1])
        say(f"also under --style {others}")
    return (chosen or places)[0]
