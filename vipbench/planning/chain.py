"""The commands of a run, one after another, or as jobs of SLURM that depend on each other."""

import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from vipbench.errors import RunError
from vipbench.planning.devices import CPU, Fleet
from vipbench.planning.records import Command
from vipbench.run.claim import RUNS
from vipbench.run.settings import RunSettings
from vipbench.runfolder.shard import Shard

WIDTH = 78
"""Columns of a line of a command, where it can be broken."""
_INDENT = "  "


class Typed(NamedTuple):
    """What the user typed, as words of commands."""

    run: tuple[str, ...]
    """For `vipbench run`, without tasks, folder and judge."""
    tasks: tuple[str, ...]
    judge: tuple[str, ...]
    """For `vipbench score`."""
    max_errors: tuple[str, ...]
    """For `vipbench merge`."""


NOTHING = Typed((), (), (), ())


def run_path(settings: RunSettings, model: str) -> Path:
    """Return the run folder: as the user says, else named after suite and model."""
    name = model.replace("/", "-").replace(" ", "-") or settings.runner
    return settings.out or RUNS / f"{settings.suite or 'tasks'}-{name}"


def check_slurm(settings: RunSettings, fleet: Fleet | None) -> None:
    """Refuse what jobs on other machines cannot do; RunError."""
    if settings.live_model is not None:
        raise RunError(
            "--slurm: a model in memory cannot be sent to the jobs of a cluster · expected a "
            "folder or a hub id · save it, and give its folder"
        )
    if settings.engine != "local":
        raise RunError(
            f"--slurm with --engine {settings.engine}: Ray spreads a run by itself · expected one "
            "of the two · leave one out"
        )
    if fleet is None:
        raise RunError(
            "--slurm: says not how many devices there are · expected --devices too · give "
            "--devices '4 x H100', or a number"
        )
    n = settings.n_workers
    if fleet.n % n:
        raise RunError(
            f"--devices {fleet.n} with --workers {n}: a job has as many devices as "
            f"workers · expected a multiple of {n} · give another number"
        )
    for text in settings.endpoint.headers:
        if "=env:" not in text:
            raise RunError(
                f"--header {text.partition('=')[0]}: its value would stand in the batch script · "
                "expected NAME=env:VARIABLE · put the value into a variable of the environment"
            )


def local_chain(typed: Typed, out: Path, *, reproduces: bool, system: str | None) -> list[Command]:
    """Return what is given on one machine."""
    run = ("run", *typed.run, *typed.tasks, "-o", str(out))
    return [_command("run", run), *_after(typed, out, reproduces, system)]


def slurm_chain(
    typed: Typed,
    out: Path,
    settings: RunSettings,
    fleet: Fleet,
    *,
    uses_gpu: bool,
    reproduces: bool,
    system: str | None,
) -> list[Command]:
    """Return an array of shards, and what puts them together and looks at the whole."""
    n, workers = fleet.n // settings.n_workers, settings.n_workers
    parts = out.with_name(f"{out.name}-shards")
    words = ("run", *typed.run, *typed.tasks, "--shard", "auto", "-o", str(parts))
    n_gpus = workers if uses_gpu and fleet.name != CPU and settings.device != CPU else 0
    n_cpus = workers if not n_gpus and workers > 1 else 0
    shards = _command("shards", words).model_copy(
        update={"n_jobs": n, "n_gpus": n_gpus, "n_cpus": n_cpus}
    )
    folders = [str(parts / Shard(index=i + 1, count=n).folder) for i in range(n)]
    merge = _command("merge", ("merge", *folders, *typed.max_errors, "-o", str(out)))
    return [shards, merge, *_after(typed, out, reproduces, system)]


def _after(typed: Typed, out: Path, reproduces: bool, system: str | None) -> Iterable[Command]:
    if typed.judge:
        yield _command("score", ("score", str(out), *typed.judge))
    if reproduces:
        of = () if system is None else ("--system", system)
        yield _command("reproduce", ("reproduce", str(out), *of))


def _command(name: str, words: Sequence[str]) -> Command:
    return Command(name=name, words=("vipbench", *words))


def shell(words: Sequence[str], *, behind: str = "") -> str:
    """Write a command for a shell, broken into lines before its options.

    `behind` stands on its first line before it.
    """
    groups: list[str] = []
    for word in words:
        quoted = shlex.quote(word)
        previous = groups[-1] if groups else ""
        is_value = previous.startswith("-") and " " not in previous and not word.startswith("-")
        if is_value:
            groups[-1] += f" {quoted}"
        else:
            groups.append(quoted)
    lines = [groups[0]]
    for group in groups[1:]:
        before = len(behind) if len(lines) == 1 else 0
        if before + len(lines[-1]) + 1 + len(group) + 2 > WIDTH:
            lines.append(f"{_INDENT}{group}")
        else:
            lines[-1] += f" {group}"
    return " \\\n".join(lines)


def script(commands: Sequence[Command], name: str, head: Iterable[str]) -> str:
    """Write the shell script that hands all of them to SLURM."""
    lines = ["#!/bin/bash", *(f"# {line}".rstrip() for line in head), "set -eu"]
    before = ""
    for command in commands:
        options = ["--parsable", f"--job-name={shlex.quote(f'{name}-{command.name}')}"]
        if command.n_jobs > 1 or command.name == "shards":
            options.append(f"--array=1-{command.n_jobs}")
        if command.n_gpus:
            options.append(f"--gpus={command.n_gpus}")
        if command.n_cpus:
            options.append(f"--cpus-per-task={command.n_cpus}")
        if before:
            # With several clusters, sbatch prints the id, then `;` and the cluster.
            options.append("--kill-on-invalid-dep=yes")
            options.append(f'--dependency=afterok:"${{{before}%%;*}}"')
        submit = " \\\n".join(_filled("sbatch", options))
        wrapped = shell(command.words, behind="  --wrap '")
        text = f"{submit} \\\n  --wrap {shlex.quote(wrapped)}"
        lines.append(f"{command.name}=$({text})")
        lines.append(f'echo "{command.name}: job ${command.name}"')
        before = command.name
    return "\n".join(lines) + "\n"


def _filled(first: str, words: Sequence[str]) -> list[str]:
    """Fill lines with words."""
    lines = [first]
    for word in words:
        if len(lines[-1]) + 1 + len(word) + 10 > WIDTH:
            lines.append(f"{_INDENT}{word}")
        else:
            lines[-1] += f" {word}"
    return lines
