"""One measurement in a process of its own: `python -m vipbench.bench.ways JOB RESULT`.

Three ways answer the same requests about the same fitted images. *vipbench* is the runner and the
loop of `vipbench run`; *official* asks one request at a time, in one loop, as the published scripts
do; *usual* asks batches padded on the left, as evaluation harnesses do. The latter two are plain
transformers.
"""

import contextlib
import logging
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vipbench.scoring import scorers
from vipbench.runfolder import folder as store
from vipbench.bench.models import (
    Plain,
    attention_kernel,
    load_plain,
    load_prompts,
    load_runner,
)
from vipbench.bench.records import Answered, Job, Outcome, Speed
from vipbench.bench.requests import lengthen
from vipbench.data.locate import open_image, safe_path
from vipbench.images.draw import draw_mark
from vipbench.engine.batches import answer_batches
from vipbench.errors import VipbenchError
from vipbench.images.fit import fit
from vipbench.images.load import digest_pixels, load_image
from vipbench.engine.loaders import count_ahead, count_loaders
from vipbench.runfolder.manifest import peak_memory_mib
from vipbench.runfolder.plan import BatchLimit, plan_batches
from vipbench.runners.device import find_device, find_dtype
from vipbench.runners.checkpoints.loading import inference
from vipbench.runners.checkpoints.shape import shape_of
from vipbench.runners.checkpoints.sizing import find_budget
from vipbench.runners.vipllava.runner import VipLlavaRunner
from vipbench.schema import Request, Response
from vipbench.runfolder.folder import ResponseLine, Trials
from vipbench.engine.workers import Workers

MIB = 1 << 20
_PEAK_SECONDS = 2.0
"""How long the matrix product is repeated, at each number of threads."""
_TRIES = 3
"""So often `tune` tries each choice."""
_TUNE_SECONDS = 60.0
"""Above that no choice is tried once more, so that slow models are tuned in minutes."""
_COURSE = 10
"""Parts of a measurement after which memory is looked at."""


@dataclass
class _Log:
    """What a way has done so far; the answers themselves are on the disk."""

    place: torch.device
    path: Path
    """Takes an answer a line."""
    n: int
    """Requests in all."""
    order: list[int] = field(default_factory=list)
    """Places of the requests whose answers are written, in the order of the lines."""
    n_padded: int = 0
    batch_size: int = 0
    begun: float = field(default_factory=time.perf_counter)
    seconds_first: float = 0.0
    n_first: int = 0
    seconds_busy: float = 0.0
    """In which the model had a batch."""
    seconds_waited: float = 0.0
    """In which it waited for one, the answers of the last one being written."""
    memory_mib_first: float = 0.0
    memory_course: list[float] = field(default_factory=list)
    device_mib_first: float | None = None
    device_course: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._since = self.begun
        self._n_looks = 0

    @contextlib.contextmanager
    def busy(self) -> Iterator[None]:
        """Count the time of the block as the model's, and that before it as waited."""
        begun = time.perf_counter()
        self.seconds_waited += begun - self._since
        yield
        self.seconds_busy += time.perf_counter() - begun

    def add(self, places: Sequence[int], n_prompts: Sequence[int]) -> None:
        """Note a batch whose answers are written: places, and tokens of the prompts."""
        self.order += places
        self.n_padded += len(places) * max(n_prompts)
        self.batch_size = max(self.batch_size, len(places))
        if not self.n_first:
            self.seconds_first = time.perf_counter() - self.begun
            self.n_first = len(places)
            self.memory_mib_first = peak_memory_mib()
            self.device_mib_first = _device_mib(self.place)
        if len(self.order) * _COURSE >= self.n * self._n_looks:
            self._look_at_memory()
        self._since = time.perf_counter()

    def _look_at_memory(self) -> None:
        self._n_looks += 1
        resident = _resident_mib()
        if resident is not None:
            self.memory_course.append(resident)
        if self.place.type == "cuda":
            self.device_course.append(torch.cuda.memory_reserved(self.place) / MIB)


