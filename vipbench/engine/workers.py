"""Hand out batches to workers that have the model, and restart those that are killed.

Workers draw, fit and answer whole batches of the plan; only the process that started them writes.
The answers do not depend on how many workers there are, nor on which of them was killed: a batch of
a killed worker is answered again, and never becomes errors.

`WorkerPool` does all that is the same wherever workers live. `processes` has those of this machine,
`ray_actors` those of a cluster. A `Worker` is one of them seen from outside, a `WorkerState` is
what it has in its own process.
"""

from abc import ABC, abstractmethod
from array import array
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    Future,
    ThreadPoolExecutor,
    wait,
)
from types import TracebackType
from typing import NamedTuple, Self

from vipbench.console import Console
from vipbench.engine.batches import BatchPipeline, requests_of
from vipbench.errors import RunError
from vipbench.runfolder.lines import ResponseLine
from vipbench.runfolder.sharing import Readings
from vipbench.runfolder.trials_file import RawTrials, Trials
from vipbench.runners.contract import (
    RunnerSettings,
    readings_of,
    set_sharing,
    settings_of,
    splits_of,
)
from vipbench.runners.remembered import remember_prompts
from vipbench.runners.spec import Build
from vipbench.schema import ImageRoots, Request

MAX_DEATHS = 3
"""Times in a row that a worker may be killed, or that a batch may kill workers, before the run
stops."""
WORKER_NUMBER = "VIPBENCH_WORKER"
"""Environment variable that tells a worker, and a plugin in it, its number from 0."""
ENVIRONMENT = {"OMP_WAIT_POLICY": "PASSIVE", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
"""Of workers; torch reads it when it is imported. Threads of several workers on the same cores, and
threads that spin while they wait, are many times slower."""


class Job(NamedTuple):
    """What a worker is started with."""

    build: Build
    name: str
    """What messages call the runner."""
    device: str | None
    """None: the runner chooses it."""
    images: Mapping[str, ImageRoots]
    """The folder below which each task's images lie, by the task's name."""
    n_loaders: int = 0
    """Processes of each worker that load images; 0: a thread of the worker does."""
    shares: bool = False
    """Whether what requests of a batch have in common is read once."""
    prompts: "Mapping[bytes, array[int]] | None" = None
    """What is tokenised already, as `remembered_prompts` returns it."""


class Batch(NamedTuple):
    """A batch on its way to a worker."""

    number: int
    trials: RawTrials
    """Parsed by the worker, since all workers wait for the process that hands them out."""

    @property
    def requests(self) -> list[Request]:
        """What is asked."""
        return requests_of(self.trials.parse())

    def __str__(self) -> str:
        """Name the batch by a sample that can be looked at."""
        requests = self.requests
        first = requests[0]
        more = f" and {len(requests) - 1} more" if len(requests) > 1 else ""
        return f"batch {self.number} ({first.task} {first.style} {first.id}{more})"


class WorkerInfo(NamedTuple):
    """What a worker returns once it has loaded the model."""

    settings: RunnerSettings
    image_size: int | None
    """Side in px of the square that the model sees; None: images are not fitted."""


class Answers(NamedTuple):
    """What a worker returns for a batch."""

    lines: list[ResponseLine]
    n_splits: int
    """Times that a part of the batch was split in two because it did not fit into memory."""
    readings: Readings = Readings()
    """What was read of its prompts, where something is read once for several."""


Result = WorkerInfo | Answers


class NotScheduled(RunError):
    """No machine takes a worker; the other workers may continue."""


class Worker(ABC):
    """One process with the model, seen from outside; `start` it again after its death."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.future: Future[Result] | None = None
        """Of what it does now; None: nothing. Raises `BrokenExecutor` where the process died."""
        self.running: Batch | None = None
        """What it answers; None while it loads the model."""
        self._queued: tuple[Batch, Future[Result]] | None = None
        """What it answers next, and has already: it need not wait for this process."""
        self._following: deque[Batch] = deque()
        """What it is given after that."""

    def __str__(self) -> str:
        return f"worker {self.number + 1}"

    def start(self) -> None:
        """Start a process that loads the model."""
        self.running = self._queued = None
        self._following.clear()
        self.future = self._submit_load()

    def wait_for_model(self) -> WorkerInfo | None:
        """Wait until the model is loaded; None where the process was killed before."""
        try:
            info = self.future.result() if self.future is not None else None
        except BrokenExecutor:
            return None
        self.future = None
        return info if isinstance(info, WorkerInfo) else None

    def feed(self, take: Callable[[], Batch | None], *, ahead: int, queue: bool) -> None:
        """Give the process its next batch, and with it `ahead` batches to prepare meanwhile.

        `queue`: it also gets the batch behind that, which it answers without asking for it.
        """
        self.running, self.future = self._queued or (None, None)
        self._queued = None
        n = ahead + queue + (self.running is None)
        while len(self._following) < n and (batch := take()) is not None:
            self._following.append(batch)
        if self.running is None:
            self.running, self.future = self._submit_next(ahead) or (None, None)
        if queue:
            self._queued = self._submit_next(ahead)

    def _submit_next(self, ahead: int) -> "tuple[Batch, Future[Result]] | None":
        """Let the process answer the first of the following batches; None: there is none."""
        if not self._following:
            return None
        batch = self._following.popleft()
        try:
            return batch, self._submit_batch(batch, list(self._following)[:ahead])
        except BrokenExecutor as error:  # killed while it had nothing to do
            failed: Future[Result] = Future()
            failed.set_exception(error)
            return batch, failed

    def batches(self) -> list[Batch]:
        """Return the batches that it has and has not answered."""
        queued = self._queued[0] if self._queued else None
        return [batch for batch in (self.running, queued, *self._following) if batch is not None]

    @property
    def is_scheduled(self) -> bool:
        """Whether its process exists, even if it still loads the model."""
        return True

    @abstractmethod
    def _submit_load(self) -> "Future[Result]":
        """Start a process, and let it load the model."""

    @abstractmethod
    def _submit_batch(self, batch: Batch, following: Sequence[Batch]) -> "Future[Result]":
        """Let the process answer a batch, and prepare the following ones meanwhile."""

    @abstractmethod
    def kill(self) -> None:
        """End the process, whatever it is doing."""

    @abstractmethod
    def wait(self) -> None:
        """Wait until the process has ended."""


class WorkerPool:
    """Workers that have loaded the model; a context manager that ends all of them."""

    def __init__(
        self,
        workers: Sequence[Worker],
        console: Console,
        *,
        ahead: int = 0,
        weights: str | None = None,
    ) -> None:
        """Start nothing yet.

        Args:
            workers: at least one.
            console: hears of workers that were killed.
            ahead: batches that are drawn and fitted while one is answered; 0 where the model
                itself needs the core.
            weights: sha256 of the weights that each worker must load; None: any.
        """
        self.n_restarts = 0
        """How often a worker was restarted."""
        self.n_splits = 0
        """Batches that were split in two because they did not fit into memory."""
        self.readings = Readings()
        """What was read of prompts, where something is read once for several."""
        self._workers = workers
        self._console = console
        self._ahead = ahead
        self._weights = weights
        self._deaths = _Deaths()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for worker in self._workers:
            if worker.future is not None:
                worker.kill()
        with ThreadPoolExecutor(len(self._workers)) as waiting:  # each takes a second to end
            list(waiting.map(lambda worker: worker.wait(), self._workers))
        for worker in self._workers:
            worker.kill()

    def load(self) -> WorkerInfo:
        """Start all workers, wait until each has the model, and return what the first one says.

        Raises:
            RunnerError: The runner cannot be built.
            RunError: A worker was killed again and again, or has other weights.
        """
        for worker in self._workers:
            worker.start()
        infos = []
        for worker in self._workers:
            while (info := worker.wait_for_model()) is None:
                self._restart(worker)
            self._check_weights(worker, info)
            infos.append(info)
        return infos[0]

    def answer(
        self,
        trials: Trials,
        plan: Sequence[Sequence[int]],
        todo: Sequence[int],
        write: Callable[[list[ResponseLine]], None],
    ) -> None:
        """Answer batches of a plan, in any order; write the lines of each once it is answered.

        Args:
            trials: of the run.
            plan: of each batch, the indices of its trials in `trials`.
            todo: indices in `plan`.
            write: takes the lines of one batch, in this process.

        Raises:
            RunnerError: The runner broke its contract.
            RunError: A worker, or one batch in several workers, was killed again and again.
        """
        queue = _Queue(trials, plan, todo)
        self._deaths.forget_batches()
        while True:
            for worker in self._workers:
                if worker.future is None:
                    self._feed(worker, queue)
            if not queue and all(worker.running is None for worker in self._workers):
                return  # a worker that still loads the model is not waited for
            busy = {worker.future: worker for worker in self._workers if worker.future is not None}
            for future in wait(busy, return_when=FIRST_COMPLETED).done:
                self._on_done(busy[future], future, queue, write)

    def _on_done(
        self,
        worker: Worker,
        future: "Future[Result]",
        queue: "_Queue",
        write: Callable[[list[ResponseLine]], None],
    ) -> None:
        """Act on what came back from a worker, and keep it busy."""
        match _outcome(future):
            case WorkerInfo() as info:
                self._check_weights(worker, info)
                self._feed(worker, queue)
            case Answers(lines, n_splits, readings):
                self._feed(worker, queue)  # first: it need not wait for the disk
                self._deaths.forget(worker)
                self.n_splits += n_splits
                self.readings = self.readings.plus(readings)
                write(lines)
            case NotScheduled() as error:
                if not any(other.is_scheduled for other in self._workers):
                    raise error
                worker.start()  # helps again as soon as a machine takes it
            case BrokenExecutor():
                queue.put_back(worker.batches())
                self._restart(worker)

    def _feed(self, worker: Worker, queue: "_Queue") -> None:
        """Keep a worker busy: it holds no more than there is for all, so that they end together."""
        n_held = self._ahead + 2  # with one that is queued
        queued = len(queue) >= n_held * len(self._workers)
        worker.feed(queue.take, ahead=self._ahead, queue=queued)

    def _restart(self, worker: Worker) -> None:
        """Restart a worker that was killed, or raise RunError where that is of no use."""
        message = self._deaths.add(worker)
        self.n_restarts += 1
        self._console.say(f"{message}; it is restarted")
        worker.kill()
        worker.wait()
        worker.start()

    def _check_weights(self, worker: Worker, info: WorkerInfo) -> None:
        """Refuse a worker that has another model than the run."""
        if self._weights is not None and info.settings.loaded != self._weights:
            raise RunError(
                f"{worker}: loaded weights with sha256 {info.settings.loaded[:12]}… · expected "
                f"{self._weights[:12]}… as at the start of the run · the model's files were "
                "replaced meanwhile, or differ between machines"
            )


class _Queue:
    """Batches of a plan that no worker has; their lines are read when they are taken."""

    def __init__(self, trials: Trials, plan: Sequence[Sequence[int]], todo: Sequence[int]) -> None:
        self._trials, self._plan, self._numbers = trials, plan, deque(todo)

    def __len__(self) -> int:
        return len(self._numbers)

    def take(self) -> Batch | None:
        """Return the next batch; None where there is none."""
        if not self._numbers:
            return None
        number = self._numbers.popleft()
        return Batch(number, self._trials.read_raw(self._plan[number]))

    def put_back(self, batches: Sequence[Batch]) -> None:
        """Put batches back in front of all others, in the same order."""
        self._numbers.extendleft(batch.number for batch in reversed(batches))


class _Deaths:
    """How often workers were killed; says when another start is of no use."""

    def __init__(self) -> None:
        self._of_worker: Counter[int] = Counter()
        """In a row."""
        self._in_batch: Counter[int] = Counter()

    def add(self, worker: Worker) -> str:
        """Count a death, and return what happened; RunError where it happened too often."""
        self._of_worker[worker.number] += 1
        where = "while it loaded the model"
        if worker.running is not None:
            where = f"in {worker.running}"
            self._in_batch[worker.running.number] += 1
            if self._in_batch[worker.running.number] >= MAX_DEATHS:
                raise _given_up(f"{MAX_DEATHS} workers were killed {where}")
        if self._of_worker[worker.number] >= MAX_DEATHS:
            raise _given_up(f"{worker} was killed {MAX_DEATHS} times in a row, now {where}")
        return f"{worker} was killed {where}"

    def forget(self, worker: Worker) -> None:
        """Note that a worker has answered: from now on its deaths are counted from 0."""
        self._of_worker[worker.number] = 0

    def forget_batches(self) -> None:
        """Note that another plan begins, whose batches have the same numbers."""
        self._in_batch.clear()


def _outcome(future: "Future[Result]") -> Result | BrokenExecutor | NotScheduled:
    """Return what a worker returned, or what kept it from that; other errors are raised."""
    try:
        return future.result()
    except (BrokenExecutor, NotScheduled) as error:
        return error


def _given_up(what: str) -> RunError:
    return RunError(
        f"{what}, most likely out of memory · what is answered is kept · give the same command to "
        "resume, with fewer --workers if memory is short"
    )


class WorkerState:
    """What a worker has in its own process: the runner, and the pipeline of its batches."""

    def __init__(self, job: Job) -> None:
        """Load the model."""
        remember_prompts(job.prompts or {})
        runner = self._runner = job.build(device=job.device, threads=1)
        set_sharing(runner, shares=job.shares)
        self._pipeline = BatchPipeline(runner, job.name, job.images, n_loaders=job.n_loaders)
        self.info = WorkerInfo(settings_of(runner, job.name), runner.image_size)

    def answer(self, batch: Batch, following: Sequence[Batch]) -> Answers:
        """Answer a batch; the following ones are drawn and fitted meanwhile."""
        n_splits, readings = splits_of(self._runner), readings_of(self._runner)
        batches = {item.number: item for item in (batch, *following)}

        def read(number: int) -> list[Request]:
            return batches[number].requests

        for number in batches:
            self._pipeline.prepare(number, read)
        lines = self._pipeline.answer(batch.number, read)
        return Answers(
            lines,
            splits_of(self._runner) - n_splits,
            readings_of(self._runner).minus(readings),
        )
