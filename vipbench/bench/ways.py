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

from vipbench import scorers, store
from vipbench.bench.floor import shape_of
from vipbench.bench.models import (
    Plain,
    Prompts,
    load_plain,
    load_prompts,
    load_runner,
)
from vipbench.bench.records import Answered, Job, Outcome, Speed
from vipbench.data import open_image, safe_path
from vipbench.draw import draw_mark
from vipbench.engine import answer_batches
from vipbench.errors import RunnerError, VipbenchError
from vipbench.fit import fit
from vipbench.loader import digest_pixels, load
from vipbench.manifest import peak_memory_mib
from vipbench.plan import plan_batches
from vipbench.run import AUTO_BATCH_SIZE
from vipbench.runners.device import find_device, find_dtype
from vipbench.runners.vipllava import VipLlavaRunner
from vipbench.schema import Request, Response
from vipbench.store import ResponseLine, Trials
from vipbench.workers import Workers

MIB = 1 << 20
_PEAK_SECONDS = 2.0
"""How long the matrix product is repeated, at each number of threads."""
_TRIES = 3
"""So often `tune` tries each choice."""
_FILLER = " a"
"""What lengthens a prompt."""


@dataclass
class _Log:
    """What a way has done so far."""

    place: torch.device
    path: Path
    """Takes an answer a line."""
    answers: dict[int, Answered] = field(default_factory=dict)
    n_padded: int = 0
    begun: float = field(default_factory=time.perf_counter)
    seconds_first: float = 0.0
    n_first: int = 0
    memory_mib_first: float = 0.0

    def add(self, answers: Mapping[int, Answered]) -> None:
        """Note the answers of one batch, place -> answer, which are written already."""
        self.answers |= answers
        self.n_padded += len(answers) * max(each.n_prompt for each in answers.values())
        if not self.n_first:
            self.seconds_first = time.perf_counter() - self.begun
            self.n_first = len(answers)
            self.memory_mib_first = peak_memory_mib()


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


class _TimedRunner:
    """A runner with a clock around it."""

    def __init__(self, runner: VipLlavaRunner, clock: _Clock) -> None:
        self._runner, self._clock = runner, clock
        self.image_size: int | None = runner.image_size
        self.patch_size = runner.patch_size

    def generate(self, requests: Sequence[Request], images: Sequence[np.ndarray]) -> list[Response]:
        """Answer as the runner does."""
        with self._clock.time("generate"):
            return self._runner.generate(requests, images)


