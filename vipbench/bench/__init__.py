"""How fast a machine answers: vipbench beside the two ways that are common.

Each measurement is a process of its own, with its own threads and its own peak of memory. Finished
ones are kept beside the report until that is written, so that a bench which was stopped goes on.
"""

import datetime
import functools
import itertools
import os
import platform
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import Field, ValidationError

from vipbench.runfolder import folder as store
from vipbench.bench.floor import Work, add, count
from vipbench.bench.records import WAYS, Answered, Job, Outcome, RandomSize, Speed, WayName
from vipbench.bench.requests import NewTokens, answer_lengths, choose, enlarge, slices, spread
from vipbench.demo import CHECKPOINT, benchmark
from vipbench.errors import RunError, RunInterrupted, RunnerError
from vipbench.runfolder.manifest import versions
from vipbench.runners.checkpoints.checkpoint import CheckpointInfo, check_checkpoint
from vipbench.runners.device import check_names
from vipbench.schema import Record, Trial
from vipbench.trials.make import TaskFacts, make_trials, select

N = 500
"""Samples without `--n`: with them a bench of the embedded checkpoint takes three or four minutes
on two cores."""
ROUNDS = 3
USUAL_BATCH_SIZES = (8, 16, 32, 64)
"""That the usual way may choose from."""
N_TUNE = 128
"""Samples on which a way chooses its threads and batch size."""
N_TUNE_OFFICIAL = 48
"""The same of the official way, which has no batch to fill."""
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
    n_official: int | None = Field(default=None, ge=1)
    """Of them, those that the official way is asked; None: all."""
    n_usual: int | None = Field(default=None, ge=1)
    """The same of the usual way."""
    ways: tuple[WayName, ...] = Field(default=WAYS, min_length=1)
    tasks: tuple[str, ...] = ()
    """Of the demo suite; empty: all."""
    prompt_tokens: int | None = Field(default=None, ge=1)
    """Length that every prompt is brought to."""
    new_tokens: Annotated[int, Field(ge=1)] | Literal["open"] | None = None
    """Longest answer; `open`: each its own, as long as answers to open questions are; None: what
    each task says."""
    image_width: int | None = Field(default=None, ge=1)
    """Of the images before they are fitted, px; None: as they are."""
    rounds: int = Field(default=ROUNDS, ge=1)
    n_tune: int = Field(default=N_TUNE, ge=1)
    """Samples on which threads and batch sizes are tried; of the official way 48 at most."""
    n_process: int | None = Field(default=None, ge=1)
    """Samples that one process answers; the next one goes on. None: all."""


class WayReport(Record):
    """How one way did, in the round whose time is the median (of two, the better)."""

    threads: int
    """Of each process."""
    workers: int
    """Processes that answer at a time."""
    processes: int
    """Processes that answered one after another, the time of each counted from its first request to
    its last answer."""
    batch_size: int
    """Requests of the largest batch."""
    attention: str
    """Kernel that torch takes for the attention of a prompt."""
    n: int
    """Samples that it was asked."""
    samples_per_s: float
    """From the first request to the last answer."""
    samples_per_s_rounds: tuple[float, ...]
    samples_per_s_steady: float | None
    """Without the first batch; None where there is no other."""
    prompt_tokens_per_s: float
    """Image tokens among them."""
    new_tokens_per_s: float
    """End tokens among them."""
    new_tokens: float
    """Of an answer, on average."""
    padding_waste: float
    """Share of the prompts' tokens that is padding, 0-1."""
    mfu: float
    """Needed arithmetic over what the device could have done meanwhile, 0-1."""
    busy_share: float | None
    """Share of the time in which the model had a batch, 0-1; None: not seen, since processes of
    their own answered."""
    wait_share: float
    """Share in which it waited for data, 0-1; writing is neither. Where processes of their own
    answered, that of the samples whose stages are measured, in one process."""
    seconds_to_start: float
    """Until torch and transformers are loaded."""
    seconds_to_load: float
    """The model."""
    memory_mib: float
    """Largest resident memory of the process."""
    memory_mib_first: float
    """The same after the first batch."""
    memory_course: tuple[float, ...]
    """Resident memory after the first batch and after each tenth of the samples, MiB: of the
    process that grew most. Empty where the system does not tell."""
    device_mib: float | None
    """Largest memory of tensors on the device; None on a CPU."""
    device_mib_first: float | None
    """The same after the first batch."""
    device_course: tuple[float, ...]
    """What torch holds of the device's memory, at the times of `memory_course`."""
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

    ratio_official: float | None
    """Samples/s of vipbench over those of the official way; None where one was not measured."""
    ratio_usual: float | None
    answers_equal: bool | None
    """All ways gave the same text for every sample that all were asked, in every round; None where
    only one was measured."""
    agreement: dict[WayName, int]
    """Samples that another way answered as vipbench did, of `n_compared`."""
    n_compared: int
    """Samples that all ways were asked."""
    n: int
    tasks: dict[str, int]
    """Samples of each."""
    model: str
    prompt_tokens: int | None
    new_tokens: NewTokens | None
    image_width: int | None
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


