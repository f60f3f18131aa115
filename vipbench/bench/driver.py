"""driver: part of what was vipbench/bench/__init__.py."""

import functools
import itertools
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import ValidationError

from vipbench import files
from vipbench.bench.floor import add, count
from vipbench.bench.records import Job, Outcome, Speed, WayName
from vipbench.bench.report import BenchReport, _load_average, _report
from vipbench.bench.requests import answer_lengths, choose, enlarge, slices, spread
from vipbench.bench.rounds import Bench, Plan, Round, Samples
from vipbench.bench.settings import (
    N_TUNE_OFFICIAL,
    STAGED_ON,
    USUAL_BATCH_SIZES,
    WORKERS,
    BenchSettings,
)
from vipbench.console import QUIET, Console
from vipbench.demo import CHECKPOINT, benchmark
from vipbench.environment import versions
from vipbench.errors import RunError, RunInterrupted, RunnerError
from vipbench.runners.checkpoints.checkpoint import CheckpointInfo, check_checkpoint
from vipbench.runners.device import check_names
from vipbench.schema import Trial
from vipbench.trials.make import TaskFacts, make_trials
from vipbench.trials.selection import select

PLAN = "plan.json"
KEPT_LINES = 3
"""Last lines of a failed process that are told."""


def bench(
    settings: BenchSettings, path: Path, *, fresh: bool = False, console: Console = QUIET
) -> BenchReport:
    """Measure the three ways and write the report, or go on with a bench that was stopped.

    Args:
        settings: what to measure.
        path: of the report; finished measurements wait in a folder beside it, `<path>.parts`.
        fresh: measure all of it again.
        console: takes what is done just now.

    Raises:
        RunInterrupted: Ctrl-C; the same command goes on.
        VipbenchError: settings or model cannot be used, a measurement failed, or the disk is full.
    """
    check_names(settings.device, settings.dtype)
    if settings.model is not None and settings.random is not None:
        raise RunnerError(
            f"--random {settings.random}: is a model itself · leave out --model {settings.model}"
        )
    load_average = _load_average()
    info = check_checkpoint(settings.model or CHECKPOINT)
    samples = _samples(settings, info)
    folder = path.with_name(f"{path.name}.parts")
    with files.locked(folder):
        _claim(folder, Plan(settings=settings, versions=versions(), weights=info.weights), fresh)
        started = _prepare(folder, settings, samples, info, console)
        try:
            best = _tune(started)
            rounds = _measure(started, best)
            peak = _do(started, _job(started, "peak", kind="peak", threads=started.threads)).peak
        except KeyboardInterrupt:
            raise RunInterrupted(
                f"{path}: interrupted; what is measured is kept: give the same command to go on"
            ) from None
        report = _report(started, info, best, rounds, peak, load_average)
        files.write_text(path, [report.model_dump_json(indent=2), "\n"])
        shutil.rmtree(folder)
    return report


def _claim(folder: Path, plan: Plan, fresh: bool) -> None:
    """Refuse to mix measurements of different benches."""
    path = folder / PLAN
    if fresh and path.exists():
        for each in folder.iterdir():
            shutil.rmtree(each) if each.is_dir() else each.unlink()
    if path.exists():
        try:
            then = Plan.model_validate_json(path.read_text(encoding="utf-8"))
        except ValidationError:
            then = None
        if then != plan:
            raise RunError(
                f"{folder}: holds measurements of another bench, or of other versions · give "
                "another --json, or --fresh to measure again"
            )
        return
    if any(folder.iterdir()):
        raise RunError(f"{folder}: is not the folder of a bench · give another --json")
    files.write_text(path, [plan.model_dump_json()])


