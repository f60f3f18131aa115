"""How fast a machine answers: vipbench beside the two ways that are common.

Each measurement is a process of its own, with its own threads and its own peak of memory. Finished
ones are kept beside the report until that is written, so that a bench which was stopped goes on.
"""

import datetime
import itertools
import os
import platform
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from pydantic import Field, ValidationError

from vipbench import store
from vipbench.bench.floor import Work, add, count
from vipbench.bench.records import WAYS, Answered, Job, Outcome, RandomSize, Speed, WayName
from vipbench.demo import CHECKPOINT, benchmark
from vipbench.errors import RunError, RunInterrupted, RunnerError
from vipbench.manifest import versions
from vipbench.runners.checkpoint import CheckpointInfo, check_checkpoint
from vipbench.runners.device import check_names
from vipbench.schema import Record, Trial
from vipbench.trials import TaskFacts, make_trials, select

N = 500
"""Samples without `--n`: with them a bench of the embedded checkpoint takes three or four minutes
on two cores."""
ROUNDS = 3
USUAL_BATCH_SIZES = (8, 16, 32, 64)
"""That the usual way may choose from."""
TUNED_ON = {"vipbench": 128, "official": 48, "usual": 128}
"""Samples on which each way chooses its threads and batch size."""
STAGED_ON = {"vipbench": 128, "official": 32, "usual": 128}
"""Samples on which the clock is around every stage."""
WORKERS = 2
"""Processes that vipbench may choose on a CPU: no more cores than the others may use."""
PLAN = "plan.json"
KEPT_LINES = 3
"""Last lines of a failed process that are told."""

Say = Callable[[str], None]


class BenchSettings(Record):
    """What to measure."""

    model: str | None = None
    """Checkpoint folder or hub id; None: the embedded one."""
    random: RandomSize | None = None
    """A random-weight model of this size, in its place."""
    device: str | None = None
    dtype: str | None = None
    n: int = Field(default=N, ge=1)
    """Samples in all, rounded up to equal numbers of each task."""
    tasks: tuple[str, ...] = ()
    """Of the demo suite; empty: all."""
    prompt_tokens: int | None = Field(default=None, ge=1)
    """Length that every prompt is brought to."""
    new_tokens: int | None = Field(default=None, ge=1)
    """Longest answer; None: what each task says."""
    rounds: int = Field(default=ROUNDS, ge=1)


class WayReport(Record):
    """How one way did, in the round whose time is the median (of two, the better)."""

    threads: int
    """Of each process."""
    workers: int
    """Processes that answer."""
    batch_size: int
    samples_per_s: float
    """From the first request to the last answer."""
    samples_per_s_rounds: tuple[float, ...]
    samples_per_s_steady: float | None
    """Without the first batch; None where there is no other."""
    prompt_tokens_per_s: float
    """Image tokens among them."""
    new_tokens_per_s: float
    """End tokens among them."""
    padding_waste: float
    """Share of the prompts' tokens that is padding, 0-1."""
    mfu: float
    """Needed arithmetic over what the device could have done meanwhile, 0-1."""
    seconds_to_start: float
    """Until torch and transformers are loaded."""
    seconds_to_load: float
    """The model."""
    memory_mib: float
    """Largest resident memory of the process."""
    memory_mib_first: float
    """The same after the first batch."""
    device_mib: float | None
    """Largest memory that torch held on the device; None on a CPU."""
    stages: dict[str, float]
    """Milliseconds a sample, measured apart with a clock around each stage."""
    tried: tuple[Speed, ...]
    """Threads and batch sizes on a part of the samples."""
    load_average: tuple[float, float, float] | None
    """At the end of the round."""


class Floor(Record):
    """What the arithmetic alone would take."""

    operations: Work
    """A sample, on average."""
    peak: float
    """Operations a second of a large matrix product on this device in this dtype, measured."""
    peak_threads: int
    samples_per_s: float
    """At that peak."""


class BenchReport(Record):
    """The JSON file of a bench."""

    ratio_official: float
    """Samples/s of vipbench over those of the official way."""
    ratio_usual: float
    answers_equal: bool
    """All three ways gave the same text for every sample, in every round."""
    agreement: dict[WayName, int]
    """Samples that another way answered as vipbench did, of `n`."""
    n: int
    tasks: dict[str, int]
    """Samples of each."""
    model: str
    prompt_tokens: int | None
    new_tokens: int | None
    ways: dict[WayName, WayReport]
    floor: Floor
    device: str
    dtype: str
    machine: str
    """Model of the CPU."""
    n_cores: int
    rounds: int
    versions: dict[str, str]
    load_average: tuple[float, float, float] | None
    """Before the first measurement since the last start."""
    finished: str


class Plan(Record):
    """What finished measurements belong to."""

    settings: BenchSettings
    versions: dict[str, str]
    weights: str


class _Samples(NamedTuple):
    trials: list[Trial]
    images: dict[str, Path]
    """Task -> root of its images."""