_log = logging.getLogger(__name__)


class _Clock:
    """Seconds by stage. Where the device works by itself, waiting for it is part of the stage."""

    def __init__(self, place: torch.device) -> None:
        self.place = place
        self.seconds: dict[str, float] = {}
        self._begun: list[float] = []
        self._handles: list[Any] = []

    @contextlib.contextmanager
    def time(self, stage: str) -> Iterator[None]:
        """Add the time that the block takes to a stage."""
        self._start()
        try:
            yield
        finally:
            self._stop(stage)

    def watch(self, model: Any) -> None:
        """Time the parts of a VipLlava whenever they are called, until `unwatch`."""
        inner = model.model
        for module in (inner.vision_tower, inner.multi_modal_projector):
            self._hook(module, lambda inputs: "vision")
        self._hook(inner.language_model, _language_stage)
        # Only told apart from the rest: after the prompt it takes a share that is hardly seen.
        self._hook(model.lm_head, lambda inputs: "vocabulary")

    def unwatch(self) -> None:
        """Take the clock off the model again."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def _hook(self, module: Any, stage: Callable[[Mapping[str, Any]], str]) -> None:
        def before(module: Any, args: Any, kwargs: Any) -> None:
            self._start()

        def after(module: Any, args: Any, kwargs: Any, output: Any) -> None:
            self._stop(stage(kwargs))

        self._handles += [
            module.register_forward_pre_hook(before, with_kwargs=True),
            module.register_forward_hook(after, with_kwargs=True),
        ]

    def _start(self) -> None:
        _wait(self.place)
        self._begun.append(time.perf_counter())

    def _stop(self, stage: str) -> None:
        _wait(self.place)
        taken = time.perf_counter() - self._begun.pop()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + taken


def _language_stage(inputs: Mapping[str, Any]) -> str:
    """Tell by the width of the input whether the language model reads a prompt or goes on."""
    given = inputs.get("inputs_embeds")
    given = inputs["input_ids"] if given is None else given
    return "decode" if given.shape[1] == 1 else "prefill"


class _WatchedRunner:
    """A runner of which is seen when it has a batch."""

    def __init__(self, runner: VipLlavaRunner, log: _Log, clock: _Clock) -> None:
        self._runner, self._log, self._clock = runner, log, clock
        self.image_size: int | None = runner.image_size
        self.patch_size = runner.patch_size

    def generate(self, requests: Sequence[Request], images: Sequence[np.ndarray]) -> list[Response]:
        """Answer as the runner does."""
        with self._clock.time("generate"), self._log.busy():
            return self._runner.generate(requests, images)


class _Vipbench:
    """The runner and the loop of `vipbench run`."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.runner = load_runner(
            job.model, job.random, job.dtype, device=job.device, threads=job.threads[0]
        )
        self.model: Any = self.runner.model
        place = self.model.device
        self._budget = find_budget(self.model.config, self.model.dtype, place)
        if place.type != "cpu":
            self._budget = self.runner.try_budget(self._budget)
        # Counted once, before anything is asked, as a run does.
        counted = store.open_trials(job.requests, lambda each: len(self.runner.encode(each)))
        self._lengths = {entry.offset: entry.length for entry in counted.entries}
        self._workers: Workers | None = None
        self.by_workers = False
        """Answer with the processes that were started, not with this one."""

    def start(self, n: int) -> None:
        """Let worker processes answer from now on, until `close`."""
        build = partial(load_runner, self.job.model, self.job.random, self.job.dtype)
        self._workers = Workers(
            build, "vipbench", [self.job.device] * n, self.job.images, _log.info
        )
        self._workers.load()
        self.by_workers = True

    def close(self) -> None:
        """End the worker processes; from now on this one answers."""
        if self._workers is not None:
            self._workers.__exit__(None, None, None)
            self._workers = None
            self.by_workers = False

    def answer(
        self, trials: Trials, batch_size: int | None, log: _Log, clock: _Clock | None = None
    ) -> None:
        """Answer all trials."""
        clock = clock or _NoClock(log.place)
        plan = self._plan(trials)

        def write(lines: list[ResponseLine]) -> None:
            with clock.time("write"):
                store.append_responses(log.path, lines)
            log.add(plan[lines[0].batch], [line.n_prompt_tokens for line in lines])

        if self.by_workers and self._workers is not None:
            self._workers.answer(trials, plan, range(len(plan)), write)
            return
        n_loaders = count_loaders("auto", str(log.place), 1)
        answer_batches(
            _WatchedRunner(self.runner, log, clock),
            "vipbench",
            trials,
            plan,
            range(len(plan)),
            self.job.images,
            write,
            ahead=count_ahead(n_loaders, str(log.place)),
            n_loaders=n_loaders,
        )

    def _plan(self, trials: Trials) -> list[tuple[int, ...]]:
        """Cut the requests into batches as `vipbench run` does; it knows no answer's length."""
        # The same sample asked again is another one here.
        samples = [(entry.name.task, entry.name.id, i) for i, entry in enumerate(trials.entries)]
        lengths = [self._lengths[entry.offset] for entry in trials.entries]
        limit = BatchLimit(tokens=max(self._budget, *lengths))
        return plan_batches(lengths, limit, samples)

    def read(self, path: Path) -> list[Answered]:
        """Read the answers that were written, in the order of the lines."""
        return [_told(line) for line in store.read_lines(path, ResponseLine)]