def _samples(settings: BenchSettings, info: CheckpointInfo) -> Samples:
    """Choose what is asked: the same samples each time."""
    chosen = select(
        suite="demo",
        tasks=settings.tasks,
        styles="demo",
        data=benchmark(),
        fit_hint=info.hints.fit,
    )
    facts: dict[str, TaskFacts] = {}
    limit = -(-settings.n // len(chosen.tasks))
    made = make_trials(chosen, seed=0, limit=limit, ids=(), facts=facts)
    trials = [trial for trial in made if trial.request is not None]
    return Samples(trials, {choice.spec.name: choice.source.images for choice in chosen.tasks})


def _prepare(
    folder: Path, settings: BenchSettings, samples: Samples, info: CheckpointInfo, console: Console
) -> Bench:
    """Write the requests that all ways are asked."""
    trials, images = samples
    # Past the end of the benchmark the same samples are asked again.
    repeat = max(1, -(-settings.n // len(trials)))
    n = len(trials) * repeat
    wanted = {"vipbench": None, "official": settings.n_official, "usual": settings.n_usual}
    places = choose(n, {way: wanted[way] or n for way in settings.ways})
    enlarged = None if settings.image_width is None else folder / "images"
    base = Job(
        name="",
        kind="run",
        requests=folder / "requests.jsonl",
        images={task: enlarged / task for task in images} if enlarged else images,
        repeat=repeat,
        model=None if settings.model is None else info.path,
        random=settings.random,
        device=settings.device,
        dtype=settings.dtype,
        one_limit=settings.new_tokens == "open",
    )
    n_cores = os.cpu_count() or 1
    started = Bench(
        folder,
        settings,
        base,
        n=n,
        places=places,
        threads=(1, 2) if n_cores > 1 else (1,),
        workers=min(n_cores, WORKERS),
        console=console,
    )
    if base.requests.exists():
        return started
    lengths: list[int] | list[None] = [None] * len(trials)
    if settings.new_tokens is not None:
        first = [place % len(trials) for place in min(places.values(), key=len)]
        lengths = answer_lengths(len(trials), first, settings.new_tokens)
    change = functools.partial(_changed, started, images)
    draft = base.model_copy(update={"requests": folder / "draft.jsonl"})
    files.write_lines(draft.requests, map(change, trials, lengths))
    if settings.prompt_tokens is not None:
        changes = {"name": "lengthen", "kind": "lengthen", "prompt_tokens": settings.prompt_tokens}
        _do(started, draft.model_copy(update=changes))
    draft.requests.replace(base.requests)
    return started


def _changed(started: Bench, images: Mapping[str, Path], trial: Trial, length: int | None) -> Trial:
    """Give a request its longest answer and its larger image, where that is asked for."""
    request, width = trial.request, started.settings.image_width
    if request is None:
        return trial
    if length is not None:
        request = request.model_copy(update={"max_new_tokens": length})
    if width is not None:
        task = request.task
        request = enlarge(request, images[task], started.base.images[task], width)
    return trial.model_copy(update={"request": request})


def _job(started: Bench, name: str, **changes: object) -> Job:
    return started.base.model_copy(update={"name": name, **changes})


def _tune(started: Bench) -> dict[WayName, tuple[Speed, ...]]:
    """Try threads and batch sizes of each way on a part; the best one comes first."""
    found: dict[WayName, tuple[Speed, ...]] = {}
    for way in started.settings.ways:
        wanted = started.settings.n_tune
        job = _job(
            started,
            f"tune-{way}",
            kind="tune",
            way=way,
            threads=started.threads,
            workers=started.workers if way == "vipbench" else 1,
            batch_sizes=USUAL_BATCH_SIZES if way == "usual" else (),
            places=spread(started.n, min(wanted, N_TUNE_OFFICIAL) if way == "official" else wanted),
        )
        speeds = _do(started, job).speeds
        if not speeds:
            raise RunError(
                f"bench {job.name}: out of memory with every batch size · use a 16-bit --dtype, or "
                "leave the way out of --ways"
            )
        found[way] = tuple(sorted(speeds, key=lambda speed: -speed.samples_per_s))
    return found


def _measure(started: Bench, best: Mapping[WayName, Sequence[Speed]]) -> dict[WayName, list[Round]]:
    """Ask every way its samples, one way after another, round after round."""
    rounds: dict[WayName, list[Round]] = {way: [] for way in started.settings.ways}
    for number, way in itertools.product(range(1, started.settings.rounds + 1), rounds):
        chosen = best[way][0]
        parts = slices(started.places[way], started.settings.n_process)
        outcomes = []
        for i, places in enumerate(parts, 1):
            staged = spread(len(places), STAGED_ON[way]) if number == i == 1 else ()
            job = _job(
                started,
                f"round-{number}-{way}" + (f"-{i}" if len(parts) > 1 else ""),
                way=way,
                threads=(chosen.threads,),
                workers=chosen.workers,
                batch_sizes=() if chosen.batch_size is None else (chosen.batch_size,),
                places=places,
                stage_places=tuple(places[place] for place in staged),
            )
            outcomes.append(_do(started, job))
        rounds[way].append(_round(started, parts, outcomes))
    return rounds


def _round(started: Bench, parts: Sequence[Sequence[int]], outcomes: list[Outcome]) -> Round:
    """Put together what the processes of a round found."""
    shape = outcomes[0].shape
    answers = [answer for outcome in outcomes for answer in outcome.answers]
    places = [place for part in parts for place in part]
    if shape is None or len(answers) != len(places):
        raise RunError(f"{started.folder}: holds a broken measurement · give --fresh")
    works = add([count(shape, each.n_prompt, each.n_passes) for each in answers])
    return Round(outcomes, dict(zip(places, answers, strict=True)), works)


def _do(started: Bench, job: Job) -> Outcome:
    """Do a job, unless it is done already."""
    path = started.folder / f"{job.name}.json"
    if path.exists():
        started.console.say(f"{job.name}: measured before")
        return Outcome.model_validate_json(path.read_text(encoding="utf-8"))
    started.console.say(f"{job.name} ...")
    job_path = started.folder / f"{job.name}.job"
    files.write_text(job_path, [job.model_dump_json()])
    code, said = _start(job_path, path)
    if code != 0:
        lines = " | ".join(said.strip().splitlines()[-KEPT_LINES:])
        why = f"signal {-code}" if code < 0 else f"exit {code}"
        raise RunError(
            f"bench {job.name}: failed ({why}): {lines or 'without a word'} · the same "
            "command goes on from there"
        )
    return Outcome.model_validate_json(path.read_text(encoding="utf-8"))


def _start(job: Path, result: Path) -> tuple[int, str]:
    """Do the job of a file in a process of its own; return its exit code and what it said."""
    # The number of threads is set by the process itself.
    dropped = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
    environment = {name: value for name, value in os.environ.items() if name not in dropped}
    # Threads that spin while they wait are many times slower where another process is at work.
    environment |= {"OMP_WAIT_POLICY": "PASSIVE", "TRANSFORMERS_VERBOSITY": "error"}
    command = [sys.executable, "-m", "vipbench.bench.ways", str(job), str(result)]
    done = subprocess.run(  # noqa: S603 (this interpreter, and a module of this package)
        [*command, repr(time.time())],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    return done.returncode, done.stdout