class _Vipbench:
    """The runner and the loop of `vipbench run`."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.runner = load_runner(
            job.model, job.random, job.dtype, device=job.device, threads=job.threads[0]
        )
        self.model: Any = self.runner.model
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
        runner = self.runner if clock is None else _TimedRunner(self.runner, clock)
        samples = [(entry.name.task, entry.name.id, i) for i, entry in enumerate(trials.entries)]
        lengths = [entry.length for entry in trials.entries]
        plan = plan_batches(lengths, batch_size or AUTO_BATCH_SIZE, samples)

        def write(lines: list[ResponseLine]) -> None:
            with clock.time("write") if clock else contextlib.nullcontext():
                store.append_responses(log.path, lines)
            places = plan[lines[0].batch]
            log.add({i: _told(line) for i, line in zip(places, lines, strict=True)})

        if self.by_workers and self._workers is not None:
            self._workers.answer(trials, plan, range(len(plan)), write)
            return
        answer_batches(runner, "vipbench", trials, plan, range(len(plan)), self.job.images, write)


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
                answers = self._generate(requests, images, clock)
                with clock.time("write"):
                    file.write("".join(each.model_dump_json() + "\n" for each in answers))
                    file.flush()
                log.add(dict(zip(places, answers, strict=True)))

    def _batches(self, trials: Trials, n: int) -> Iterator[list[int]]:
        if n == 1:
            yield from ([i] for i in range(len(trials)))
            return
        limits = [_requests(trials, [i])[0].max_new_tokens for i in range(len(trials))]
        for limit in sorted(set(limits)):
            places = [i for i, each in enumerate(limits) if each == limit]
            places.sort(key=lambda i: trials.entries[i].length)
            yield from (places[i : i + n] for i in range(0, len(places), n))

    def _image(self, request: Request) -> np.ndarray:
        images = self.job.images[request.task]
        return load(request, images, self.plain.image_size).pixels

    def _generate(
        self, requests: Sequence[Request], images: list[np.ndarray], clock: "_Clock"
    ) -> list[Answered]:
        prompts = [self.plain.prompts.encode(request) for request in requests]
        width = max(map(len, prompts))
        ids = [[self._pad] * (width - len(prompt)) + prompt for prompt in prompts]
        mask = [[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts]
        with clock.time("normalise"):
            pixels = self._normalise(images)
        place = self.model.device
        with clock.time("generate"), torch.inference_mode():
            output: torch.Tensor = self.model.generate(
                input_ids=torch.tensor(ids, device=place),
                attention_mask=torch.tensor(mask, device=place),
                pixel_values=pixels.to(place, self.model.dtype),
                do_sample=False,
                max_new_tokens=max(request.max_new_tokens for request in requests),
                pad_token_id=self._pad,
            )
        return [
            self._read(len(prompt), new)
            for prompt, new in zip(prompts, output[:, width:].tolist(), strict=True)
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
    if job.kind == "pad":
        _pad(job)
        return Outcome()
    if job.kind == "peak":
        return Outcome(peak=_measure_peak(job, place))
    trials = store.open_trials(job.requests)
    trials = Trials(trials.path, [*trials.entries] * job.repeat)
    begun = time.perf_counter()
    torch.set_num_threads(job.threads[0])
    way = _Vipbench(job) if job.way == "vipbench" else _Transformers(job)
    if isinstance(way, _Vipbench) and job.workers > 1 and job.kind == "run":
        way.start(job.workers)
    _wait(place)
    seconds_to_load = time.perf_counter() - begun
    if job.kind == "tune":
        return Outcome(speeds=tuple(_tune(job, way, trials, place, scratch)))
    log = _Log(place, scratch / "answers.jsonl")
    batch_size = job.batch_sizes[0] if job.batch_sizes else None
    try:
        way.answer(trials, batch_size, log)
        _wait(place)
        seconds = time.perf_counter() - log.begun
    finally:
        way.close()
    outcome = Outcome(
        seconds_to_start=seconds_to_start,
        seconds_to_load=seconds_to_load,
        seconds=seconds,
        seconds_first=log.seconds_first,
        n_first=log.n_first,
        answers=tuple(log.answers[i] for i in range(len(trials))),
        n_padded=log.n_padded,
        batch_size=batch_size or (AUTO_BATCH_SIZE if job.way == "vipbench" else 1),
        memory_mib=peak_memory_mib(),
        memory_mib_first=log.memory_mib_first,
        device_mib=torch.cuda.max_memory_allocated() / MIB if place.type == "cuda" else None,
        shape=shape_of(way.model.config),
        device=str(place),
        device_name=torch.cuda.get_device_name(place) if place.type == "cuda" else "",
        dtype=str(way.model.dtype).removeprefix("torch."),
        load_average=os.getloadavg() if hasattr(os, "getloadavg") else None,
    )
    if not job.stage_places:
        return outcome
    stages = _measure_stages(job, way, _part(trials, job.stage_places), place, scratch)
    return outcome.model_copy(update={"stages": stages, "n_staged": len(job.stage_places)})


def _part(trials: Trials, places: Sequence[int]) -> Trials:
    return Trials(trials.path, [trials.entries[i] for i in places])


def _tune(
    job: Job, way: _Vipbench | _Transformers, trials: Trials, place: torch.device, scratch: Path
) -> Iterator[Speed]:
    """Try numbers of threads and batch sizes on a part, several times; the best counts."""
    part = _part(trials, job.places or range(len(trials)))
    path = scratch / "answers.jsonl"
    way.answer(_part(part, range(min(8, len(part)))), 8, _Log(place, path))  # warm
    tries = [(n, 1, size) for n in job.threads for size in (job.batch_sizes or (None,))]
    best: dict[tuple[int, int, int | None], float] = {}
    with contextlib.closing(way):
        if isinstance(way, _Vipbench) and job.workers > 1 and place.type == "cpu":
            tries.append((1, job.workers, None))
            way.start(job.workers)
            way.answer(part, None, _Log(place, path))  # warm
        # In turn, so that what else the machine does for a while harms all of them.
        for n, workers, size in tries * _TRIES:
            torch.set_num_threads(n)
            if isinstance(way, _Vipbench):
                way.by_workers = workers > 1
            log = _Log(place, path)
            with contextlib.suppress(torch.OutOfMemoryError):  # that size is none
                way.answer(part, size, log)
                _wait(place)
                speed = len(part) / (time.perf_counter() - log.begun)
                best[n, workers, size] = max(best.get((n, workers, size), 0.0), speed)
    for (n, workers, size), speed in best.items():
        yield Speed(threads=n, workers=workers, batch_size=size, samples_per_s=speed)


def _measure_stages(
    job: Job, way: _Vipbench | _Transformers, trials: Trials, place: torch.device, scratch: Path
) -> dict[str, float]:
    """Ask once more with a clock on everything, and prepare the images once more by hand."""
    clock = _Clock(place)
    clock.watch(way.model)
    log = _Log(place, scratch / "stages.jsonl")
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
        stages["wait and loop"] = whole - generate - apart
        stages |= {f"ahead: {name}": taken for name, taken in _prepare(job, way, trials).items()}
        stages["afterwards: score"] = _score(trials, log)
    else:
        stages["loop"] = whole - generate - apart
    pixels = torch.zeros(len(trials), _side(way), _side(way), 3, dtype=torch.uint8)
    begun = time.perf_counter()
    pixels.to(place)
    _wait(place)
    stages["copy, apart"] = time.perf_counter() - begun
    return stages


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


def _score(trials: Trials, log: _Log) -> float:
    begun = time.perf_counter()
    for i in range(len(trials)):
        (trial,) = trials.read([i])
        text = log.answers[i].text
        scorers.score_line(trial, Response(text=text or "", n_new_tokens=log.answers[i].n_new))
    return time.perf_counter() - begun


def _measure_peak(job: Job, place: torch.device) -> dict[int, float]:
    """Return operations a second of a large matrix product, by threads: the best of many."""
    dtype = find_dtype(job.dtype, place)
    side = 8192 if place.type == "cuda" else 1024
    a, b = torch.ones(2, side, side, device=place, dtype=dtype).unbind()
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


def _pad(job: Job) -> None:
    """Write the requests again, their prompts lengthened and their answers' length fixed."""
    prompts = load_prompts(job.model, job.random)
    changed = []
    for trial in store.open_trials(job.requests):
        request = trial.request
        if request is None:
            continue
        if job.prompt_tokens is not None:
            turns = _lengthen(request, prompts, job.prompt_tokens)
            request = request.model_copy(update={"turns": turns})
        if job.new_tokens is not None:
            request = request.model_copy(update={"max_new_tokens": job.new_tokens})
        changed.append(trial.model_copy(update={"request": request}))
    store.write_lines(job.requests, changed)


def _lengthen(request: Request, prompts: Prompts, n: int) -> tuple[str, ...]:
    """Put filler before the first turn's end until the prompt has `n` tokens, or just above."""
    first, rest = request.turns[0], request.turns[1:]
    fillers = n - len(prompts.encode(request))
    if fillers < 0:
        raise RunnerError(
            f"--prompt-tokens {n}: sample {request.id} has {n - fillers} tokens already · expected "
            "at least that many"
        )
    turns = request.turns
    for _ in range(n):
        turns = (first + _FILLER * fillers, *rest)
        missing = n - len(prompts.encode(request.model_copy(update={"turns": turns})))
        if missing <= 0:
            break
        fillers += missing
    return turns


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