class _Transformers:
    """`generate` on prompts padded on the left; with batches of one, the official way."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.plain: Plain = load_plain(job.model, job.random, job.device, job.dtype)
        self.model: Any = self.plain.model
        config: Any = self.plain.model.generation_config
        ends = config.eos_token_id
        self._ends = {ends} if isinstance(ends, int) else set(ends or ())
        self._pad = config.pad_token_id if config.pad_token_id is not None else min(self._ends)

    def close(self) -> None:
        """Nothing is left to end."""

    def answer(
        self, trials: Trials, batch_size: int | None, log: _Log, clock: _Clock | None = None
    ) -> None:
        """Answer all trials; batches hold requests of similar length and one limit."""
        clock = clock or _NoClock(log.place)
        with log.path.open("a", encoding="utf-8") as file:
            for places in self._batches(trials, batch_size or 1):
                with clock.time("read"):
                    requests = _requests(trials, places)
                with clock.time("load"):
                    images = [self._image(each) for each in requests]
                answers = self._generate(requests, images, log, clock)
                with clock.time("write"):
                    file.write("".join(each.model_dump_json() + "\n" for each in answers))
                    file.flush()
                log.add(places, [each.n_prompt for each in answers])

    def _batches(self, trials: Trials, n: int) -> Iterator[list[int]]:
        if n == 1:
            yield from ([i] for i in range(len(trials)))
            return
        limits = [0] * len(trials)
        if not self.job.one_limit:
            limits = [_requests(trials, [i])[0].max_new_tokens for i in range(len(trials))]
        for limit in sorted(set(limits)):
            places = [i for i, each in enumerate(limits) if each == limit]
            places.sort(key=lambda i: trials.entries[i].length)
            yield from (places[i : i + n] for i in range(0, len(places), n))

    def read(self, path: Path) -> list[Answered]:
        """Read the answers that were written, in the order of the lines."""
        return list(store.read_lines(path, Answered))

    def _image(self, request: Request) -> np.ndarray:
        images = self.job.images[request.task]
        return load_image(request, images, self.plain.image_size)

    def _generate(
        self, requests: Sequence[Request], images: list[np.ndarray], log: _Log, clock: "_Clock"
    ) -> list[Answered]:
        """Answer a batch; it is at work until its longest answer ends."""
        prompts = [self.plain.prompts.encode(request) for request in requests]
        width = max(map(len, prompts))
        ids = [[self._pad] * (width - len(prompt)) + prompt for prompt in prompts]
        mask = [[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts]
        with clock.time("normalise"):
            pixels = self._normalise(images)
        place = self.model.device
        with clock.time("generate"), log.busy(), torch.inference_mode():
            output: torch.Tensor = self.model.generate(
                input_ids=torch.tensor(ids, device=place),
                attention_mask=torch.tensor(mask, device=place),
                pixel_values=pixels.to(place, self.model.dtype),
                do_sample=False,
                max_new_tokens=max(request.max_new_tokens for request in requests),
                pad_token_id=self._pad,
            )
            answers = output[:, width:].tolist()
        return [
            self._read(len(prompt), new[: request.max_new_tokens])
            for request, prompt, new in zip(requests, prompts, answers, strict=True)
        ]

    def _normalise(self, images: list[np.ndarray]) -> torch.Tensor:
        found: torch.Tensor = self.plain.image_processor(
            images=images,
            do_resize=False,
            do_center_crop=False,
            input_data_format="channels_last",
            return_tensors="pt",
        )["pixel_values"]
        return found

    def _read(self, n_prompt: int, new: list[int]) -> Answered:
        end = next((i for i, token in enumerate(new) if token in self._ends), None)
        tokens = new[:end]
        text = self.plain.tokenizer.decode(
            tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        n_new = len(tokens) + (end is not None)
        return Answered(text=text, n_prompt=n_prompt, n_passes=n_new - 1, n_new=n_new)


class _NoClock(_Clock):
    """Shows no time."""

    @contextlib.contextmanager
    def time(self, stage: str) -> Iterator[None]:
        """Do nothing but the work."""
        yield


def _told(line: ResponseLine) -> Answered:
    n_new = line.n_new_tokens + (line.finish == "stop")
    return Answered(
        text=line.text, n_prompt=line.n_prompt_tokens, n_passes=max(n_new - 1, 0), n_new=n_new
    )


def _requests(trials: Trials, places: Sequence[int]) -> list[Request]:
    return [trial.request for trial in trials.read(places) if trial.request is not None]


def _wait(place: torch.device) -> None:
    """Wait for what a device still does."""
    if place.type == "cuda":
        torch.cuda.synchronize(place)
    elif place.type == "mps":
        torch.mps.synchronize()


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
    once = store.open_trials(job.requests)
    whole = Trials(once.path, [*once.entries] * job.repeat)
    trials = _part(whole, job.places or range(len(whole)))
    begun = time.perf_counter()
    torch.set_num_threads(job.threads[0])
    way = _Vipbench(job) if job.way == "vipbench" else _Transformers(job)
    if isinstance(way, _Vipbench) and job.workers > 1 and job.kind == "run":
        way.start(job.workers)
    _wait(place)
    seconds_to_load = time.perf_counter() - begun
    if job.kind == "tune":
        return Outcome(speeds=tuple(_tune(job, way, trials, place, scratch)))
    batch_size = job.batch_sizes[0] if job.batch_sizes else None
    if place.type == "cuda":
        torch.cuda.reset_peak_memory_stats(place)
    log = _Log(place, scratch / "answers.jsonl", len(trials))
    by_others = isinstance(way, _Vipbench) and way.by_workers
    try:
        way.answer(trials, batch_size, log)
        _wait(place)
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


def _attention(way: _Vipbench | _Transformers, batch_size: int | None) -> str:
    """Name the kernel for the attention of a prompt, in the circumstances of a way."""
    if isinstance(way, _Vipbench):
        with inference(way.model):
            return attention_kernel(way.model, masked=False)
    # Where prompts of several lengths are padded on the left, a mask tells.
    return attention_kernel(way.model, masked=(batch_size or 1) > 1)


def _device_mib(place: torch.device) -> float | None:
    """Return the largest memory of tensors so far; None on a CPU."""
    return torch.cuda.max_memory_allocated(place) / MIB if place.type == "cuda" else None


def _resident_mib() -> float | None:
    """Return this process's resident memory; None where the system does not tell."""
    try:
        n_pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return None
    return n_pages * os.sysconf("SC_PAGE_SIZE") / MIB


