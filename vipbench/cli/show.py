"""`vipbench show`: print one sample of a run."""

import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vipbench.cli.app import app
from vipbench.cli.printing import file_name, put, put_sentence, save, say
from vipbench.console import one_line
from vipbench.errors import RunError, VipbenchError, nearest

if TYPE_CHECKING:
    from vipbench.runfolder.lines import ScoreLine, TrialId
    from vipbench.runfolder.manifest import Manifest
    from vipbench.schema import ImageRoots, Request, Trial


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
    from vipbench.report.names import called
    from vipbench.runfolder import lines, trials_file
    from vipbench.runfolder.folder import REQUESTS
    from vipbench.runfolder.manifest import is_elsewhere
    from vipbench.runfolder.opened import open_run

    manifest = open_run(folder)
    trials = trials_file.open_trials(folder / REQUESTS)
    headlines = {name: run.headline for name, run in manifest.tasks.items()}
    if task in manifest.tasks and manifest.tasks[task].parts:
        parts = " or ".join(manifest.tasks[task].parts)
        raise RunError(f"--task {task}: is scored from its parts · expected {parts}")
    index = _find_trial([entry.name for entry in trials.entries], id, task, style, headlines)
    [trial] = trials.read([index])
    put(f"sample   {one_line(trial.id)}")
    put(f"task     {one_line(trial.task)}")
    put(f"style    {one_line(trial.style)}")
    put(f"model    {one_line(called(folder, manifest).name)}")
    if manifest.prompt_format_from is not None:
        prompt_format = manifest.identity.settings.prompt_format
        put(f"format   {prompt_format} ({one_line(manifest.prompt_format_from)})")
    for note in manifest.prompt_notes:
        put_sentence(f"note     {note}", indent=9)
    if is_elsewhere(manifest.identity, trial.task, trial.style):
        put_sentence(
            "note     asked elsewhere: which marks and which text the model saw is not known",
            indent=9,
        )
    if trial.request is None:
        put_sentence(f"error    {trial.error or ''}", indent=9)
        return
    default = folder / "shown" / f"{file_name('-'.join(lines.trial_id(trial)))}.png"
    try:
        _print_picture(trial.request, manifest.tasks[trial.task].image_roots, out or default)
    except VipbenchError as error:
        if out is not None:
            raise
        put_sentence(f"picture  none: {error}", indent=9)
    put("\n" + "\n\n".join(trial.request.turns) + "\n")
    _print_answer(folder, trial)
    _print_scores(folder, trial, manifest)


def _print_picture(request: "Request", images: "ImageRoots", path: Path) -> None:
    """Write what the model is shown, before it is fitted, and show it in a terminal."""
    from PIL import Image

    from vipbench.images.contact_sheet import half_blocks, side_by_side
    from vipbench.images.load import load_measured

    pictures = [Image.fromarray(each) for each in load_measured(request, images, None).each]
    save(side_by_side(pictures), path)
    beside = f" ({len(pictures)} images side by side)" if request.images else ""
    put(f"picture  {path}{beside}")
    if sys.stdout.isatty():
        for number, picture in enumerate(pictures, 1):
            if request.images:
                put(f"image {number}")
            print(half_blocks(picture, min(shutil.get_terminal_size().columns, 80)))


def _print_answer(folder: Path, trial: "Trial") -> None:
    from vipbench.runfolder import answers_file
    from vipbench.runfolder.folder import RESPONSES
    from vipbench.runfolder.lines import trial_id

    response = answers_file.read_responses(folder / RESPONSES).get(trial_id(trial))
    if response is None:
        put("answer   none yet")
        put(f"target   {trial.target!r}")
        return
    if response.reasoning is not None:
        put(f"thought  {response.reasoning!r}")
    state = f", {response.state}" if response.state in ("refused", "filtered") else ""
    if response.text is None:
        put(f"answer   none{state}: {one_line(response.error or '')}")
    else:
        cut = " (cut off)" if response.finish == "length" else state
        put(f"answer   {response.text!r}{cut}")
    put(f"target   {trial.target!r}")


def _print_scores(folder: Path, trial: "Trial", manifest: "Manifest") -> None:
    """Print the scores of a sample: its own, and those of joint tasks that it takes part in."""
    from vipbench.files import read_lines
    from vipbench.runfolder.folder import SCORES
    from vipbench.runfolder.lines import ScoreLine

    if not (folder / SCORES).exists():
        return
    for line in read_lines(folder / SCORES, ScoreLine):
        is_about = trial.task in (line.task, *manifest.tasks[line.task].parts)
        if is_about and (line.id, line.style) == (trial.id, trial.style):
            _print_score(line, trial.task)


def _print_score(line: "ScoreLine", task: str) -> None:
    """Print the score of a sample, or that of a joint task which the sample takes part in."""
    label = "score   " if line.task == task else f"{line.task}:"
    value = "none" if line.value is None else f"{line.value:g}"
    parsed = "could not be parsed" if line.answer is None else f"parsed as {line.answer!r}"
    put(f"{label} {value} ({line.metric}; {one_line(line.error or line.ungraded or parsed)})")


def _find_trial(
    names: Sequence["TrialId"],
    id_: str,
    task: str | None,
    style: str | None,
    headlines: Mapping[str, str],
) -> int:
    """Return the index of the one trial that is meant; RunError lists what there is instead."""
    for option, value, known in (
        ("--task", task, {name.task for name in names}),
        ("--style", style, {name.style for name in names}),
    ):
        if value is not None and value not in known:
            raise RunError(f"{option} {value!r} is not in this run{nearest(value, known)}")
    indices = [
        index
        for index, name in enumerate(names)
        if name.id == id_ and task in (None, name.task) and style in (None, name.style)
    ]
    if not indices:
        hint = nearest(id_, {name.id for name in names})
        few = "did you mean" in hint or len(names) < 20
        raise RunError(f"sample {id_!r} is not in this run{hint if few else ''}")
    tasks = sorted({names[index].task for index in indices})
    if len(tasks) > 1:
        raise RunError(f"sample {id_!r} is in {', '.join(tasks)} · name one with --task")
    chosen = [index for index in indices if names[index].style == headlines.get(tasks[0])]
    if len(indices) > 1:
        others = ", ".join(names[index].style for index in indices if index not in chosen[:1])
        say(f"also under --style {others}")
    return (chosen or indices)[0]
