"""`vipbench show`: print one sample of a run."""

import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vipbench.cli.app import app
from vipbench.cli.printing import file_name, one_line, save, say, visible
from vipbench.errors import RunError, VipbenchError, nearest

if TYPE_CHECKING:
    from vipbench.runfolder.lines import ScoreLine, TrialId


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

    from vipbench import files
    from vipbench.images.contact_sheet import half_blocks
    from vipbench.images.load import load_image
    from vipbench.runfolder import answers_file, lines, trials_file
    from vipbench.runfolder import manifest as manifests
    from vipbench.runfolder.folder import REQUESTS, RESPONSES, SCORES

    manifest = manifests.read(folder)
    trials = trials_file.open_trials(folder / REQUESTS)
    headlines = {name: run.headline for name, run in manifest.tasks.items()}
    if task in manifest.tasks and manifest.tasks[task].parts:
        parts = " or ".join(manifest.tasks[task].parts)
        raise RunError(f"--task {task}: is scored from its parts; expected {parts}")
    place = _find_trial([entry.name for entry in trials.entries], id, task, style, headlines)
    [trial] = trials.read([place])
    name = lines.trial_id(trial)
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
    response = answers_file.read_responses(folder / RESPONSES).get(name)
    if response is None:
        print("answer   none yet")
    elif response.text is None:
        print(f"answer   none: {one_line(response.error or '')}")
    else:
        cut = " (cut off)" if response.finish == "length" else ""
        print(f"answer   {response.text!r}{cut}")
    print(f"target   {trial.target!r}")
    scores = folder / SCORES
    if scores.exists():
        for line in files.read_lines(scores, lines.ScoreLine):
            mine = trial.task in (line.task, *manifest.tasks[line.task].parts)
            if mine and (line.id, line.style) == (trial.id, trial.style):
                _print_score(line, trial.task)


def _print_score(line: "ScoreLine", task: str) -> None:
    """Print the score of a sample, or that of a joint task which the sample takes part in."""
    label = "score   " if line.task == task else f"{line.task}:"
    value = "none" if line.value is None else f"{line.value:g}"
    parsed = "could not be parsed" if line.answer is None else f"parsed as {line.answer!r}"
    print(f"{label} {value} ({line.metric}; {one_line(line.error or line.ungraded or parsed)})")


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