def _tune(
    job: Job, way: _Vipbench | _Transformers, part: Trials, place: torch.device, scratch: Path
) -> Iterator[Speed]:
    """Try numbers of threads and batch sizes, several times; the best of each counts."""
    path = scratch / "answers.jsonl"

    def answer(part: Trials, batch_size: int | None) -> float:
        log = _Log(place, path, len(part))
        way.answer(part, batch_size, log)
        _wait(place)
        return time.perf_counter() - log.begun

    answer(_part(part, range(min(8, len(part)))), 8)  # warm
    tries = [(n, 1, size) for n in job.threads for size in (job.batch_sizes or (None,))]
    best: dict[tuple[int, int, int | None], float] = {}
    with contextlib.closing(way):
        if isinstance(way, _Vipbench) and job.workers > 1 and place.type == "cpu":
            tries.append((1, job.workers, None))
            way.start(job.workers)
            answer(part, None)  # warm
        begun = time.perf_counter()
        # In turn, so that what else the machine does for a while harms all of them.
        for i, (n, workers, size) in enumerate(tries * _TRIES):
            if i % len(tries) == 0 and time.perf_counter() - begun > _TUNE_SECONDS:
                break
            torch.set_num_threads(n)
            if isinstance(way, _Vipbench):
                way.by_workers = workers > 1
            with contextlib.suppress(torch.OutOfMemoryError):  # that size is none
                speed = len(part) / answer(part, size)
                best[n, workers, size] = max(best.get((n, workers, size), 0.0), speed)
            if place.type == "cuda":
                torch.cuda.empty_cache()  # no size is harmed by what another one left
    for (n, workers, size), speed in best.items():
        yield Speed(threads=n, workers=workers, batch_size=size, samples_per_s=speed)


