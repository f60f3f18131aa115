"""One measurement in a process of its own: `python -m vipbench.bench.ways JOB RESULT`.

Three ways answer the same requests about the same fitted images. *vipbench* is the runner and the
loop of `vipbench run`; *official* asks one request at a time, in one loop, as the published scripts
do; *usual* asks batches padded on the left, as evaluation harnesses do. The latter two are plain
transformers.
"""

import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from vipbench import files
from vipbench.bench.clocks import Clock, Log, _device_mib, wait
from vipbench.bench.models import attention_kernel, load_prompts
from vipbench.bench.records import Answered, Job, Outcome, Speed
from vipbench.bench.requests import lengthen
from vipbench.bench.way_transformers import Transformers, _requests
from vipbench.bench.way_vipbench import Vipbench
from vipbench.environment import peak_memory_mib
from vipbench.errors import VipbenchError
from vipbench.images.decode import open_image, safe_path
from vipbench.images.draw import draw_mark
from vipbench.images.fit import fit
from vipbench.images.load import digest_pixels
from vipbench.runfolder import trials_file
from vipbench.runfolder.trials_file import Trials
from vipbench.runners.checkpoints.loading import inference
from vipbench.runners.checkpoints.shape import shape_of
from vipbench.runners.device import find_device, find_dtype
from vipbench.schema import Response
from vipbench.scoring import scorers

_PEAK_SECONDS = 2.0
"""How long the matrix product is repeated, at each number of threads."""
_TRIES = 3
"""So often `tune` tries each choice."""
_TUNE_SECONDS = 60.0
"""Above that no choice is tried once more, so that slow models are tuned in minutes."""


# --- jobs


def measure(job: Job, scratch: Path, seconds_to_start: float = 0.0) -> Outcome:
    """Do a job in this process; `scratch` is a folder for the answers that a way writes.

    Raises:
        VipbenchError: the model cannot be loaded, or does not answer.
    """
    place = find_device(job.device)
    if job.kind == "lengthen":
        _lengthen(job)
        return Outcome()
    if job.kind == "peak":
        return Outcome(peak=_measure_peak(job, place))
    if place.type == "cuda":
        # As for a checkpoint that vipbench loads: float32 with 10 bits of mantissa is none.
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
    once = trials_file.open_trials(job.requests)
    whole = Trials(once.path, [*once.entries] * job.repeat)
    trials = _part(whole, job.places or range(len(whole)))
    begun = time.perf_counter()
    torch.set_num_threads(job.threads[0])
    way = Vipbench(job) if job.way == "vipbench" else Transformers(job)
    if isinstance(way, Vipbench) and job.workers > 1 and job.kind == "run":
        way.start(job.workers)
    wait(place)
    seconds_to_load = time.perf_counter() - begun
    if job.kind == "tune":
        return Outcome(speeds=tuple(_tune(job, way, trials, place, scratch)))
    batch_size = job.batch_sizes[0] if job.batch_sizes else None
    if place.type == "cuda":
        torch.cuda.reset_peak_memory_stats(place)
    log = Log(place, scratch / "answers.jsonl", len(trials))
    by_others = isinstance(way, Vipbench) and way.by_workers
    try:
        way.answer(trials, batch_size, log)
        wait(place)
        seconds = time.perf_counter() - log.begun
    finally:
        way.close()
    memory_mib, device_mib = peak_memory_mib(), _device_mib(place)
    answers = dict(zip(log.order, way.read(log.path), strict=True))
    outcome = Outcome(
        seconds_to_start=seconds_to_start,
        seconds_to_load=seconds_to_load,
        seconds=seconds,
        seconds_first=log.seconds_first,
        n_first=log.n_first,
        answers=tuple(answers[i] for i in range(len(trials))),
        n_padded=log.n_padded,
        batch_size=log.batch_size,
        seconds_busy=None if by_others else log.seconds_busy,
        seconds_waited=None if by_others else log.seconds_waited,
        memory_mib=memory_mib,
        memory_mib_first=log.memory_mib_first,
        memory_course=tuple(log.memory_course),
        device_mib=device_mib,
        device_mib_first=log.device_mib_first,
        device_course=tuple(log.device_course),
        shape=shape_of(way.model.config),
        device=str(place),
        device_name=torch.cuda.get_device_name(place) if place.type == "cuda" else "",
        dtype=str(way.model.dtype).removeprefix("torch."),
        attention=_attention(way, batch_size),
        load_average=os.getloadavg() if hasattr(os, "getloadavg") else None,
    )
    if not job.stage_places:
        return outcome
    stages, taken = _measure_stages(job, way, _part(whole, job.stage_places), place, scratch)
    staged = {"stages": stages, "n_staged": len(job.stage_places), "seconds_staged": taken}
    return outcome.model_copy(update=staged)