class _Round(NamedTuple):
    """One measurement of a way, by one process or by several in turn."""

    parts: list[Outcome]
    answers: dict[int, Answered]
    """Place of the sample -> what came of it."""
    works: Work
    """What all answers together need."""

    @property
    def seconds(self) -> float:
        """From the first request to the last answer."""
        return sum(part.seconds for part in self.parts)


class _Bench(NamedTuple):
    """A bench under way."""

    folder: Path
    settings: BenchSettings
    base: Job
    """What all jobs share."""
    n: int
    places: dict[WayName, tuple[int, ...]]
    """Of the samples that each way is asked."""
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
    started = _Bench(
        folder,
        settings,
        base,
        n=n,
        places=places,
        threads=(1, 2) if n_cores > 1 else (1,),
        workers=min(n_cores, WORKERS),
        say=say,
    )
    if base.requests.exists():
        return started
    lengths: list[int] | list[None] = [None] * len(trials)
    if settings.new_tokens is not None:
        first = [place % len(trials) for place in min(places.values(), key=len)]
        lengths = answer_lengths(len(trials), first, settings.new_tokens)
    change = functools.partial(_changed, started, images)
    draft = base.model_copy(update={"requests": folder / "draft.jsonl"})
    store.write_lines(draft.requests, map(change, trials, lengths))
    if settings.prompt_tokens is not None:
        changes = {"name": "lengthen", "kind": "lengthen", "prompt_tokens": settings.prompt_tokens}
        _do(started, draft.model_copy(update=changes))
    draft.requests.replace(base.requests)
    return started


def _changed(
    started: _Bench, images: Mapping[str, Path], trial: Trial, length: int | None
) -> Trial:
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


def _job(started: _Bench, name: str, **changes: object) -> Job:
    return started.base.model_copy(update={"name": name, **changes})


def _tune(started: _Bench) -> dict[WayName, tuple[Speed, ...]]:
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


def _measure(
    started: _Bench, best: Mapping[WayName, Sequence[Speed]]
) -> dict[WayName, list[_Round]]:
    """Ask every way its samples, one way after another, round after round."""
    rounds: dict[WayName, list[_Round]] = {way: [] for way in started.settings.ways}
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


def _round(started: _Bench, parts: Sequence[Sequence[int]], outcomes: list[Outcome]) -> _Round:
    """Put together what the processes of a round found."""
    shape = outcomes[0].shape
    answers = [answer for outcome in outcomes for answer in outcome.answers]
    places = [place for part in parts for place in part]
    if shape is None or len(answers) != len(places):
        raise RunError(f"{started.folder}: holds a broken measurement · give --fresh")
    works = add([count(shape, each.n_prompt, each.n_passes) for each in answers])
    return _Round(outcomes, dict(zip(places, answers, strict=True)), works)


def _do(started: _Bench, job: Job) -> Outcome:
    """Do a job, unless it is done already."""
    path = started.folder / f"{job.name}.json"
    if path.exists():
        started.say(f"{job.name}: measured before")
        return Outcome.model_validate_json(path.read_text(encoding="utf-8"))
    started.say(f"{job.name} ...")
    job_path = started.folder / f"{job.name}.job"
    store.write_text(job_path, [job.model_dump_json()])
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


# --- the report


