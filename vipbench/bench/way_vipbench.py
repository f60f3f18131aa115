"""The way *vipbench*: the runner and the loop of `vipbench run`, here or in worker processes.

The way *unshared* is the same with `--no-share`.
"""

import contextlib
import logging
import time
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vipbench import files
from vipbench.bench.clocks import Clock, Log, NoClock
from vipbench.bench.models import Loaded, load_runner
from vipbench.bench.records import Answered, Job
from vipbench.bench.way import Choice, read_requests
from vipbench.console import Console
from vipbench.engine.batches import answer_batches
from vipbench.engine.loaders import count_ahead, count_loaders
from vipbench.engine.processes import ProcessPool
from vipbench.engine.workers import Job as WorkerJob
from vipbench.images.decode import open_image, safe_path
from vipbench.images.draw import draw_marks
from vipbench.images.fit import fit
from vipbench.images.load import digest_pixels
from vipbench.run.prepare import token_limit
from vipbench.run.share import grouping, plan_shared, plan_trials
from vipbench.runfolder import answers_file, trials_file
from vipbench.runfolder.lines import ResponseLine, TrialId
from vipbench.runfolder.plan import BatchLimit, plan_batches
from vipbench.runfolder.sharing import Beginnings, Sharing
from vipbench.runfolder.trials_file import Trials
from vipbench.runners.checkpoints.attention import attention_kernel
from vipbench.runners.checkpoints.loading import inference
from vipbench.runners.contract import set_sharing
from vipbench.runners.remembered import remembered_prompts
from vipbench.runners.spec import Shared
from vipbench.runners.vipllava.fast import COVERED
from vipbench.runners.vipllava.model_sizes import sizes_of
from vipbench.runners.vipllava.runner import VipLlavaRunner
from vipbench.runners.vipllava.sizing import cache_bytes, find_budget
from vipbench.schema import Request, Response
from vipbench.scoring import scorers

_log = logging.getLogger(__name__)