def _part(trials: Trials, places: Sequence[int]) -> Trials:
    return Trials(trials.path, [trials.entries[i] for i in places])


def _attention(way: Vipbench | Transformers, batch_size: int | None) -> str:
    """Name the kernel for the attention of a prompt, in the circumstances of a way."""
    if isinstance(way, Vipbench):
        with inference(way.model):
            return attention_kernel(way.model, masked=False)
    # Where prompts of several lengths are padded on the left, a mask tells.
    return attention_kernel(way.model, masked=(batch_size or 1) > 1)


def _tune(
    job: Job, way: Vipbench | Transformers, part: Trials, place: torch.device, scratch: Path
) -> Iterator[Speed]:
    """Try numbers of threads and batch sizes, several times; the best of each counts."""
    path = scratch / "answers.jsonl"

    def answer(part: Trials, batch_size: int | None) -> float:
        log = Log(place, path, len(part))
        way.answer(part, batch_size, log)
        wait(place)
        return time.perf_counter() - log.begun

    answer(_part(part, range(min(8, len(part)))), 8)  # warm
    tries = [(n, 1, size) for n in job.threads for size in (job.batch_sizes or (None,))]
    best: dict[tuple[int, int, int | None], float] = {}
    with contextlib.closing(way):
        if isinstance(way, Vipbench) and job.workers > 1 and place.type == "cpu":
            tries.append((1, job.workers, None))
            way.start(job.workers)
            answer(part, None)  # warm
        begun = time.perf_counter()
        # In turn, so that what else the machine does for a while harms all of them.
        for i, (n, workers, size) in enumerate(tries * _TRIES):
            if i % len(tries) == 0 and time.perf_counter() - begun > _TUNE_SECONDS:
                break
            torch.set_num_threads(n)
            if isinstance(way, Vipbench):
                way.by_workers = workers > 1
            with contextlib.suppress(torch.OutOfMemoryError):  # that size is none
                speed = len(part) / answer(part, size)
                best[n, workers, size] = max(best.get((n, workers, size), 0.0), speed)
            if place.type == "cuda":
                torch.cuda.empty_cache()  # no size is harmed by what another one left
    for (n, workers, size), speed in best.items():
        yield Speed(threads=n, workers=workers, batch_size=size, samples_per_s=speed)


