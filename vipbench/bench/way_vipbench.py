"""way_vipbench: part of what was vipbench/bench/ways.py."""

import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from vipbench import files
from vipbench.bench.clocks import Clock, Log, NoClock
from vipbench.bench.models import load_runner
from vipbench.bench.records import Answered, Job
from vipbench.console import Console
from vipbench.engine.batches import answer_batches
from vipbench.engine.loaders import count_ahead, count_loaders
from vipbench.engine.processes import ProcessPool
from vipbench.engine.workers import Job as WorkerJob
from vipbench.runfolder import answers_file, trials_file
from vipbench.runfolder.lines import ResponseLine
from vipbench.runfolder.plan import BatchLimit, plan_batches
from vipbench.runfolder.trials_file import Trials
from vipbench.runners.checkpoints.sizing import find_budget
from vipbench.runners.vipllava.runner import VipLlavaRunner
from vipbench.schema import Request, Response

_log = logging.getLogger(__name__)


class _WatchedRunner:
    """A runner of which is seen when it has a batch."""

    def __init__(self, runner: VipLlavaRunner, log: Log, clock: Clock) -> None:
        self._runner, self._log, self._clock = runner, log, clock
        self.image_size: int | None = runner.image_size
        self.patch_size = runner.patch_size

    def generate(self, requests: Sequence[Request], images: Sequence[np.ndarray]) -> list[Response]:
        """Answer as the runner does."""
        with self._clock.time("generate"), self._log.busy():
            return self._runner.generate(requests, images)


class Vipbench:
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
        counted = trials_file.open_trials(job.requests, lambda each: len(self.runner.encode(each)))
        self._lengths = {entry.offset: entry.length for entry in counted.entries}
        self._workers: ProcessPool | None = None
        self.by_workers = False
        """Answer with the processes that were started, not with this one."""

    def start(self, n: int) -> None:
        """Let worker processes answer from now on, until `close`."""
        build = partial(load_runner, self.job.model, self.job.random, self.job.dtype)
        job = WorkerJob(build, "vipbench", self.job.device, self.job.images)
        self._workers = ProcessPool([job] * n, Console(_log.info))
        self._workers.load()
        self.by_workers = True

    def close(self) -> None:
        """End the worker processes; from now on this one answers."""
        if self._workers is not None:
            self._workers.__exit__(None, None, None)
            self._workers = None
            self.by_workers = False

    def answer(
        self, trials: Trials, batch_size: int | None, log: Log, clock: Clock | None = None
    ) -> None:
        """Answer all trials."""
        clock = clock or NoClock(log.place)
        plan = self._plan(trials)

        def write(lines: list[ResponseLine]) -> None:
            with clock.time("write"):
                answers_file.append_responses(log.path, lines)
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
        return [_told(line) for line in files.read_lines(path, ResponseLine)]


def _told(line: ResponseLine) -> Answered:
    n_new = line.n_new_tokens + (line.finish == "stop")
    return Answered(
        text=line.text, n_prompt=line.n_prompt_tokens, n_passes=max(n_new - 1, 0), n_new=n_new
    )