class _Bench(NamedTuple):
    """A bench under way."""

    folder: Path
    settings: BenchSettings
    base: Job
    """What all jobs share."""
    n: int
    threads: tuple[int, ...]
    workers: int
    """Single-threaded processes that vipbench may choose."""
    say: Say


def bench(
    settings: BenchSettings, path: Path, *, fresh: bool = False, say: Say = lambda message: None
) -> BenchReport:
    """Measure the three ways and write the report, or go on with a bench that was stopped.

    Args:
        settings: what to measure.
        path: of the report; finished measurements wait in a folder beside it, `<path>.parts`.
        fresh: measure all of it again.
        say: takes what is done just now.

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
    with store.locked(folder):
        _claim(folder, Plan(settings=settings, versions=versions(), weights=info.weights), fresh)
        started = _prepare(folder, settings, samples, info, say)
        try:
            best = _tune(started)
            rounds = _measure(started, best)
            peak = _do(started, _job(started, "peak", kind="peak", threads=started.threads)).peak
        except KeyboardInterrupt:
            raise RunInterrupted(
                f"{path}: interrupted; what is measured is kept: give the same command to go on"
            ) from None
        report = _report(started, info, best, rounds, peak, load_average)
        store.write_text(path, [report.model_dump_json(indent=2), "\n"])
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
    store.write_text(path, [plan.model_dump_json()])


def _samples(settings: BenchSettings, info: CheckpointInfo) -> _Samples:
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
    return _Samples(trials, {choice.spec.name: choice.source.images for choice in chosen.tasks})


def _prepare(
    folder: Path, settings: BenchSettings, samples: _Samples, info: CheckpointInfo, say: Say
) -> _Bench:
    """Write the requests that all ways are asked."""
    trials, images = samples
    # Past the end of the benchmark the same samples are asked again.
    repeat = max(1, -(-settings.n // len(trials)))
    base = Job(
        name="",
        kind="run",
        requests=folder / "requests.jsonl",
        images=images,
        repeat=repeat,
        model=None if settings.model is None else info.path,
        random=settings.random,
        device=settings.device,
        dtype=settings.dtype,
        prompt_tokens=settings.prompt_tokens,
        new_tokens=settings.new_tokens,
    )
    n_cores = os.cpu_count() or 1
    started = _Bench(
        folder,
        settings,
        base,
        n=len(trials) * repeat,
        threads=(1, 2) if n_cores > 1 else (1,),
        workers=min(n_cores, WORKERS),
        say=say,
    )
    if not base.requests.exists():
        draft = base.model_copy(update={"requests": folder / "draft.jsonl"})
        store.write_lines(draft.requests, trials)
        if settings.prompt_tokens is not None or settings.new_tokens is not None:
            _do(started, draft.model_copy(update={"name": "lengthen", "kind": "pad"}))
        draft.requests.replace(base.requests)
    return started


def _job(started: _Bench, name: str, **changes: object) -> Job:
    return started.base.model_copy(update={"name": name, **changes})


def _tune(started: _Bench) -> dict[WayName, tuple[Speed, ...]]:
    """Try threads and batch sizes of each way on a part; the best one comes first."""
    found: dict[WayName, tuple[Speed, ...]] = {}
    for way in WAYS:
        job = _job(
            started,
            f"tune-{way}",
            kind="tune",
            way=way,
            threads=started.threads,
            workers=started.workers if way == "vipbench" else 1,
            batch_sizes=USUAL_BATCH_SIZES if way == "usual" else (),
            places=_spread(started.n, TUNED_ON[way]),
        )
        speeds = _do(started, job).speeds
        found[way] = tuple(sorted(speeds, key=lambda speed: -speed.samples_per_s))
    return found


def _measure(
    started: _Bench, best: Mapping[WayName, Sequence[Speed]]
) -> dict[WayName, list[Outcome]]:
    """Ask every sample in every way, one way after another, round after round."""
    rounds: dict[WayName, list[Outcome]] = {way: [] for way in WAYS}
    for number, way in itertools.product(range(1, started.settings.rounds + 1), WAYS):
        chosen = best[way][0]
        job = _job(
            started,
            f"round-{number}-{way}",
            way=way,
            threads=(chosen.threads,),
            workers=chosen.workers,
            batch_sizes=() if chosen.batch_size is None else (chosen.batch_size,),
            stage_places=_spread(started.n, STAGED_ON[way]) if number == 1 else (),
        )
        rounds[way].append(_do(started, job))
    return rounds


def _spread(n: int, wanted: int) -> tuple[int, ...]:
    """Return `wanted` places of `n`, evenly spread over all tasks."""
    wanted = min(n, wanted)
    return tuple(i * n // wanted for i in range(wanted))


def _do(started: _Bench, job: Job) -> Outcome:
    """Do a job in a process of its own, unless it is done already."""
    path = started.folder / f"{job.name}.json"
    if path.exists():
        started.say(f"{job.name}: measured before")
        return Outcome.model_validate_json(path.read_text(encoding="utf-8"))
    started.say(f"{job.name} ...")
    job_path = started.folder / f"{job.name}.job"
    store.write_text(job_path, [job.model_dump_json()])
    # The number of threads is set by the process itself.
    dropped = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
    environment = {name: value for name, value in os.environ.items() if name not in dropped}
    # Threads that spin while they wait are many times slower where another process is at work.
    environment |= {"OMP_WAIT_POLICY": "PASSIVE", "TRANSFORMERS_VERBOSITY": "error"}
    command = [sys.executable, "-m", "vipbench.bench.ways", str(job_path), str(path)]
    done = subprocess.run(  # noqa: S603 (this interpreter, and a module of this package)
        [*command, repr(time.time())],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode != 0:
        lines = " | ".join(done.stdout.strip().splitlines()[-KEPT_LINES:])
        why = f"signal {-done.returncode}" if done.returncode < 0 else f"exit {done.returncode}"
        raise RunError(
            f"bench {job.name}: failed ({why}): {lines or 'without a word'} · the same "
            "command goes on from there"
        )
    return Outcome.model_validate_json(path.read_text(encoding="utf-8"))


# --- the report


def _report(
    started: _Bench,
    info: CheckpointInfo,
    tried: Mapping[WayName, tuple[Speed, ...]],
    rounds: Mapping[WayName, list[Outcome]],
    peak: Mapping[int, float],
    load_average: tuple[float, float, float] | None,
) -> BenchReport:
    settings = started.settings
    first = rounds["vipbench"][0]
    if first.shape is None:
        raise RunError(f"{started.folder}: holds a broken measurement · give --fresh")
    peak_threads = max(peak, key=lambda n: peak[n])
    shape = first.shape
    works = add([count(shape, each.n_prompt, max(each.n_passes, 0)) for each in first.answers])
    ways = {way: _way(rounds[way], tried[way], works.total / peak[peak_threads]) for way in WAYS}
    texts = {way: [_texts(each.answers) for each in rounds[way]] for way in WAYS}
    ours = texts["vipbench"][0]
    agreement = {
        way: sum(a == b for a, b in zip(ours, texts[way][0], strict=True)) for way in WAYS[1:]
    }
    n = started.n
    trials = store.read_lines(started.base.requests, Trial)
    speed = ways["vipbench"].samples_per_s
    return BenchReport(
        ratio_official=speed / ways["official"].samples_per_s,
        ratio_usual=speed / ways["usual"].samples_per_s,
        answers_equal=None not in ours and all(each == ours for way in WAYS for each in texts[way]),
        agreement=agreement,
        n=n,
        tasks=dict(Counter(trial.task for trial in trials for _ in range(started.base.repeat))),
        model=info.name if settings.random is None else f"random {settings.random}",
        prompt_tokens=settings.prompt_tokens,
        new_tokens=settings.new_tokens,
        ways=ways,
        floor=Floor(
            operations=Work(
                vision=works.vision // n, prefill=works.prefill // n, decode=works.decode // n
            ),
            peak=peak[peak_threads],
            peak_threads=peak_threads,
            samples_per_s=n / (works.total / peak[peak_threads]),
        ),
        device=f"{first.device} {first.device_name}".strip(),
        dtype=first.dtype,
        machine=_machine(),
        n_cores=os.cpu_count() or 1,
        rounds=settings.rounds,
        versions=versions(),
        load_average=load_average,
        finished=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    )


def _texts(answers: Sequence[Answered]) -> list[str | None]:
    return [answer.text for answer in answers]


def _way(rounds: Sequence[Outcome], tried: tuple[Speed, ...], floor_seconds: float) -> WayReport:
    by_time = sorted(rounds, key=lambda outcome: outcome.seconds)
    median = by_time[(len(by_time) - 1) // 2]
    n = len(median.answers)
    n_prompt = sum(answer.n_prompt for answer in median.answers)
    n_new = sum(answer.n_new for answer in median.answers)
    later = n - median.n_first
    staged = next(outcome for outcome in rounds if outcome.stages)
    return WayReport(
        threads=tried[0].threads,
        workers=tried[0].workers,
        batch_size=median.batch_size or 1,
        samples_per_s=n / median.seconds,
        samples_per_s_rounds=tuple(n / outcome.seconds for outcome in rounds),
        samples_per_s_steady=later / (median.seconds - median.seconds_first) if later else None,
        prompt_tokens_per_s=n_prompt / median.seconds,
        new_tokens_per_s=n_new / median.seconds,
        padding_waste=1 - n_prompt / median.n_padded,
        mfu=floor_seconds / median.seconds,
        seconds_to_start=median.seconds_to_start,
        seconds_to_load=median.seconds_to_load,
        memory_mib=max(outcome.memory_mib for outcome in rounds),
        memory_mib_first=median.memory_mib_first,
        device_mib=median.device_mib,
        stages={name: 1000 * taken / staged.n_staged for name, taken in staged.stages.items()},
        tried=tried,
        load_average=median.load_average,
    )


def _machine() -> str:
    """Name the CPU, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def _load_average() -> tuple[float, float, float] | None:
    return os.getloadavg() if hasattr(os, "getloadavg") else None
