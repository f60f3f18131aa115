"""What a kit asks: all of its tasks, or as much as fits into some hours by a short probe."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from vipbench import files
from vipbench.bench.machine import cpu_name
from vipbench.console import Console
from vipbench.data.tasks import load_suite
from vipbench.errors import RunError
from vipbench.kit.settings import APART, KitSettings
from vipbench.run.loop import run
from vipbench.runners.device import device_in_words
from vipbench.schema import Record

PROBE = 24
"""Samples of each task that are asked to measure how long one takes."""
SLACK = 1.15
"""By which a measured time is lengthened: what is counted on is rather too long."""
PLAN = "plan.json"
PROBES = "probe"


class Measured(Record):
    """What a probe found of one task."""

    n: int
    """Samples of the task."""
    seconds: float
    """A sample under all styles; of a joint task all parts of it. Loading is not counted."""

    @property
    def hours(self) -> float:
        """That the whole task takes, rather too many."""
        return SLACK * self.n * self.seconds / 3600


class Machine(Record):
    """What answers."""

    device: str
    """With the name of a GPU, such as `cuda:0 NVIDIA A100`."""
    cpu: str
    n_cores: int


class Plan(Record):
    """What a kit asks, settled once, so that every start of it asks the same."""

    asked: dict[str, Any]
    """The settings as they were given; not packed, since paths are among them."""
    tasks: tuple[str, ...]
    limit: int | None
    """Samples of each task; None: all."""
    hours: float | None
    measured: dict[str, Measured]
    """Task -> what a probe found; empty where no hours were given."""
    left_out: tuple[str, ...]
    """Tasks that do not fit into the hours."""
    machine: Machine


class Choice(NamedTuple):
    """Which part of the tasks fits into some hours."""

    tasks: tuple[str, ...]
    limit: int | None


def settle(folder: Path, settings: KitSettings, console: Console) -> Plan:
    """Return the plan of a kit: that of its first start, or a new one, which is written down.

    Args:
        folder: of the kit.
        settings: with suite, data and model filled in.
        console: is told what is chosen, and shows bars of the probe.

    Raises:
        RunError: The folder holds another kit, or nothing fits into the hours.
    """
    path = folder / PLAN
    asked = settings.model_dump(mode="json", exclude=set(APART))
    if path.exists():
        return _former(path, asked)
    if settings.hours is not None and settings.most_samples is not None:
        raise RunError("--hours with --limit: one of them says how much is asked · leave one out")
    tasks = settings.tasks or load_suite(str(settings.suite), settings.include).tasks
    measured: dict[str, Measured] = {}
    choice = Choice(tuple(tasks), settings.most_samples)
    if settings.hours is not None:
        for task in tasks:
            measured[task] = _probe(folder / PROBES / task, settings, task, console)
        choice = choose(measured, settings.hours)
        if choice.limit is not None:  # so many are answered already
            choice = choice._replace(limit=max(choice.limit, PROBE))
    plan = Plan(
        asked=asked,
        tasks=choice.tasks,
        limit=choice.limit,
        hours=settings.hours,
        measured=measured,
        left_out=tuple(task for task in tasks if task not in choice.tasks),
        machine=Machine(
            device=device_in_words(settings.device), cpu=cpu_name(), n_cores=os.cpu_count() or 1
        ),
    )
    files.write_json(path, plan.model_dump(mode="json"))
    _say(plan, console)
    return plan


def choose(measured: Mapping[str, Measured], hours: float) -> Choice:
    """Choose whole tasks, the shortest first; where none fits as a whole, samples of each.

    A whole task is comparable with its published number, and a part of one is not.

    Raises:
        RunError: Not even a sample of each task fits.
    """
    whole: list[str] = []
    left = hours
    for task, found in sorted(measured.items(), key=lambda item: item[1].hours):
        if found.hours <= left:
            whole.append(task)
            left -= found.hours
    if whole:
        return Choice(tuple(task for task in measured if task in whole), None)
    each = SLACK * sum(found.seconds for found in measured.values()) / 3600
    limit = int(hours / each)
    if limit < 1:
        raise RunError(
            f"--hours {hours:g}: one sample of each task takes {each:.2g} h here · give more, or "
            "fewer --tasks"
        )
    return Choice(tuple(measured), limit)


def _former(path: Path, asked: Mapping[str, Any]) -> Plan:
    """Read the plan of an earlier start; RunError where it was asked for something else."""
    content = files.read_json(path)
    try:
        plan = Plan.model_validate(content)
    except ValidationError:
        raise RunError(f"{path}: is not the plan of a kit · give another -o") from None
    for name, now in asked.items():
        before = plan.asked.get(name, now)
        if before != now:
            raise RunError(
                f"{path.parent}: holds another kit ({name}: {before} → {now}) · give its settings, "
                "another -o, or --fresh to replace it"
            )
    return plan


def _probe(folder: Path, settings: KitSettings, task: str, console: Console) -> Measured:
    """Ask a few samples of a task, as the kit would, and measure them."""
    asked = settings.model_copy(update={"tasks": (task,), "limit": PROBE, "out": folder})
    results = run(asked, console)
    times = results.manifest.times
    if not times.n_answered:  # all of it was answered by starts that were killed
        results = run(asked.model_copy(update={"fresh": True}), console)
        times = results.manifest.times
    if not times.n_answered:
        raise RunError(f"{task}: no sample of the probe could be asked · see `vipbench check`")
    n = results.manifest.tasks[task].n_samples
    seconds = times.generate / times.n_answered * results.manifest.n_requests / min(n, PROBE)
    return Measured(n=n, seconds=seconds)


def _say(plan: Plan, console: Console) -> None:
    """Tell what was chosen for the hours."""
    for task, found in plan.measured.items():
        state = "left out"
        if task in plan.tasks:
            state = "all" if plan.limit is None else f"{min(plan.limit, found.n):,}"
        console.say(f"{task}: about {found.hours:.2g} h for {found.n:,} samples; asked: {state}")