class Vipbench:
    """The runner and the loop of `vipbench run`."""

    def __init__(self, job: Job) -> None:
        """Load the model of a job.

        Raises:
            VipbenchError: the model cannot be loaded.
        """
        self._job = job
        self._runner = load_runner(
            Loaded(job.model, job.adapter, job.quantize),
            job.random,
            job.dtype,
            device=job.device,
            threads=job.threads[0],
        )
        self.model: Any = self._runner.model
        self.config: Any = self.model.config
        self.dtype = str(self.model.dtype).removeprefix("torch.")
        self.forgets = True
        self.messages = ()
        self.image_size = self._runner.image_size
        device = self.model.device
        self._budget = find_budget(self.model.config, self.model.dtype, device)
        if device.type != "cpu":
            self._budget = self._runner.try_budget(self._budget)
        # Counted once, before anything is asked, as a run does.
        self._counted = self._count_requests()
        self._entries = {entry.offset: entry for entry in self._counted.entries}
        self._sharing = self._sharing_as_in_a_run()
        """None: each prompt is read by itself."""
        self._pool: ProcessPool | None = None
        self._uses_workers = False
        self._running = contextlib.ExitStack()
        """Ends the worker processes."""

    def _count_requests(self) -> Trials:
        """Count the tokens of each prompt, and find what it has in common with others."""
        longest, token = self._runner.net.max_length, self._runner.net.image_token_id

        def split(request: Request) -> tuple[list[int], int] | None:
            ids = self._runner.encode(request)
            if len(ids) >= longest or token not in ids:
                return None
            return ids, len(ids) - ids[::-1].index(token)

        beginnings = Beginnings()
        sizes, device = sizes_of(self.config), self.model.device
        self._shared = Shared(split, sizes, cache_bytes(device))
        group = grouping(self._shared, self._job.images, beginnings)
        counted = trials_file.open_trials(
            self._job.requests, lambda request: len(self._runner.encode(request))
        )
        entries = [
            entry if trial.request is None else entry._replace(group=group(trial, trial.request))
            for trial, entry in zip(counted, counted.entries, strict=True)
        ]
        return Trials(counted.path, entries, beginnings)

    def _sharing_as_in_a_run(self) -> Sharing | None:
        """Decide as a run does whether what requests have in common is read once.

        It is not where the same ones are asked again, and never on the way `unshared`.
        """
        net = self._runner.net
        quantization = net.info.quantization
        is_known = net.text_model in COVERED and (quantization is None or quantization.by_token)
        if self._job.way == "unshared" or self._job.repeat > 1 or not is_known:
            return None
        return plan_shared(self._counted, self._limit(), self._shared).sharing

    def _limit(self) -> BatchLimit:
        return token_limit(self._counted, self._budget)

    def choices(self) -> list[Choice]:
        """Return numbers of threads and, on a CPU, several single-threaded processes."""
        choices = [Choice(n, workers=1, batch_size=None) for n in self._job.threads]
        if self._job.workers > 1 and self.model.device.type == "cpu":
            choices.append(Choice(1, workers=self._job.workers, batch_size=None))
        return choices

    def start(self, choice: Choice) -> None:
        """Answer as chosen from now on; worker processes stay until `close`."""
        torch.set_num_threads(choice.threads)
        self._uses_workers = choice.workers > 1
        if self._uses_workers and self._pool is None:
            self._pool = self._start_workers(choice.workers)

    def _start_workers(self, n: int) -> ProcessPool:
        """Start `n` processes of this machine, and wait until all have loaded the model."""
        job = self._job
        build = partial(
            load_runner, Loaded(job.model, job.adapter, job.quantize), job.random, job.dtype
        )
        shares = self._sharing is not None
        prompts = remembered_prompts()
        worker = WorkerJob(
            build, "vipbench", job.device, job.images, shares=shares, prompts=prompts
        )
        pool = self._running.enter_context(ProcessPool([worker] * n, Console(_log.info)))
        pool.load()
        return pool

    def close(self) -> None:
        """End the worker processes; from now on this one answers."""
        self._running.close()
        self._pool = None
        self._uses_workers = False

    def warm_up(self, trials: Trials, path: Path) -> None:
        """Answer some trials in this process, or in each of the others."""
        if self._pool is None or not self._uses_workers:
            device = self.model.device
            self.answer(trials, Log(device, path, len(trials)), NoClock(device))
            return
        plan = [range(len(trials))] * self._job.workers
        self._pool.answer(trials, plan, range(len(plan)), lambda lines: None)

    def answer(self, trials: Trials, log: Log, clock: Clock) -> None:
        """Answer all trials, in batches of the budget of tokens that a run has."""
        plan = self._plan(trials)
        here = self._pool is None or not self._uses_workers
        before = self._runner.readings if here or self._pool is None else self._pool.readings

        def write(lines: list[ResponseLine]) -> None:
            with clock.time("write"):
                answers_file.append_responses(log.path, lines)
            log.add(plan[lines[0].batch], [line.n_prompt_tokens for line in lines])

        if self._pool is not None and not here:
            self._pool.answer(trials, plan, range(len(plan)), write)
            log.read_once(self._pool.readings.minus(before))
            return
        set_sharing(self._runner, shares=self._sharing is not None)
        n_loaders = count_loaders("auto", str(log.device), 1)
        answer_batches(
            _WatchedRunner(self._runner, log, clock),
            "vipbench",
            trials,
            plan,
            range(len(plan)),
            self._job.images,
            write,
            ahead=count_ahead(n_loaders, str(log.device)),
            n_loaders=n_loaders,
        )
        log.read_once(self._runner.readings.minus(before))

    def _plan(self, trials: Trials) -> list[tuple[int, ...]]:
        """Cut the requests into batches as `vipbench run` does; it knows no answer's length."""
        entries = [self._entries[entry.offset] for entry in trials.entries]
        if self._sharing is not None:
            known = Trials(trials.path, entries, self._counted.beginnings)
            return plan_trials(known, self._limit(), sharing=self._sharing)
        # The styles of a sample stay together; the same request asked again is of another sample.
        asked: Counter[TrialId] = Counter()
        samples = []
        for entry in entries:
            samples.append((entry.name.task, entry.name.id, asked[entry.name]))
            asked[entry.name] += 1
        lengths = [entry.length for entry in entries]
        return plan_batches(lengths, BatchLimit(tokens=max(self._budget, *lengths)), samples)

    def read(self, path: Path) -> list[Answered]:
        """Read the answers that were written, in the order of the lines."""
        return [_answered(line) for line in files.read_lines(path, ResponseLine)]

    def attention(self) -> str:
        """Name the kernel in the runner's own circumstances: no prompt of a batch is masked."""
        with inference(self.model):
            return attention_kernel(self.model, masked=False)

    def more_stages(self, trials: Trials, log: Log) -> dict[str, float]:
        """Return the wait for batches, what is prepared ahead of them, and scoring afterwards."""
        ahead = self._time_preparing(trials)
        return {
            "wait": log.seconds_waited or 0.0,
            **{f"ahead: {name}": seconds for name, seconds in ahead.items()},
            "afterwards: score": _time_scoring(trials, log.order, self.read(log.path)),
        }

    def _time_preparing(self, trials: Trials) -> dict[str, float]:
        """Time each step from request to pixels on one thread; the loop does them ahead."""
        clock = Clock(torch.device("cpu"))
        for i in range(len(trials)):
            with clock.time("read"):
                (request,) = read_requests(trials, [i])
            with clock.time("decode"):
                path = safe_path(self._job.images[request.task], request.image)
                image = open_image(path, request.exif)[0]
            with clock.time("draw"):
                list(draw_marks(image, request.visual_prompts))
            with clock.time("fit"):
                pixels = fit(image, request.fit, self.image_size)
            with clock.time("digest"):
                digest_pixels(pixels)
        return clock.seconds


class _WatchedRunner:
    """A runner whose batches are timed."""

    def __init__(self, runner: VipLlavaRunner, log: Log, clock: Clock) -> None:
        self._runner, self._log, self._clock = runner, log, clock
        self.image_size: int | None = runner.image_size
        self.patch_size = runner.patch_size

    def generate(self, requests: Sequence[Request], images: Sequence[np.ndarray]) -> list[Response]:
        """Answer as the runner does."""
        with self._clock.time("generate"), self._log.busy():
            return self._runner.generate(requests, images)


def _answered(line: ResponseLine) -> Answered:
    n_new = line.n_new_tokens + (line.finish == "stop")
    return Answered(
        text=line.text, n_prompt=line.n_prompt_tokens, n_passes=max(n_new - 1, 0), n_new=n_new
    )


def _time_scoring(trials: Trials, order: Sequence[int], answers: Sequence[Answered]) -> float:
    """Score all answers, and return the seconds it takes; `order`: which trial each is of."""
    begun = time.perf_counter()
    for i, answer in zip(order, answers, strict=True):
        (trial,) = trials.read([i])
        scorers.score_line(trial, Response(text=answer.text or "", n_new_tokens=answer.n_new))
    return time.perf_counter() - begun