def _report(
    started: _Bench,
    info: CheckpointInfo,
    tried: Mapping[WayName, tuple[Speed, ...]],
    rounds: Mapping[WayName, list[_Round]],
    peak: Mapping[int, float],
    load_average: tuple[float, float, float] | None,
) -> BenchReport:
    settings = started.settings
    peak_threads = max(peak, key=lambda n: peak[n])
    ways = {way: _way(rounds[way], tried[way], peak[peak_threads]) for way in rounds}
    first = next(iter(rounds.values()))[0]
    works, n = first.works, len(first.answers)
    common = min((each[0].answers for each in rounds.values()), key=len)
    texts = {
        way: [[each.answers[place].text for place in common] for each in rounds[way]]
        for way in rounds
    }
    all_texts = [each for way in texts for each in texts[way]]
    speeds = {way: found.samples_per_s for way, found in ways.items()}
    trials = store.read_lines(started.base.requests, Trial)
    return BenchReport(
        ratio_official=_ratio(speeds, "official"),
        ratio_usual=_ratio(speeds, "usual"),
        answers_equal=None
        if len(ways) == 1
        else None not in all_texts[0] and all(each == all_texts[0] for each in all_texts),
        agreement={
            way: sum(a == b for a, b in zip(texts["vipbench"][0], texts[way][0], strict=True))
            for way in texts
            if way != "vipbench" and "vipbench" in texts
        },
        n_compared=len(common),
        n=started.n,
        tasks=dict(Counter(trial.task for trial in trials for _ in range(started.base.repeat))),
        model=info.name if settings.random is None else f"random {settings.random}",
        prompt_tokens=settings.prompt_tokens,
        new_tokens=settings.new_tokens,
        image_width=settings.image_width,
        ways=ways,
        floor=Floor(
            operations=Work(
                vision=works.vision // n, prefill=works.prefill // n, decode=works.decode // n
            ),
            peak=peak[peak_threads],
            peak_threads=peak_threads,
            samples_per_s=n / (works.total / peak[peak_threads]),
        ),
        device=f"{first.parts[0].device} {first.parts[0].device_name}".strip(),
        dtype=first.parts[0].dtype,
        machine=_machine(),
        n_cores=os.cpu_count() or 1,
        rounds=settings.rounds,
        versions=versions(),
        load_average=load_average,
        finished=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    )


def _ratio(speeds: Mapping[WayName, float], way: WayName) -> float | None:
    if way not in speeds or "vipbench" not in speeds:
        return None
    return speeds["vipbench"] / speeds[way]


def _way(rounds: Sequence[_Round], tried: tuple[Speed, ...], peak: float) -> WayReport:
    by_time = sorted(rounds, key=lambda each: each.seconds)
    median = by_time[(len(by_time) - 1) // 2]
    parts, seconds, n = median.parts, median.seconds, len(median.answers)
    n_prompt = sum(answer.n_prompt for answer in median.answers.values())
    n_new = sum(answer.n_new for answer in median.answers.values())
    later = n - sum(part.n_first for part in parts)
    staged = next(part for each in rounds for part in each.parts if part.stages)
    grown = max(parts, key=_growth)
    busy = _sum(part.seconds_busy for part in parts)
    waited = _sum(part.seconds_waited for part in parts)
    return WayReport(
        threads=tried[0].threads,
        workers=tried[0].workers,
        processes=len(parts),
        batch_size=max(part.batch_size for part in parts),
        attention=parts[0].attention,
        n=n,
        samples_per_s=n / seconds,
        samples_per_s_rounds=tuple(n / each.seconds for each in rounds),
        samples_per_s_steady=later / (seconds - sum(part.seconds_first for part in parts))
        if later
        else None,
        prompt_tokens_per_s=n_prompt / seconds,
        new_tokens_per_s=n_new / seconds,
        new_tokens=n_new / n,
        padding_waste=1 - n_prompt / sum(part.n_padded for part in parts),
        mfu=median.works.total / peak / seconds,
        busy_share=None if busy is None else busy / seconds,
        wait_share=staged.stages.get("wait", 0.0) / staged.seconds_staged
        if waited is None
        else waited / seconds,
        seconds_to_start=parts[0].seconds_to_start,
        seconds_to_load=parts[0].seconds_to_load,
        memory_mib=max(part.memory_mib for each in rounds for part in each.parts),
        memory_mib_first=grown.memory_mib_first,
        memory_course=grown.memory_course,
        device_mib=grown.device_mib,
        device_mib_first=grown.device_mib_first,
        device_course=grown.device_course,
        stages={name: 1000 * taken / staged.n_staged for name, taken in staged.stages.items()},
        tried=tried,
        load_average=parts[-1].load_average,
    )


def _growth(part: Outcome) -> float:
    """Tell by how much a process grew, MiB."""
    course = part.memory_course
    return course[-1] - course[0] if course else part.memory_mib - part.memory_mib_first


def _sum(values: Iterable[float | None]) -> float | None:
    """Sum up; None where one is not known."""
    found = list(values)
    return None if None in found else sum(value for value in found if value is not None)


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
