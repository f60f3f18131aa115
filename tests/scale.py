"""Measures what large runs, and many runs, cost the commands that read them.

    python tests/scale.py                                  # all commands, up to a million answers
    python tests/scale.py --answers 100000 --only report   # one command at one size
    python tests/scale.py --label before                   # as it is, beside which a change is held

The runs are made up: three tasks under four styles, five samples an image, written as the format of
run folders says, with digests that are right. They lie in `build/scale` and are made once. Each
command runs in a process of its own; wall time, CPU time and the largest resident memory are those
that the kernel tells of it and its children. What was measured under a label is kept, so that the
same command goes on where it was stopped, and a table ends it: figures of one label below each
other show what grows faster than its input.
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import Process
from pathlib import Path
from random import Random
from typing import NamedTuple

REPO = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPO))  # as a script it would find the modules of its own folder

from vipbench.console import visible  # noqa: E402
from vipbench.data.suites import Suite  # noqa: E402
from vipbench.run.score import score  # noqa: E402
from vipbench.runfolder import bound  # noqa: E402
from vipbench.runfolder import manifest as manifests  # noqa: E402
from vipbench.runfolder.folder import MANIFEST, REQUESTS, RESPONSES  # noqa: E402
from vipbench.runfolder.lines import ResponseLine  # noqa: E402
from vipbench.runfolder.manifest import Identity, Manifest, Settings, TaskRun  # noqa: E402
from vipbench.schema import (  # noqa: E402
    Kind,
    PromptStyle,
    Region,
    Request,
    Rule,
    Tags,
    Trial,
    Visibility,
    VisualPrompt,
)

BUILD = REPO / "build" / "scale"
SIZES = (10_000, 100_000, 1_000_000)
"""Answers of one run."""
MANY = (25, 50, 100, 200)
"""Runs of one report, of `SMALL` answers each."""
SMALL = 300
IMAGE = 5
"""Samples that share an image."""
BATCH = 64
LETTERS = ("A", "B", "C", "D")
COLORS = ("red", "green", "blue", "yellow", "purple", "orange", "white", "black")
WORDS = ("a cup", "a dog", "two", "on the table")
DIGEST = "0" * 64
NUMBER = '"batch":0,'
CALL = "from vipbench.cli import main; main()"
STYLES = (
    PromptStyle(name="rectangle", shapes=("rectangle",), colors=COLORS),
    PromptStyle(name="ellipse", shapes=("ellipse",), colors=COLORS),
    PromptStyle(name="none", kind="none"),
    PromptStyle(name="blind", kind="blind"),
)


class Task(NamedTuple):
    """A task of made-up data."""

    name: str
    kind: Kind
    rule: Rule


TASKS = (
    Task("made_choice", "choice", "exact"),
    Task("made_short", "short_answer", "exact"),
    Task("made_stated", "choice", "stated"),
)


class Case(NamedTuple):
    """A command on runs of one size."""

    command: str
    size: int
    unit: str
    argv: Callable[[], Sequence[str]]
    """Makes the runs where they are missing, and returns the arguments of `vipbench`."""


class Figures(NamedTuple):
    """What one command took."""

    wall_s: float
    cpu_s: float
    """Of the process and its children, in user mode and in the kernel."""
    mib: float
    """The largest resident memory of one process."""
    code: int


# --- made-up runs


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def trial_of(task: Task, style: PromptStyle) -> Trial:
    """Return the trial that those of a task and style are made of; words between @ change."""
    marks: tuple[VisualPrompt, ...] = ()
    tags: Tags = {"n_marks": ("1",), "size": ("@SIZE",)}
    if task.kind == "choice":
        tags["position"] = ("@RIGHT",)
    if style.kind == "marks":
        region = Region(box=(20.0, 30.0, 120.5, 140.25), label="cup")
        marks = (
            VisualPrompt(
                region=region,
                shape=style.shapes[0],
                color=(255, 0, 0),
                alpha=255,
                width=3.0,
                seed=7,
            ),
        )
        tags |= {"shape": style.shapes, "color": ("@COLOR",)}
    choices = "\n".join(f"{letter}. the answer {letter} of @ID" for letter in LETTERS)
    question = f"What is marked in @IMAGE, question @ID?\n{choices}"
    request = Request(
        task=task.name,
        style=style.name,
        id="@ID",
        turns=(f"{question}\nAnswer with the option's letter from the given choices directly.",),
        image="@IMAGE",
        visual_prompts=marks,
        blind=style.kind == "blind",
        fit="pad",
        max_new_tokens=128,
        options=LETTERS if task.kind == "choice" else (),
        key=DIGEST,
    )
    return Trial(
        task=task.name,
        style=style.name,
        id="@ID",
        request=request,
        kind=task.kind,
        target="@RIGHT",
        group="@IMAGE",
        tags=tags,
    )


def response_of(task: Task, style: PromptStyle) -> ResponseLine:
    return ResponseLine(
        task=task.name,
        style=style.name,
        id="@ID",
        key=DIGEST,
        batch=0,
        text={"exact": "@SAID", "stated": "The answer is @SAID, since it is marked."}[task.rule],
        n_prompt_tokens=612,
        n_new_tokens=3,
        option_logprobs=(-0.25, -1.9, -3.25, -4.5) if task.kind == "choice" else None,
        pixels=digest("pixels"),
        visibility=(Visibility(n_px=400, share=1.0, fitted_px=312.5, n_patches=12),)
        if style.kind == "marks"
        else None,
    )


def filled(text: str, words: dict[str, str]) -> str:
    for name, word in words.items():
        text = text.replace(name, word)
    return text


def make_run(folder: Path, n: int, model: str = "base", step: int | None = None) -> Path:
    """Write a run of about `n` answers that is finished but not scored, unless it is there.

    Runs of one size have the same requests; a tenth of the answers differs between two models.
    """
    if (folder / MANIFEST).exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    n_samples = max(1, n // len(TASKS) // len(STYLES))
    digests = {task.name: hashlib.sha256() for task in TASKS}
    with (folder / REQUESTS).open("w") as requests, (folder / RESPONSES).open("w") as responses:
        for index, (task, trial, answer) in enumerate(made_lines(n_samples, model)):
            requests.write(trial[0])
            digests[task].update(trial[1])
            responses.write(answer.replace(NUMBER, f'"batch":{index // BATCH},'))
    n_all = n_samples * len(TASKS) * len(STYLES)
    manifest = made_manifest(n_samples, n_all, model, step, digests)
    manifests.write(folder, bound.bind(folder, manifest, (REQUESTS, RESPONSES)))
    return folder


def made_lines(n_samples: int, model: str) -> Iterator[tuple[str, tuple[str, bytes], str]]:
    """Yield the task, the trial with its facts, and the answer of each request, in order."""
    for task in TASKS:
        for style in STYLES:
            trial = trial_of(task, style)
            texts = [
                trial.model_dump_json() + "\n",
                manifests.trial_facts(trial).decode(),
                response_of(task, style).model_dump_json() + "\n",
            ]
            truth = Random(f"{task.name} truth")
            base, own = Random(f"{task.name} {style.name}"), Random(f"{style.name} {model}")
            for number in range(n_samples):
                id_ = f"{task.name}-{number:07d}"
                among = LETTERS if task.kind == "choice" else WORDS
                right, guess, is_known = truth.choice(among), base.choice(among), base.random()
                said = right if is_known < 0.6 else guess
                if model != "base" and own.random() < 0.1:
                    said = own.choice(among)
                words = {
                    DIGEST: digest(f"{task.name} {style.name} {id_}"),
                    "@ID": id_,
                    "@IMAGE": f"images/{task.name}/{number // IMAGE:07d}.jpg",
                    "@RIGHT": right,
                    "@SAID": said,
                    "@COLOR": COLORS[number % len(COLORS)],
                    "@SIZE": ("small", "medium", "large")[number % 3],
                }
                line, facts, answer = (filled(text, words) for text in texts)
                yield task.name, (line, facts.encode()), answer


def made_manifest(
    n_samples: int,
    n_requests: int,
    model: str,
    step: int | None,
    digests: "dict[str, hashlib._Hash]",
) -> Manifest:
    settings = Settings(
        weights=digest(f"{model} {step}"),
        prompt_format="hf",
        dtype="float32",
        decoding="greedy",
    )
    name = model if step is None else f"checkpoint-{step}"
    identity = Identity(
        suite="custom",
        tasks={task.name: 1 for task in TASKS},
        styles={task.name: STYLES for task in TASKS},
        seed=0,
        limit=None,
        ids=(),
        fits={task.name: "pad" for task in TASKS},
        runner="vipllava",
        model=name,
        settings=settings,
        requests={task: found.hexdigest() for task, found in digests.items()},
    )
    tasks = {
        task.name: TaskRun(
            version=1,
            kind=task.kind,
            headline=STYLES[0].name,
            fit="pad",
            rule=task.rule,
            breakdown=Suite.model_fields["breakdown"].default,
            chance=0.25,
            questions="made up",
            images="made up",
            n_samples=n_samples,
        )
        for task in TASKS
    }
    return Manifest(
        format=manifests.FORMAT,
        run_id=manifests.run_id(identity),
        name=f"{model}/{name}" if step is not None else "",
        step=step,
        identity=identity,
        settings_digest=manifests.settings_digest(settings),
        tasks=tasks,
        n_requests=n_requests,
        image_size=336,
        batch_size=BATCH,
        n_batches=-(-n_requests // BATCH),
        plan_digest=DIGEST,
        versions={},
        commit=None,
        dirty=None,
        started="2026-01-01T00:00:00+00:00",
        finished="2026-01-01T01:00:00+00:00",
    )


def scored(folder: Path, n: int, model: str = "base", step: int | None = None) -> Path:
    """Make a run with its scores, unless it is there."""
    made = make_run(folder, n, model, step)
    if "summary.json" not in manifests.read(made).files:
        # In another process: what is started later would count the memory of this one as its own.
        scoring = Process(target=score, args=(made,), kwargs={"may_fork": True})
        scoring.start()
        scoring.join()
    return made


def many_runs(n: int) -> list[Path]:
    """Make runs of `SMALL` answers: checkpoints of several trainings, 25 each."""
    return [
        scored(BUILD / "many" / f"{number:03d}", SMALL, f"training-{number // 25}", 100 * step)
        for number in range(n)
        for step in (number % 25 + 1,)
    ]


# --- measuring


def cases(sizes: Sequence[int], many: Sequence[int]) -> Iterator[Case]:
    """Yield what is measured, from small to large."""
    for n in sizes:
        yield from _with_answers(n)
    for n in many:
        yield _with_runs(n)


def _with_answers(n: int) -> Iterator[Case]:
    folder, out = BUILD / str(n), str(BUILD / "out" / str(n))

    def both() -> list[str]:
        runs = scored(folder / "base", n), scored(folder / "new", n, "new")
        return [str(run) for run in runs]

    unit = "answers"
    yield Case("score", n, unit, lambda: ["score", str(make_run(folder / "base", n))])
    yield Case("leaderboard", n, unit, lambda: ["leaderboard", *both(), "-o", out])
    yield Case("compare", n, unit, lambda: ["compare", *both(), "-o", out])
    yield Case("gate", n, unit, lambda: ["gate", *both(), "--by", "shape,color"])
    yield Case("report", n, unit, lambda: ["report", both()[0], "-o", out])


def _with_runs(n: int) -> Case:
    out = str(BUILD / "out" / f"many-{n}")
    return Case("report", n, "runs", lambda: ["report", *map(str, many_runs(n)), "-o", out])


def measure(argv: Sequence[str], limit_s: float) -> Figures:
    """Run a command of vipbench in a process of its own, which is ended after a time."""
    command = ["timeout", f"{limit_s:.0f}", sys.executable, "-c", CALL, *argv]
    if shutil.which("timeout") is None:
        command = command[2:]
    begin = time.monotonic()
    with (BUILD / "output.txt").open("wb") as output:
        process = subprocess.Popen(
            command,
            stdout=output,
            stderr=output,
            cwd=BUILD,
            env=os.environ | {"PYTHONPATH": str(REPO)},
        )
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return Figures(
        wall_s=time.monotonic() - begin,
        cpu_s=usage.ru_utime + usage.ru_stime,
        mib=usage.ru_maxrss / 1024,
        code=process.returncode,
    )


def commit() -> str:
    found = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=REPO,
        capture_output=True,
        text=True,
        check=False,
    )
    return found.stdout.strip() or "unknown"


def say(text: str) -> None:
    sys.stdout.write(visible(text) + "\n")
    sys.stdout.flush()


def table(records: Sequence[dict[str, object]]) -> str:
    """Return what was measured as Markdown, label after label."""
    head = ("label", "command", "size", "wall, s", "CPU, s", "MiB", "exit code")
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for record in records:
        cells = (
            record["label"],
            record["command"],
            f"{record['size']:,} {record['unit']}",
            f"{record['wall_s']:.1f}",
            f"{record['cpu_s']:.1f}",
            f"{record['mib']:,.0f}",
            record["code"],
        )
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def main() -> None:
    """Measure what is missing under the label, and print all of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--answers", type=int, nargs="*", default=SIZES, metavar="N")
    parser.add_argument("--runs", type=int, nargs="*", default=MANY, metavar="N")
    parser.add_argument("--only", metavar="COMMAND")
    parser.add_argument("--label", default=commit(), help="of these figures; default: the commit")
    parser.add_argument("--limit", type=float, default=900, metavar="S", help="of one command")
    options = parser.parse_args()
    BUILD.mkdir(parents=True, exist_ok=True)
    path = BUILD / "results.jsonl"
    known = [json.loads(line) for line in path.open()] if path.exists() else []
    for case in cases(options.answers, options.runs):
        name = {
            "label": options.label,
            "command": case.command,
            "size": case.size,
            "unit": case.unit,
        }
        is_known = any(name.items() <= record.items() for record in known)
        if is_known or options.only not in (None, case.command):
            continue
        argv = case.argv()
        figures = measure(argv, options.limit)
        known.append(name | figures._asdict())
        with path.open("a") as file:
            file.write(json.dumps(known[-1]) + "\n")
        say(
            f"{case.command} of {case.size:,} {case.unit}: {figures.wall_s:.1f} s, "
            f"{figures.cpu_s:.1f} s CPU, {figures.mib:,.0f} MiB, exit code {figures.code}"
        )
    say(table([record for record in known if record["label"] == options.label]))


if __name__ == "__main__":
    main()
