"""The course of a bench: requests, tuning, rounds, report; every measurement in its own process.

Finished measurements are kept beside the report until that is written, so that a bench that was
stopped resumes with them.
"""

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
from vipbench.bench.machine import load_average
from vipbench.bench.mix import (
    HEADLINE,
    MIX_TASKS,
    MIXES,
    about_one_picture,
    check_mix,
    whole_images,
)
from vipbench.bench.peer import find_peer
from vipbench.bench.records import OURS, Job, Outcome, Speed, WayName
from vipbench.bench.report import BenchReport, Measured, make_report
from vipbench.bench.requests import answer_lengths, choose, enlarge, slices, spread
from vipbench.bench.session import Plan, Round, Samples, Session
from vipbench.bench.settings import (
    N_TUNE_OFFICIAL,
    PEER_CONCURRENCIES,
    STAGED_ON,
    USUAL_BATCH_SIZES,
    BenchSettings,
)
from vipbench.console import QUIET, Console
from vipbench.demo.embedded import CHECKPOINT, benchmark
from vipbench.environment import versions
from vipbench.errors import RunError, RunInterrupted, RunnerError, first_mistake
from vipbench.runners.checkpoints.checkpoint import CheckpointInfo, check_checkpoint
from vipbench.runners.device import check_names
from vipbench.runners.spec import ONE_IMAGE
from vipbench.schema import ImageRoots, Trial
from vipbench.trials.make import make_trials
from vipbench.trials.selection import select

PLAN = "plan.json"
_BATCH_SIZES: Mapping[WayName, tuple[int, ...]] = {
    "usual": USUAL_BATCH_SIZES,
    "peer": PEER_CONCURRENCIES,
}
"""What a way may choose from; others decide by themselves."""
KEPT_LINES = 3
"""Last lines of a failed process that its error message holds."""


def bench(
    settings: BenchSettings, path: Path, *, fresh: bool = False, console: Console = QUIET
) -> BenchReport:
    """Measure the three ways and write the report, or resume a bench that was stopped.

    Args:
        settings: what to measure.
        path: of the report; finished measurements are kept in a folder beside it, `<path>.parts`.
        fresh: measure all of it again.
        console: takes what is being measured.

    Raises:
        RunInterrupted: Ctrl-C; the same command resumes.
        VipbenchError: settings or model cannot be used, a measurement failed, or the disk is full.
    """
    check_names(settings.device, settings.dtype)
    _check(settings)
    peer = find_peer(settings)
    load_before = load_average()
    info = check_checkpoint(
        settings.model or CHECKPOINT, settings.base, settings.adapter, settings.quantize
    )
    samples = _samples(settings, info)
    folder = path.with_name(f"{path.name}.parts")
    with files.locked(folder):
        _claim(folder, Plan(settings=settings, versions=versions(), weights=info.weights), fresh)
        console.say(_prompt_format(info))
        session = _prepare(folder, settings, samples, info, console)
        session = session._replace(base=session.base.model_copy(update={"peer": peer}))
        try:
            _write_requests(session, samples)
            speeds = _tune(session)
            rounds = _measure(session, speeds)
            peak = _do(session, _job(session, "peak", kind="peak", threads=session.threads)).peak
            counted = (
                _do(session, _job(session, "count", kind="count")) if settings.shares else None
            )
        except KeyboardInterrupt:
            raise RunInterrupted(
                f"{path}: interrupted · finished measurements are kept · give the same command to "
                "resume"
            ) from None
        report = make_report(session, info, Measured(speeds, rounds, peak, counted), load_before)
        files.write_text(path, [report.model_dump_json(indent=2), "\n"])
        shutil.rmtree(folder)
    return report


def _check(settings: BenchSettings) -> None:
    """Refuse options that do not go together; RunnerError."""
    if settings.model is not None and settings.random is not None:
        raise RunnerError(
            f"--random {settings.random}: is a model itself · leave out --model {settings.model}"
        )
    for option, value in (
        ("base", settings.base),
        ("adapter", settings.adapter),
        ("quantize", settings.quantize),
    ):
        if settings.model is None and value is not None:
            raise RunnerError(f"--{option} {value}: is for a checkpoint · give --model too")
    if settings.mix is not None and settings.questions is not None:
        raise RunnerError(
            f"--questions {settings.questions} with --mix: cannot be combined · leave out one"
        )
    if settings.peer is not None and settings.random is not None:
        raise RunnerError(
            f"--peer with --random {settings.random}: no server has that model · give --model too, "
            "or neither"
        )
    if settings.peer is None and ("peer" in settings.ways or settings.peer_model):
        raise RunnerError("way peer: has no address · give --peer URL")