def _measure_stages(
    job: Job, way: Vipbench | Transformers, trials: Trials, place: torch.device, scratch: Path
) -> tuple[dict[str, float], float]:
    """Ask once more with a clock on everything, and prepare the images once more by hand.

    Returns the seconds of each stage, and those from the first request to the last answer.
    """
    clock = Clock(place)
    clock.watch(way.model)
    log = Log(place, scratch / "stages.jsonl", len(trials))
    batch_size = job.batch_sizes[0] if job.batch_sizes else None
    try:
        way.answer(trials, batch_size, log, clock)
    finally:
        clock.unwatch()
    whole = time.perf_counter() - log.begun
    stages = dict(clock.seconds)
    inside = ("vision", "prefill", "decode", "vocabulary")
    generate = stages.pop("generate")
    stages["around the model"] = generate - sum(stages.get(name, 0.0) for name in inside)
    apart = sum(stages.get(name, 0.0) for name in ("read", "load", "normalise", "write"))
    if job.way == "vipbench":
        stages["wait"] = log.seconds_waited
        stages["loop"] = whole - generate - apart - log.seconds_waited
        stages |= {f"ahead: {name}": taken for name, taken in _prepare(job, way, trials).items()}
        stages["afterwards: score"] = _score(trials, log.order, way.read(log.path))
    else:
        stages["loop"] = whole - generate - apart
    pixels = torch.zeros(len(trials), _side(way), _side(way), 3, dtype=torch.uint8)
    begun = time.perf_counter()
    pixels.to(place)
    wait(place)
    stages["copy, apart"] = time.perf_counter() - begun
    return stages, whole


def _side(way: Vipbench | Transformers) -> int:
    """Return the side of the square that a way's model sees, in px."""
    return way.runner.image_size if isinstance(way, Vipbench) else way.plain.image_size


def _prepare(job: Job, way: Vipbench | Transformers, trials: Trials) -> dict[str, float]:
    """Time each step from request to pixels on one thread; the loop does them ahead."""
    clock = Clock(torch.device("cpu"))
    for i in range(len(trials)):
        with clock.time("read"):
            (request,) = _requests(trials, [i])
        with clock.time("decode"):
            image = open_image(safe_path(job.images[request.task], request.image))[0]
        with clock.time("draw"):
            for prompt in request.visual_prompts:
                draw_mark(image, prompt)
        with clock.time("fit"):
            pixels = fit(image, request.fit, _side(way))
        with clock.time("digest"):
            digest_pixels(pixels)
    return clock.seconds


def _score(trials: Trials, order: Sequence[int], answers: Sequence[Answered]) -> float:
    begun = time.perf_counter()
    for i, answer in zip(order, answers, strict=True):
        (trial,) = trials.read([i])
        scorers.score_line(trial, Response(text=answer.text or "", n_new_tokens=answer.n_new))
    return time.perf_counter() - begun


def _measure_peak(job: Job, place: torch.device) -> dict[int, float]:
    """Return operations a second of a large matrix product, by threads: the best of many."""
    dtype = find_dtype(job.dtype, place)
    side = 8192 if place.type == "cuda" else 1024
    # Random, since a GPU is faster with numbers that are all alike than with any that occur.
    drawn = torch.Generator(place).manual_seed(0)
    a, b = torch.randn(2, side, side, device=place, dtype=dtype, generator=drawn).unbind()
    peak = {}
    with torch.inference_mode():
        for n in job.threads:
            torch.set_num_threads(n)
            best, end = float("inf"), time.perf_counter() + _PEAK_SECONDS
            while time.perf_counter() < end:
                begun = time.perf_counter()
                torch.mm(a, b)
                wait(place)
                best = min(best, time.perf_counter() - begun)
            peak[n] = 2 * side**3 / best
    return peak


def _lengthen(job: Job) -> None:
    """Write the requests again, their prompts lengthened."""
    prompts = load_prompts(job.model, job.random)
    changed = [
        trial.model_copy(
            update={"request": lengthen(trial.request, prompts.encode, job.prompt_tokens)}
        )
        for trial in trials_file.open_trials(job.requests)
        if trial.request is not None
    ]
    files.write_lines(job.requests, changed)


def main(arguments: Sequence[str]) -> int:
    """Do the job of a file; the third argument is when the process was started, in s since 1970."""
    job_path, result, started = Path(arguments[0]), Path(arguments[1]), float(arguments[2])
    try:
        job = Job.model_validate_json(job_path.read_text(encoding="utf-8"))
        with tempfile.TemporaryDirectory(dir=result.parent) as scratch:
            outcome = measure(job, Path(scratch), time.time() - started)
        files.write_text(result, [outcome.model_dump_json()])
    except VipbenchError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
