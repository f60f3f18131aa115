"""One measurement in a process of its own: `python -m vipbench.bench.ways JOB RESULT STARTED`.

The ways answer the same requests about the same fitted images. *vipbench* is the runner and the
loop of `vipbench run`; *official* asks one request at a time, in one loop, as the published scripts
do; *usual* asks batches padded on the left, as evaluation harnesses do. These two are plain
transformers. *unshared* is *vipbench* that reads every prompt by itself, *peer* a server that has
the same model.
"""

import contextlib
import gc
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch

from vipbench import files
from vipbench.bench.clocks import Log, NoClock, device_mib, wait
from vipbench.bench.floor import Prompt, add, count, count_once
from vipbench.bench.machine import load_average
from vipbench.bench.models import load_prompts, read_model_config
from vipbench.bench.records import Answered, Job, JobKind, Outcome, Speed, WayName
from vipbench.bench.requests import lengthen
from vipbench.bench.stages import Stages, measure_stages
from vipbench.bench.way import Choice, Way, open_requests, part
from vipbench.bench.way_peer import Server
from vipbench.bench.way_transformers import Transformers
from vipbench.bench.way_vipbench import Vipbench
from vipbench.environment import peak_memory_mib
from vipbench.errors import VipbenchError
from vipbench.images.load import digest_pixels, load_pixels
from vipbench.runfolder import trials_file
from vipbench.runfolder.trials_file import Trials
from vipbench.runners.device import find_device, find_placement
from vipbench.runners.vipllava.model_sizes import sizes_of

_PEAK_SECONDS = 2.0
"""How long the matrix product is repeated, at each number of threads."""
_TRIES = 3
"""How often `tune` tries each choice."""
_TUNE_SECONDS = 60.0
"""After which no choice is tried once more, so that slow models are tuned in minutes."""
_N_WARM = 8
"""Samples that each process answers before it is timed."""


def measure(job: Job, scratch: Path) -> Outcome:
    """Do a job in this process; `scratch` is a folder for the answers that a way writes.

    Raises:
        VipbenchError: the model cannot be loaded, or does not answer.
    """
    return _JOBS[job.kind](job, find_device(job.device), scratch)


def _lengthen(job: Job, device: torch.device, scratch: Path) -> Outcome:
    """Write the requests again, their prompts lengthened."""
    prompts = load_prompts(job.model, job.random)
    lengthened = [
        trial.model_copy(
            update={"request": lengthen(trial.request, prompts.encode, job.prompt_tokens)}
        )
        for trial in trials_file.open_trials(job.requests)
        if trial.request is not None
    ]
    files.write_lines(job.requests, lengthened)
    return Outcome()


def _count(job: Job, device: torch.device, scratch: Path) -> Outcome:
    """Count what the prompts need, each by itself, and where nothing is computed twice."""
    prompts = load_prompts(job.model, job.random)
    config = read_model_config(job.model, job.random)
    sizes, token = sizes_of(config), config.image_token_id
    asked = []
    for trial in trials_file.open_trials(job.requests):
        if trial.request is None:
            continue
        ids = prompts.encode(trial.request)
        pixels = load_pixels(trial.request, job.images[trial.task], sizes.image_size)
        asked.append(Prompt(ids, digest_pixels(pixels), ids.index(token)))
    alone = add([count(sizes, len(prompt.ids), 0) for prompt in asked])
    return Outcome(n=len(asked), alone=alone, once=count_once(sizes, asked))


def _measure_peak(job: Job, device: torch.device, scratch: Path) -> Outcome:
    """Measure operations a second of a large matrix product, by threads: the best of many."""
    dtype = find_placement(job.device, job.dtype).torch_dtype()
    side = 8192 if device.type == "cuda" else 1024
    # Random, since a GPU is faster with numbers that are all alike than with any that occur.
    drawn = torch.Generator(device).manual_seed(0)
    a, b = torch.randn(2, side, side, device=device, dtype=dtype, generator=drawn).unbind()
    peak = {}
    with torch.inference_mode():
        for n in job.threads:
            torch.set_num_threads(n)
            best, end = float("inf"), time.perf_counter() + _PEAK_SECONDS
            while time.perf_counter() < end:
                begun = time.perf_counter()
                torch.mm(a, b)
                wait(device)
                best = min(best, time.perf_counter() - begun)
            peak[n] = 2 * side**3 / best
    return Outcome(peak=peak)


