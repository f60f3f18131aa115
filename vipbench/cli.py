"""The command line: reads what the user types, calls one function, prints what comes back.

Everything that takes time to import is imported by the command that needs it, so that help is there
at once.
"""

import errno
import hashlib
import io
import os
import re
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NoReturn

import typer

from vipbench.errors import DataError, RunError, VipbenchError, nearest

if TYPE_CHECKING:
    from PIL import Image

    from vipbench.check import CheckReport
    from vipbench.run import DryRun, Results, RunSettings
    from vipbench.store import ScoreLine, TrialId

app = typer.Typer(
    name="vipbench",
    help="Measure how well vision-language models understand visual prompts.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
demo_app = typer.Typer(
    help="The embedded benchmark and the training of its checkpoints.", no_args_is_help=True
)
app.add_typer(demo_app, name="demo")

DEMO_SUITE = "demo"
DEFAULT_RUNNER = "vipllava"
LONGEST_NAME = 150
"""Bytes of a file's name without its suffix; file systems take 255 in all."""
LARGEST_SQUARE = 4096
"""px; no model's square is near it, and larger sheets fill the memory."""
_ADVICE = {
    errno.ENOSPC: "make room, then try again",
    errno.EDQUOT: "make room, then try again",
    errno.EACCES: "get the right to read or write there, or name another place",
    errno.EPERM: "get the right to read or write there, or name another place",
}
"""What to do about errors of the machine, wherever they are met; others are bugs."""

Data = Annotated[
    list[str] | None,
    typer.Option(
        "--data",
        metavar="KEY=DIR",
        help="Where the data of a key lie, or a YAML file {KEY: {questions, images}}; repeatable.",
        show_default=False,
    ),
]
Include = Annotated[
    list[Path] | None,
    typer.Option(
        "--include",
        metavar="DIR",
        help="Folder with further task files; repeatable.",
        show_default=False,
    ),
]
Ids = Annotated[
    list[str] | None,
    typer.Option(
        "--ids",
        metavar="ID",
        help="Only these samples; repeatable, or with commas.",
        show_default="all",
    ),
]
Styles = Annotated[
    str | None,
    typer.Option(
        metavar="LIST",
        help="Prompt styles, such as 'demo,blind' or 'rectangle,ellipse x red,blue'.",
        show_default="of the suite or the task",
    ),
]
Fit = Annotated[
    Literal["pad", "squash", "crop"] | None,
    typer.Option(help="How images are brought to the model's square.", show_default="of the task"),
]
Seed = Annotated[int, typer.Option(metavar="N", help="Keys every random draw.")]


def main() -> None:
    """Run the command line; the user's mistakes end with one line and an exit code."""
    sys.stdout = sys.stdout or io.StringIO()  # closed by `>&-`
    sys.stderr = sys.stderr or io.StringIO()
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Where the terminal's encoding lacks a letter, it is shown by its number.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        try:
            _check_arguments(sys.argv[1:])
            app(prog_name="vipbench")
        except VipbenchError as error:
            _say(f"error: {error}")
            sys.exit(error.exit_code)
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        # The reader has gone, as in `vipbench ls tasks | head`.
        _leave(1)
    except OSError as error:
        advice = _ADVICE.get(error.errno or 0)
        if advice is None:
            raise
        _say(f"error: {error.filename or 'output'}: {error.strerror}; {advice}")
        if error.filename is None:
            _leave(2)
        sys.exit(2)


def _leave(code: int) -> NoReturn:
    """Exit without what waits to be printed: Python would say at exit that it cannot be."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)


def _check_arguments(arguments: Sequence[str]) -> None:
    """Refuse what is no text: file names of that kind have no place in JSON files."""
    for argument in arguments:
        if any("\ud800" <= letter <= "\udfff" for letter in argument):
            encoding = sys.getfilesystemencoding()
            raise VipbenchError(f"argument {argument!a}: is no text in {encoding}; rename it")


def _version(value: bool) -> None:
    if value:
        from vipbench import __version__

        print(f"vipbench {__version__}")
        raise typer.Exit


@app.callback()
def _top(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    # On a busy machine, threads of OpenMP that spin while they wait are many times slower. It is
    # read when torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


# --- run, score, leaderboard


@app.command()
def run(
    model: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL", help="Checkpoint folder or hub id.", show_default="the embedded"
        ),
    ] = None,
    suite: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Named set of tasks and styles.", show_default="demo"),
    ] = None,
    tasks: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TASK",
            help="Tasks instead of those of the suite; repeatable, or with commas.",
            show_default=False,
        ),
    ] = None,
    styles: Styles = None,
    data: Data = None,
    include: Include = None,
    limit: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help="Only so many samples of each task, drawn by the seed.",
            show_default="all",
        ),
    ] = None,
    ids: Ids = None,
    seed: Seed = 0,
    batch_size: Annotated[str, typer.Option(metavar="auto|N", help="Requests at a time.")] = "auto",
    dtype: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="float32, float16 or bfloat16.",
            show_default="float16 on CUDA, else float32",
        ),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="cpu, cuda, cuda:1, mps.", show_default="the fastest here"
        ),
    ] = None,
    prompt_format: Annotated[
        Literal["hf", "llava_v1", "chat_template"] | None,
        typer.Option(help="The frame around the user's text.", show_default="of suite, model, hf"),
    ] = None,
    fit: Fit = None,
    runner: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="What answers; `vipbench ls runners`, or package.module:Class."
        ),
    ] = DEFAULT_RUNNER,
    max_errors: Annotated[
        float,
        typer.Option(
            metavar="SHARE", min=0, max=1, help="Share of a task's samples that may fail."
        ),
    ] = 0.01,
    fresh: Annotated[bool, typer.Option("--fresh", help="Redo what an earlier run did.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be asked, how long, how large.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--out",
            metavar="PATH",
            help="The run folder.",
            show_default="results/runs/<id of the run>",
        ),
    ] = None,
) -> None:
    """Ask a model the questions of a suite under its styles, and score the answers.

    Without arguments: the embedded checkpoint on the embedded benchmark. The same command goes on
    where it was stopped; a finished run is printed again.
    """
    from vipbench import run as runs
    from vipbench.data import parse_data_options
    from vipbench.schema import checked

    if ":" in runner:
        sys.path.append(str(Path.cwd()))  # where a user's own runner usually lies
    names = _listed("--tasks", tasks)
    fields: dict[str, object] = {
        "model": model,
        "suite": suite or (None if names else DEMO_SUITE),
        "tasks": names,
        "styles": styles,
        "data": parse_data_options(data or ()),
        "include": tuple(include or ()),
        "limit": limit,
        "ids": _listed("--ids", ids),
        "seed": seed,
        "batch_size": _batch_size(batch_size),
        "dtype": dtype,
        "device": device,
        "prompt_format": prompt_format,
        "fit": fit,
        "runner": runner,
        "max_errors": max_errors,
        "fresh": fresh,
        "out": out,
    }
    settings = _with_demo(checked(runs.RunSettings, fields, "vipbench run"))
    if dry_run:
        _print_dry_run(runs.dry_run(settings, progress=True))
        return
    results = runs.run(settings, progress=True, say=_say)
    _print_results(results)


def _batch_size(text: str) -> int | str:
    if text == "auto":
        return text
    if not re.fullmatch(r"0*[1-9][0-9]{0,8}", text):
        raise RunError(f"--batch-size {text!r}: expected 'auto' or a whole number from 1")
    return int(text)


def _with_demo(settings: "RunSettings") -> "RunSettings":
    """Fill in the embedded benchmark and checkpoint where the suite is one of theirs."""
    from vipbench import demo
    from vipbench.tasks import load_suite

    if not settings.suite or not load_suite(settings.suite, settings.include).demo:
        return settings
    changes: dict[str, object] = {"data": demo.benchmark() | settings.data}
    if settings.model is None and settings.runner == DEFAULT_RUNNER:
        changes["model"] = str(demo.CHECKPOINT)
    return settings.model_copy(update=changes)


@app.command()
def score(
    folder: Annotated[
        Path, typer.Argument(metavar="RUN", help="A run folder.", show_default=False)
    ],
) -> None:
    """Score a run again from its answers, without a model."""
    from vipbench import run as runs

    results = runs.score(folder)
    _print_results(results)


@app.command()
def leaderboard(
    folders: Annotated[
        list[Path], typer.Argument(metavar="RUN", help="Run folders.", show_default=False)
    ],
    out: Annotated[
        Path,
        typer.Option(
            "-o", "--out", metavar="PATH", help="Folder of the tables.", show_default=False
        ),
    ],
) -> None:
    """Write leaderboard.{md,csv,json,tex} and breakdown.{md,csv,json} of finished runs."""
    from vipbench import report

    for path in report.leaderboard(folders, out):
        print(path)


# --- check, render, show


@app.command()
def check(
    tasks: Annotated[
        list[str], typer.Argument(metavar="TASK", help="Names of tasks.", show_default=False)
    ],
    styles: Styles = None,
    data: Data = None,
    include: Include = None,
) -> None:
    """Read all data of tasks, decode and draw every sample, and report all problems with counts.

    Exit code 2 if there are errors, 0 if there are only warnings.
    """
    from vipbench.check import check_tasks
    from vipbench.data import parse_data_options

    names, sources = _listed("TASK", tasks), parse_data_options(data or ())
    reports = check_tasks(names, sources, styles, tuple(include or ()))
    for report in reports:
        _print_report(report)
    n_errors = sum(report.n_errors for report in reports)
    if n_errors:
        raise DataError(f"check: {_verdict(n_errors)}; they are listed above, by code")


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

    from vipbench.data import parse_data_options
    from vipbench.loader import load_image
    from vipbench.sheet import COLUMNS, Cell, contact_sheet
    from vipbench.trials import TaskFacts, make_trials, select

    sources = parse_data_options(data or ())
    chosen = select(
        tasks=[task], styles=styles, data=sources, include=tuple(include or ()), fit=fit
    )
    for note in chosen.notes:
        _say(note)
    facts: dict[str, TaskFacts] = {}
    trials = list(make_trials(chosen, seed=seed, limit=n, ids=_listed("--ids", ids), facts=facts))
    order = {(trial.task, trial.id): place for place, trial in reversed(list(enumerate(trials)))}
    images = {choice.spec.name: choice.source.images for choice in chosen.tasks}
    cells = []
    for trial in sorted(trials, key=lambda trial: order[trial.task, trial.id]):
        if trial.request is None:
            _say(f"{trial.task} {trial.id}: {trial.error}")
            continue
        pixels = load_image(trial.request, images[trial.task], size)
        title = f"{trial.task} · {trial.style} · {trial.id}"
        text = "\n\n".join(trial.request.turns)
        cells.append(Cell(Image.fromarray(pixels), title, text))
    if not cells:
        raise DataError(f"{task}: no sample can be drawn; `vipbench check {task}` says why")
    n_styles = max(len(choice.styles) for choice in chosen.tasks)
    _save(contact_sheet(cells, n_styles if n_styles > 1 else COLUMNS), out)
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

    from vipbench import manifest as manifests
    from vipbench import store
    from vipbench.loader import load_image
    from vipbench.sheet import half_blocks

    manifest = manifests.read(folder)
    trials = store.open_trials(folder / store.REQUESTS)
    headlines = {name: run.headline for name, run in manifest.tasks.items()}
    if task in manifest.tasks and manifest.tasks[task].parts:
        parts = " or ".join(manifest.tasks[task].parts)
        raise RunError(f"--task {task}: is scored from its parts; expected {parts}")
    place = _find_trial([entry.name for entry in trials.entries], id, task, style, headlines)
    [trial] = trials.read([place])
    name = store.trial_id(trial)
    print(f"sample   {_line(trial.id)}\ntask     {trial.task}\nstyle    {trial.style}")
    print(f"model    {manifest.identity.model}")
    if trial.request is None:
        print(f"error    {_line(trial.error or '')}")
        return
    default = folder / "shown" / f"{_file_name('-'.join(name))}.png"
    try:
        pixels = load_image(trial.request, Path(manifest.tasks[trial.task].images), None)
        picture = Image.fromarray(pixels)
        _save(picture, out or default)
    except VipbenchError as error:
        if out is not None:
            raise
        print(f"picture  none: {_line(str(error))}")
    else:
        print(f"picture  {out or default}")
        if sys.stdout.isatty():
            print(half_blocks(picture, min(shutil.get_terminal_size().columns, 80)))
    print("\n" + _visible("\n\n".join(trial.request.turns)) + "\n")
    response = store.read_responses(folder / store.RESPONSES).get(name)
    if response is None:
        print("answer   none yet")
    elif response.text is None:
        print(f"answer   none: {_line(response.error or '')}")
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
    print(f"{label} {value} ({line.metric}; {_line(line.error or parsed)})")


# --- ls, demo


@app.command("ls")
def list_things(
    what: Annotated[
        Literal["tasks", "styles", "runners", "suites", "runs"],
        typer.Argument(show_default=False),
    ],
    include: Include = None,
    folder: Annotated[
        Path | None,
        typer.Option(
            "--runs", metavar="DIR", help="Folder of the run folders.", show_default="results/runs"
        ),
    ] = None,
) -> None:
    """List tasks, styles, runners, suites or runs."""
    places = tuple(include or ())
    if what == "tasks":
        _print_columns(_task_rows(places))
    elif what == "styles":
        _print_columns(_style_rows(places))
    elif what == "runners":
        _print_columns(_runner_rows())
    elif what == "suites":
        _print_columns(_suite_rows(places))
    else:
        _print_columns(_run_rows(folder))


def _task_rows(include: Sequence[Path]) -> Iterable[Sequence[str]]:
    from vipbench.tasks import find_tasks, load_task

    yield "task", "version", "kind", "data", "samples", "title"
    for name in find_tasks(include):
        spec = load_task(name, include)
        data = spec.data if isinstance(spec.data, str) else " + ".join(spec.data)
        n = spec.reference.get("samples", "")
        yield (
            name,
            f"{spec.version}",
            spec.kind,
            data,
            f"{n:,}" if isinstance(n, int) else n,
            spec.title,
        )


def _style_rows(include: Sequence[Path]) -> Iterable[Sequence[str]]:
    from vipbench.tasks import all_styles

    yield "style", "kind", "shapes", "title"
    for name, style in all_styles(include).items():
        yield name, style.kind, ", ".join(style.shapes), style.title


def _suite_rows(include: Sequence[Path]) -> Iterable[Sequence[str]]:
    from vipbench.tasks import find_suites, load_suite

    yield "suite", "tasks", "styles", "title"
    for name in find_suites(include):
        suite = load_suite(name, include)
        styles = ", ".join(suite.styles) or "(the tasks' own)"
        yield name, ", ".join(suite.tasks), styles, suite.title


def _runner_rows() -> Iterable[Sequence[str]]:
    from vipbench.runners import list_runners

    yield "runner", "what it is"
    yield from list_runners().items()


def _run_rows(folder: Path | None) -> Iterable[Sequence[str]]:
    from vipbench import manifest as manifests
    from vipbench.run import RUNS
    from vipbench.store import MANIFEST

    if folder is not None and not folder.is_dir():
        raise RunError(f"--runs {folder}: no such folder; give one that holds run folders")
    yield "run", "model", "suite", "requests", "started", "finished"
    for path in sorted((folder or RUNS).glob(f"*/{MANIFEST}")):
        try:
            manifest = manifests.read(path.parent)
        except RunError as error:
            _say(str(error))
            continue
        identity = manifest.identity
        yield (
            *(str(path.parent), identity.model, identity.suite, f"{manifest.n_requests:,}"),
            *(manifest.started, manifest.finished or "no"),
        )


@demo_app.command("make")
def demo_make(
    out: Annotated[
        Path,
        typer.Option(
            "-o", "--out", metavar="PATH", help="A new or empty folder.", show_default=False
        ),
    ],
    n: Annotated[
        int, typer.Option("--n", metavar="N", min=1, help="Questions of each benchmark.")
    ] = 250,
    seed: Annotated[
        int | None, typer.Option(metavar="N", help="Of the scenes.", show_default="as embedded")
    ] = None,
) -> None:
    """Write the synthetic benchmark in the layouts of all four releases."""
    from vipbench.demo import sources
    from vipbench.demo.generate import EVALUATION_SEED, make

    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DataError(f"-o {out}: is not empty; give a new or an empty folder")
    try:
        make(out, n, EVALUATION_SEED if seed is None else seed)
    except OSError as error:
        shutil.rmtree(out, ignore_errors=True)  # it was new, or empty
        raise DataError(
            f"-o {out}: cannot be written ({error.strerror}); give another folder, or make room"
        ) from error
    for key, source in sources(out).items():
        print(f"--data {key}={source.questions}")


@demo_app.command("train")
def demo_train(
    state: Annotated[
        Path,
        typer.Option(
            metavar="DIR", help="Folder of the training's state; training goes on from there."
        ),
    ] = Path("results/demo-training"),
    out: Annotated[
        Path | None,
        typer.Option(
            "-o", "--out", metavar="PATH", help="The checkpoint.", show_default="STATE/checkpoint"
        ),
    ] = None,
    seed: Seed = 0,
    threads: Annotated[int, typer.Option(metavar="N", min=1, help="Threads of torch.")] = 1,
) -> None:
    """Train the embedded checkpoint anew; an hour or two on one CPU thread."""
    for option, folder in (("--state", state), ("-o", out)):
        if folder is not None and folder.exists() and not folder.is_dir():
            raise DataError(f"{option} {folder}: is no folder; give a new or an earlier one")
    from vipbench.demo.train import train

    train(state, out, seed=seed, threads=threads)


# --- words and tables


def _say(message: str) -> None:
    """Print one line to stderr, whatever the message holds."""
    print(_line(message), file=sys.stderr)


def _visible(text: str) -> str:
    """Show by their numbers the signs that steer a terminal, which data may hold; keep lines."""
    return re.sub(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", lambda match: ascii(match[0])[1:-1], text)


def _line(text: str) -> str:
    """Show a text in one line."""
    return _visible(text).replace("\n", r"\n")


def _listed(option: str, values: Sequence[str] | None) -> tuple[str, ...]:
    """Split a repeatable option at commas; each value once. RunError where none is left."""
    parts = (part.strip() for value in values or () for part in value.split(","))
    names = tuple(dict.fromkeys(part for part in parts if part))
    if values and not names:
        raise RunError(f"{option} {' '.join(values)!r}: names nothing; expected one or more names")
    return names


def _print_results(results: "Results") -> None:
    """Print what came out, how it depends on the kind of mark, and where it lies."""
    from rich.console import Console

    from vipbench.report import BreakdownTable, run_table

    styles = [style for styles in results.manifest.identity.styles.values() for style in styles]
    marked = {style.name for style in styles if style.kind in ("marks", "given")}
    # Into a file or a pipe, a table may be wider than a terminal's usual 80 columns.
    console = Console(width=None if sys.stdout.isatty() else 160)
    console.print(run_table(results.rows))
    breakdown = BreakdownTable(results.rows, marked)
    if breakdown.rows:
        console.print(breakdown)
    print(f"{results.path}  (`vipbench show {results.path} ID` prints one sample)")


def _print_dry_run(plan: "DryRun") -> None:
    for note in plan.notes:
        _say(note)
    header = ("task", "style", "samples", "unusable")
    rows = [
        (task, style, f"{n:,}", f"{plan.n_errors.get(task, 0):,}")
        for (task, style), n in plan.counts.items()
    ]
    _print_columns([header, *rows])
    print(f"run folder  {plan.path}")
    print(f"to ask      {plan.n_left:,} of {sum(plan.counts.values()):,} requests")
    if plan.seconds is None:
        print(f"time        {plan.seconds_from}")
    else:
        print(f"time        about {_duration(plan.seconds)}, as {plan.seconds_from}")
    print(f"disk        about {plan.n_bytes / 1e6:.1f} MB")


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _print_report(report: "CheckReport") -> None:
    about = f"{report.n_records:,} records"
    about += f", {report.n_images:,} images" if report.n_images else ""
    about += f", style {', '.join(report.styles)}" if report.styles else ""
    about += ", synthetic" if report.synthetic else ""
    print(f"{report.task}: {about}: {_verdict(report.n_errors, report.n_warnings)}")
    for finding in report.findings:
        kind = "warning" if finding.warning else "error"
        print(f"  {kind} {finding.code}: {finding.n:,}")
        for problem in finding.first:
            print(_line(f"    {problem.id}: {problem.message}"))
        if finding.n > len(finding.first):
            print(f"    ({len(finding.first)} of {finding.n:,} listed)")


def _verdict(n_errors: int, n_warnings: int = 0) -> str:
    """Write `412 errors, 1 warning`; only the errors where there is nothing else."""
    parts = [f"{n_errors:,} error{'s' * (n_errors != 1)}"]
    if n_warnings:
        parts.append(f"{n_warnings:,} warning{'s' * (n_warnings != 1)}")
    return ", ".join(parts)


def _print_columns(rows: Iterable[Sequence[str]]) -> None:
    """Print rows of text as columns; the last one may be as long as it is."""
    table = [tuple(row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        print("  ".join(cells).rstrip())


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
        _say(f"also under --style {others}")
    return (chosen or places)[0]


def _file_name(text: str) -> str:
    """Replace what may not stand in a file's name, and shorten what is too long for one."""
    name = "".join(c if c.isalnum() or c in "._" else "-" for c in text).strip(".")
    if len(name.encode()) <= LONGEST_NAME:
        return name
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    return f"{name.encode()[: LONGEST_NAME - 9].decode(errors='ignore')}-{digest}"


def _save(picture: "Image.Image", path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        picture.save(path, format="PNG")
    except OSError as error:
        raise VipbenchError(f"{path}: cannot be written ({error.strerror or error})") from error