def _prompt_format(info: CheckpointInfo) -> str:
    """Say in which prompt format all ways ask, and who says so."""
    asked = info.hints.prompt_format is not None
    source = info.hints_from if asked else "default of runner vipllava"
    return f"prompt format {info.format_for(None)} ({source})"


def _claim(folder: Path, plan: Plan, fresh: bool) -> None:
    """Refuse to mix measurements of different benches."""
    path = folder / PLAN
    if fresh and path.exists():
        for entry in folder.iterdir():
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    if path.exists():
        try:
            previous = Plan.model_validate_json(path.read_text(encoding="utf-8"))
        except ValidationError:
            previous = None
        if previous != plan:
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
    styles = (HEADLINE,) if settings.mix is None else MIXES[settings.mix]
    chosen = select(
        suite="demo",
        tasks=settings.tasks or (MIX_TASKS if settings.shares else ()),
        styles=",".join(styles),
        data=benchmark(),
        fit_hint=info.hints.fit,
    )
    if settings.mix is not None:
        asked = {each.spec.name: [style.name for style in each.styles] for each in chosen.tasks}
        check_mix(settings.mix, asked)
    limit = None if settings.mix is not None else -(-settings.n // len(chosen.tasks))
    if limit is not None and settings.questions is not None:
        limit = -(-limit // settings.questions) * settings.questions
    made, facts = make_trials(chosen, list, seed=0, limit=limit)
    for task, found in facts.items():
        if found.n_several:
            raise RunnerError(
                f"{task}: {found.n_several:,} questions show several images · runner vipllava, "
                f"whose model all ways ask, takes {ONE_IMAGE} · measure tasks about one image"
            )
    trials = [trial for trial in made if trial.request is not None]
    if settings.questions is not None:
        trials = about_one_picture(trials, settings.questions)
    if settings.shares and settings.n > len(trials):
        raise RunnerError(
            f"--n {settings.n}: there are {len(trials):,} different questions, and the same one "
            "twice would be computed once · give a smaller --n"
        )
    if settings.mix is not None:
        trials = whole_images(trials, settings.n)
    return Samples(trials, chosen.images)


def _prepare(
    folder: Path, settings: BenchSettings, samples: Samples, info: CheckpointInfo, console: Console
) -> Session:
    """Settle which samples each way is asked, and what it may choose on this machine."""
    # Past the end of the benchmark the same samples are asked again.
    repeat = max(1, -(-settings.n // len(samples.trials)))
    n = len(samples.trials) * repeat
    wanted = {"official": settings.n_official, "usual": settings.n_usual}
    together = settings.questions or (1 if settings.mix is None else len(MIXES[settings.mix]))
    images = samples.images
    if settings.image_width is not None:
        images = {task: _enlarged(folder, task) for task in images}
    base = Job(
        name="",
        kind="run",
        requests=folder / "requests.jsonl",
        images=images,
        repeat=repeat,
        model=None if settings.model is None else info.path,
        adapter=settings.adapter,
        quantize=settings.quantize,
        random=settings.random,
        device=settings.device,
        dtype=settings.dtype,
        one_limit=settings.new_tokens == "open",
    )
    n_cores = os.cpu_count() or 1
    return Session(
        folder,
        settings,
        base,
        n=n,
        together=together,
        indices=choose(n, {way: wanted.get(way) or n for way in settings.asked_ways}, together),
        threads=(1, 2) if n_cores > 1 else (1,),
        workers=min(n_cores, settings.workers),
        console=console,
    )


def _write_requests(session: Session, samples: Samples) -> None:
    """Write the requests that all ways are asked, unless they are there."""
    settings, base = session.settings, session.base
    if base.requests.exists():
        return
    trials, n = samples.trials, len(samples.trials)
    lengths: list[int] | list[None] = [None] * n
    if settings.new_tokens is not None:
        first = [index % n for index in min(session.indices.values(), key=len)]
        lengths = answer_lengths(n, first, settings.new_tokens)
    change = functools.partial(_changed, session, samples.images)
    draft = base.model_copy(update={"requests": session.folder / "draft.jsonl"})
    files.write_lines(draft.requests, map(change, trials, lengths))
    if settings.prompt_tokens is not None:
        changes = {"name": "lengthen", "kind": "lengthen", "prompt_tokens": settings.prompt_tokens}
        _do(session, draft.model_copy(update=changes))
    draft.requests.replace(base.requests)


def _enlarged(folder: Path, task: str) -> Path:
    """Return the folder of a bench's own, larger images of a task."""
    return folder / "images" / task


def _changed(
    session: Session, images: Mapping[str, ImageRoots], trial: Trial, length: int | None
) -> Trial:
    """Give a request its longest answer and its larger image, where the settings say so."""
    request, width = trial.request, session.settings.image_width
    if request is None:
        return trial
    if length is not None:
        request = request.model_copy(update={"max_new_tokens": length})
    if width is not None:
        task = request.task
        request = enlarge(request, images[task], _enlarged(session.folder, task), width)
    return trial.model_copy(update={"request": request})


def _job(session: Session, name: str, **changes: object) -> Job:
    return session.base.model_copy(update={"name": name, **changes})


def _tune(session: Session) -> dict[WayName, tuple[Speed, ...]]:
    """Try threads and batch sizes of each way on a part; the best one comes first."""
    speeds: dict[WayName, tuple[Speed, ...]] = {}
    for way in session.settings.asked_ways:
        n = session.settings.n_tune
        if way == "official":
            n = min(n, N_TUNE_OFFICIAL)
        job = _job(
            session,
            f"tune-{way}",
            kind="tune",
            way=way,
            threads=session.threads,
            workers=session.workers if way in OURS else 1,
            batch_sizes=_BATCH_SIZES.get(way, ()),
            places=spread(session.n, n, session.together),
        )
        tuned = _do(session, job)
        tried = tuned.speeds
        for message in tuned.messages:
            session.console.say(message)
        if not tried:
            raise RunError(
                f"bench {job.name}: out of memory with every batch size · use a 16-bit --dtype, or "
                "leave the way out of --ways"
            )
        speeds[way] = tuple(sorted(tried, key=lambda speed: -speed.samples_per_s))
    return speeds


def _measure(
    session: Session, speeds: Mapping[WayName, Sequence[Speed]]
) -> dict[WayName, list[Round]]:
    """Ask every way its samples, one way after another, round after round."""
    rounds: dict[WayName, list[Round]] = {way: [] for way in session.settings.asked_ways}
    for number, way in itertools.product(range(1, session.settings.rounds + 1), rounds):
        best = speeds[way][0]
        parts = slices(session.indices[way], session.settings.n_process, session.together)
        outcomes = []
        for i, indices in enumerate(parts, 1):
            staged = _staged(session, way, len(indices)) if number == i == 1 else ()
            job = _job(
                session,
                f"round-{number}-{way}" + (f"-{i}" if len(parts) > 1 else ""),
                way=way,
                threads=(best.threads,),
                workers=best.workers,
                batch_sizes=() if best.batch_size is None else (best.batch_size,),
                places=indices,
                stage_places=tuple(indices[k] for k in staged),
            )
            outcomes.append(_do(session, job))
        rounds[way].append(_round(session, parts, outcomes))
    return rounds


def _staged(session: Session, way: WayName, n: int) -> tuple[int, ...]:
    """Choose which of `n` samples are asked once more with a clock; none of a server."""
    return spread(n, STAGED_ON[way], session.together) if way in STAGED_ON else ()


def _round(session: Session, parts: Sequence[Sequence[int]], outcomes: list[Outcome]) -> Round:
    """Put together what the processes of a round measured."""
    shape = outcomes[0].shape
    answers = [answer for outcome in outcomes for answer in outcome.answers]
    indices = [index for part in parts for index in part]
    if shape is None or len(answers) != len(indices):
        raise RunError(f"{session.folder}: holds a broken measurement · give --fresh")
    works = add([count(shape, answer.n_prompt, answer.n_passes) for answer in answers])
    return Round(outcomes, dict(zip(indices, answers, strict=True)), works)


def _do(session: Session, job: Job) -> Outcome:
    """Do a job, unless it is done already."""
    path = session.folder / f"{job.name}.json"
    if path.exists():
        session.console.say(f"{job.name}: measured before")
        return _outcome(path)
    session.console.say(f"{job.name} ...")
    job_path = session.folder / f"{job.name}.job"
    files.write_text(job_path, [job.model_dump_json()])
    code, output = _start(job_path, path)
    if code != 0:
        lines = " | ".join(output.strip().splitlines()[-KEPT_LINES:])
        why = f"signal {-code}" if code < 0 else f"exit {code}"
        raise RunError(
            f"bench {job.name}: failed ({why}): {lines or 'no output'} · repeat the command to "
            "resume from there"
        )
    return _outcome(path)


def _outcome(path: Path) -> Outcome:
    """Read a measurement; RunError where it is broken."""
    try:
        return Outcome.model_validate_json(path.read_text(encoding="utf-8"))
    except ValidationError as error:
        raise RunError(f"{path}: {first_mistake(error)} · give --fresh to measure again") from error


def _start(job: Path, result: Path) -> tuple[int, str]:
    """Do the job of a file in a process of its own; return its exit code and its output."""
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