def _measure_stages(
    job: Job, way: _Vipbench | _Transformers, trials: Trials, place: torch.device, scratch: Path
) -> tuple[dict[str, float], float]:
    """Ask once more with a clock on everything, and prepare the images once more by hand.

    Returns the seconds of each stage, and those from the first request to the last answer.
    """
    clock = _Clock(place)
    clock.watch(way.model)
    log = _Log(place, scratch / "stages.jsonl", len(trials))
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
    _wait(place)
    stages["copy, apart"] = time.perf_counter() - begun
    return stages, whole


def _side(way: _Vipbench | _Transformers) -> int:
    """Return the side of the square that a way's model sees, in px."""
    return way.runner.image_size if isinstance(way, _Vipbench) else way.plain.image_size


def _prepare(job: Job, way: _Vipbench | _Transformers, trials: Trials) -> dict[str, float]:
    """Time each step from request to pixels on one thread; the loop does them ahead."""
    clock = _Clock(torch.device("cpu"))
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
                _wait(place)
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
        for trial in store.open_trials(job.requests)
        if trial.request is not None
    ]
    store.write_lines(job.requests, changed)


def main(arguments: Sequence[str]) -> int:
    """Do the job of a file; the third argument is when the process was started, in s since 1970."""
    job_path, result, started = Path(arguments[0]), Path(arguments[1]), float(arguments[2])
    try:
        job = Job.model_validate_json(job_path.read_text(encoding="utf-8"))
        with tempfile.TemporaryDirectory(dir=result.parent) as scratch:
            outcome = measure(job, Path(scratch), time.time() - started)
        store.write_text(result, [outcome.model_dump_json()])
    except VipbenchError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