def _tune(job: Job, device: torch.device, scratch: Path) -> Outcome:
    """Try all choices of a way, several times; the best of each counts."""
    requests = open_requests(job.requests, job.repeat)
    trials = part(requests, job.places or range(len(requests)))
    way = _load(job, device)
    choices = way.choices()
    best: dict[Choice, float] = {}

    def answer(trials: Trials, choice: Choice) -> float:
        """Return the samples a second."""
        way.start(choice)
        log = Log(device, scratch / "answers.jsonl", len(trials))
        way.answer(trials, log, NoClock(device))
        return len(trials) / log.seconds()

    with contextlib.closing(way):
        way.start(choices[0])
        way.warm_up(_warming(trials), scratch / "warm.jsonl")
        for choice in choices:
            if choice.workers > 1:
                answer(trials, choice)  # all of them, so that each process has a batch
        begun = time.perf_counter()
        # In turn, so that whatever else the machine does for a while slows all of them down.
        for i, choice in enumerate(choices * _TRIES):
            if i % len(choices) == 0 and time.perf_counter() - begun > _TUNE_SECONDS:
                break
            with contextlib.suppress(torch.OutOfMemoryError):  # that size is out of the question
                best[choice] = max(best.get(choice, 0.0), answer(trials, choice))
            if device.type == "cuda":
                torch.cuda.empty_cache()  # what one size leaves does not slow the next one down
    return Outcome(
        speeds=tuple(Speed(**choice._asdict(), samples_per_s=best[choice]) for choice in best),
        messages=tuple(way.messages),
    )


def _run(job: Job, device: torch.device, scratch: Path) -> Outcome:
    """Answer the requests as a way has chosen to, once; then part of them with a clock."""
    requests = open_requests(job.requests, job.repeat)
    trials = part(requests, job.places or range(len(requests)))
    begun = time.perf_counter()
    way = _load(job, device)
    batch_size = job.batch_sizes[0] if job.batch_sizes else None
    with contextlib.closing(way):
        way.start(Choice(job.threads[0], job.workers, batch_size))
        way.warm_up(_warming(trials), scratch / "warm.jsonl")
        # A sweep of all that was loaded would hit one way or another, wherever it happened to fall.
        gc.collect()
        gc.freeze()
        wait(device)
        seconds_to_load = time.perf_counter() - begun
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        log = Log(device, scratch / "answers.jsonl", len(trials))
        way.answer(trials, log, NoClock(device))
        seconds = log.seconds()
    # Now that they have ended, the memory of worker processes counts; answers read again do not.
    memory_mib, tensors_mib, load = peak_memory_mib(), device_mib(device), load_average()
    answers = _in_order(log.order, way.read(log.path))
    stages = Stages({}, 0.0)
    if job.stage_places:
        staged = part(requests, job.stage_places)
        stages = measure_stages(way, staged, device, scratch / "stages.jsonl")
    return Outcome(
        seconds_to_load=seconds_to_load,
        seconds=seconds,
        answers=answers,
        memory_mib=memory_mib,
        device_mib=tensors_mib,
        stages=stages.seconds,
        n_staged=len(job.stage_places),
        seconds_staged=stages.total,
        shape=sizes_of(way.config),
        device=str(device),
        device_name=torch.cuda.get_device_name(device) if device.type == "cuda" else "",
        dtype=way.dtype,
        forgets=way.forgets,
        attention=way.attention(),
        load_average=load,
        **log.fields(),
    )


def _warming(trials: Trials) -> Trials:
    """Return the trials that are answered before time counts."""
    return part(trials, range(min(_N_WARM, len(trials))))


def _load(job: Job, device: torch.device) -> Way:
    """Load the model of a job for its way."""
    if device.type == "cuda":
        # As for a checkpoint that vipbench loads: with 10 bits of mantissa it is not float32.
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
    torch.set_num_threads(job.threads[0])
    return _WAYS[job.way](job)


def _in_order(order: Sequence[int], answers: Sequence[Answered]) -> tuple[Answered, ...]:
    """Return answers in the order of the requests; `order`: which request each answers."""
    by_index = dict(zip(order, answers, strict=True))
    return tuple(by_index[i] for i in range(len(by_index)))


_JOBS: Mapping[JobKind, Callable[[Job, torch.device, Path], Outcome]] = {
    "lengthen": _lengthen,
    "count": _count,
    "peak": _measure_peak,
    "tune": _tune,
    "run": _run,
}
_WAYS: Mapping[WayName, Callable[[Job], Way]] = {
    "vipbench": Vipbench,
    "unshared": Vipbench,
    "official": Transformers,
    "usual": Transformers,
    "peer": Server,
}


def main(arguments: Sequence[str]) -> int:
    """Do the job of a file; the third argument is when the process was started, in s since 1970."""
    job_path, result, started = Path(arguments[0]), Path(arguments[1]), float(arguments[2])
    seconds_to_start = time.time() - started
    try:
        job = Job.model_validate_json(job_path.read_text(encoding="utf-8"))
        with tempfile.TemporaryDirectory(dir=result.parent) as scratch:
            outcome = measure(job, Path(scratch))
        outcome = outcome.model_copy(update={"seconds_to_start": seconds_to_start})
        files.write_text(result, [outcome.model_dump_json()])
    except VipbenchError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
