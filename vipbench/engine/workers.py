"""Answer batches in several processes: one a GPU, or one single-threaded process a core.

Each worker is an executor of its own, so that one that is killed is started anew alone; its batch
is redone, and the others go on. Workers draw, fit and answer whole batches of the plan; only the
process that started them writes. What comes out does not depend on how many there are, nor on
which of them was killed: a batch is never given up, nor turned into errors, because of that.

`Crew` hands out batches, wherever its workers live; `Workers` are processes of this machine, those
of `cluster` are on any.
"""

import contextlib
import os
import signal
import threading
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
    wait,
)
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Protocol, Self

from vipbench.console import QUIET, Console
from vipbench.engine.batches import Desk, requests_of
from vipbench.errors import RunError
from vipbench.runfolder.lines import ResponseLine
from vipbench.runfolder.trials_file import Trials
from vipbench.runners.contract import Runner, RunnerSettings, settings_of, splits_of
from vipbench.schema import Request

MAX_DEATHS = 3
"""So many times in a row a worker may be killed, or workers by one batch; then the run stops."""
NUMBER = "VIPBENCH_WORKER"
"""Environment variable that tells a worker, and a plugin in it, its number from 0."""
ENVIRONMENT = {"OMP_WAIT_POLICY": "PASSIVE", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
"""Of workers; torch reads it when it is loaded. Threads of several workers on the same cores, and
threads that spin while they wait, are many times slower."""


class Build(Protocol):
    """Builds a runner; can be sent to another process."""

    def __call__(
        self, *, device: str | None, threads: int | None, token_budget: int | None = None
    ) -> Runner:
        """Build the runner on a device; see `make_runner`."""


class Told(NamedTuple):
    """What a runner in another process says of itself."""

    settings: RunnerSettings
    image_size: int | None


class Batch(NamedTuple):
    """A batch on its way to a worker."""

    number: int
    requests: list[Request]


class Job(NamedTuple):
    """What a worker is started with."""

    build: Build
    name: str
    """What messages call the runner."""
    device: str | None
    images: Mapping[str, Path]
    """The root of each task's images."""
    n_loaders: int = 0
    """Processes that load images, of each worker; 0: a thread of the worker does."""


class Answers(NamedTuple):
    """What became of a batch."""

    lines: list[ResponseLine]
    n_splits: int
    """Times that a part of it was split in two because it did not fit into memory."""


Done = Told | Answers
"""What a worker returns: once that it has the model, then the answers to each batch."""


class NoPlace(RunError):
    """No machine takes a worker; the others may go on."""


# --- in the driver


class Worker(ABC):
    """One process with the model, seen from outside; `start` it again after its death."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.deaths = 0
        """In a row."""
        self.future: Future[Done] | None = None
        """Of what it does now; None: nothing. Raises `BrokenExecutor` where the process died."""
        self.running: Batch | None = None
        """What it answers; None while it loads the model."""
        self._next: deque[Batch] = deque()
        """What it prepares meanwhile."""

    def start(self) -> None:
        """Start a process that loads the model."""
        self.running = None
        self._next.clear()
        self.future = self._load()

    def loaded(self) -> Told | None:
        """Wait for the model; None where the process was killed before."""
        try:
            told = self.future.result() if self.future is not None else None
        except BrokenExecutor:
            return None
        self.future = None
        return told if isinstance(told, Told) else None

    def go_on(self, take: Callable[[], Batch | None], *, ahead: int) -> None:
        """Give the process its next batch, and with it those to prepare meanwhile."""
        while len(self._next) <= ahead and (batch := take()) is not None:
            self._next.append(batch)
        self.running = self._next.popleft() if self._next else None
        self.future = None
        if self.running is not None:
            try:
                self.future = self._answer(self.running, list(self._next))
            except BrokenExecutor as error:  # killed while it had nothing to do
                self.future = Future()
                self.future.set_exception(error)

    def batches(self) -> list[Batch]:
        """Return what it was given and has not answered."""
        return [batch for batch in (self.running, *self._next) if batch is not None]

    @property
    def has_place(self) -> bool:
        """Whether its process is there, were it only to load the model."""
        return True

    @abstractmethod
    def _load(self) -> "Future[Done]":
        """Start a process, and let it load the model."""

    @abstractmethod
    def _answer(self, batch: Batch, following: Sequence[Batch]) -> "Future[Done]":
        """Let the process answer a batch, and prepare the following ones meanwhile."""

    @abstractmethod
    def kill(self) -> None:
        """End the process, whatever it does."""

    @abstractmethod
    def wait(self) -> None:
        """Wait until the process has ended."""


class Crew:
    """Workers with the model loaded; a context manager, after which none of them is left."""

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
            console: takes what became of a worker that was killed.
            ahead: batches that are drawn and fitted while one is answered: none where the model
                itself needs the core.
            weights: sha256 of the weights that each must load; None: of whatever.
        """
        self.n_restarts = 0
        """Workers that were started anew."""
        self.n_splits = 0
        """Batches that were split in two because they did not fit into memory."""
        self._workers = workers
        self._console = console
        self._ahead = ahead
        self._weights = weights

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

    def load(self) -> Told:
        """Start all workers, wait until each has the model, and return what the first says of it.

        Raises:
            RunnerError: The runner cannot be built.
            RunError: A worker was killed again and again.
        """
        for worker in self._workers:
            worker.start()
        told = None
        for worker in self._workers:
            while (found := worker.loaded()) is None:
                self._revive(worker, "while it loaded the model")
            self._check(worker, found)
            told = told or found
        if told is None:
            raise ValueError("no workers")
        return told

    def answer(
        self,
        trials: Trials,
        plan: Sequence[Sequence[int]],
        todo: Sequence[int],
        write: Callable[[list[ResponseLine]], None],
    ) -> None:
        """Answer batches of a plan; hand the lines of each on as it is done, in any order.

        Args:
            trials: of the run.
            plan: the places in `trials` that each batch holds.
            todo: places in `plan`.
            write: takes the lines of one batch, in this process.

        Raises:
            RunnerError: The runner broke its contract.
            RunError: A worker, or a batch in several, was killed again and again.
        """
        left = deque(todo)
        deaths: Counter[int] = Counter()

        def take() -> Batch | None:
            if not left:
                return None
            number = left.popleft()
            return Batch(number, requests_of(trials.read(plan[number])))

        while True:
            for worker in self._workers:
                if worker.future is None:
                    worker.go_on(take, ahead=self._ahead)
            if not left and all(worker.running is None for worker in self._workers):
                return  # whoever still loads the model is not waited for
            busy = {worker.future: worker for worker in self._workers if worker.future is not None}
            for future in wait(busy, return_when=FIRST_COMPLETED).done:
                worker, given = busy[future], busy[future].batches()
                try:
                    done = future.result()
                except NoPlace:
                    if not any(each.has_place for each in self._workers):
                        raise
                    worker.start()  # once there is a place, it helps again
                except BrokenExecutor:
                    left.extendleft(batch.number for batch in reversed(given))
                    where = "while it loaded the model"
                    if worker.running is not None:
                        deaths[worker.running.number] += 1
                        where = _place(worker.running)
                        if deaths[worker.running.number] >= MAX_DEATHS:
                            raise _given_up(f"{MAX_DEATHS} workers were killed {where}") from None
                    self._revive(worker, where)
                else:
                    if isinstance(done, Told):
                        self._check(worker, done)
                    worker.go_on(take, ahead=self._ahead)  # first, so that it waits for no disk
                    if isinstance(done, Answers):
                        worker.deaths = 0
                        self.n_splits += done.n_splits
                        write(done.lines)

    def _check(self, worker: Worker, told: Told) -> None:
        """Refuse a worker that has another model than the run is about."""
        if self._weights is not None and told.settings.weights != self._weights:
            raise RunError(
                f"worker {worker.number + 1}: loaded weights with sha256 "
                f"{told.settings.weights[:12]}…, and the run is about {self._weights[:12]}…; the "
                "model's files were replaced meanwhile, or differ between machines"
            )

    def _revive(self, worker: Worker, where: str) -> None:
        """Start a worker anew, unless it is of no use."""
        worker.deaths += 1
        if worker.deaths >= MAX_DEATHS:
            raise _given_up(
                f"worker {worker.number + 1} was killed {MAX_DEATHS} times in a row, now {where}"
            )
        self.n_restarts += 1
        self._console.say(f"worker {worker.number + 1} was killed {where}; it is started anew")
        worker.kill()
        worker.wait()
        worker.start()


class Workers(Crew):
    """Processes of this machine."""

    def __init__(
        self,
        build: Build,
        name: str,
        devices: Sequence[str | None],
        images: Mapping[str, Path],
        console: Console,
        *,
        ahead: int = 0,
        n_loaders: int = 0,
        weights: str | None = None,
    ) -> None:
        """Start nothing yet; one worker a device, and see `Job` and `Crew`."""
        workers = [
            _Process(number, Job(build, name, device, images, n_loaders))
            for number, device in enumerate(devices)
        ]
        super().__init__(workers, console, ahead=ahead, weights=weights)


def describe(build: Build, name: str) -> Told:
    """Build a runner in a process that ends with it, and return what it says of itself."""
    with Workers(build, name, [None], {}, QUIET) as workers:
        return workers.load()


class _Process(Worker):
    """A process of this machine, tied to this one by a pipe."""

    def __init__(self, number: int, job: Job) -> None:
        super().__init__(number)
        self._job = job
        self._executor: ProcessPoolExecutor | None = None
        self._leash: Connection | None = None

    def _load(self) -> Future[Done]:
        context = get_context("spawn")
        held, self._leash = context.Pipe(duplex=False)
        self._executor = ProcessPoolExecutor(
            1, mp_context=context, initializer=_begin, initargs=(held,)
        )
        with _birth(self.number):
            loading = self._executor.submit(_load, self._job)
        held.close()
        return loading

    def _answer(self, batch: Batch, following: Sequence[Batch]) -> Future[Done]:
        if self._executor is None:
            raise ValueError("not started")
        return self._executor.submit(_answer, batch, following)

    def kill(self) -> None:
        """Let go of the pipe."""
        if self._leash is not None:
            self._leash.close()
            self._leash = None

    def wait(self) -> None:
        """Wait for the executor, which waits for the process."""
        if self._executor is not None:
            self._executor.shutdown(wait=True, cancel_futures=True)
            self._executor = None


@contextlib.contextmanager
def _birth(number: int) -> Iterator[None]:
    """Start a process with an environment of its own, and deaf to Ctrl-C from its first moment.

    A child inherits both, and Python and torch read them before any of our code could say more.
    """
    changes = ENVIRONMENT | {NUMBER: str(number)}
    before = {name: os.environ.get(name) for name in changes}
    handler = None
    if threading.current_thread() is threading.main_thread():
        handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
        if handler is not None:
            signal.signal(signal.SIGINT, handler)


def _place(batch: Batch) -> str:
    """Say which batch, by a sample that can be looked at."""
    first = batch.requests[0]
    more = f" and {len(batch.requests) - 1} more" if len(batch.requests) > 1 else ""
    return f"in batch {batch.number} ({first.task} {first.style} {first.id}{more})"


def _given_up(what: str) -> RunError:
    return RunError(
        f"{what}, most likely for want of memory; what is answered is kept: the same command goes "
        "on, with fewer --workers where memory is short"
    )


# --- in the worker


class Station:
    """What a worker has in its process: the runner, and a desk where its batches are prepared."""

    def __init__(self, job: Job) -> None:
        """Load the model."""
        runner = self._runner = job.build(device=job.device, threads=1)
        self._desk = Desk(runner, job.name, job.images, n_loaders=job.n_loaders)
        self.told = Told(settings_of(runner, job.name), runner.image_size)

    def answer(self, batch: Batch, following: Sequence[Batch]) -> Answers:
        """Answer a batch; the following ones are drawn and fitted meanwhile."""
        n_splits = splits_of(self._runner)
        requests = {each.number: each.requests for each in (batch, *following)}
        for number in requests:
            self._desk.prepare(number, requests.__getitem__)
        lines = self._desk.answer(batch.number, requests.__getitem__)
        return Answers(lines, splits_of(self._runner) - n_splits)


class _Here:
    """What this process keeps from one batch to the next."""

    station: Station


def _begin(held: Connection) -> None:
    """Tie the process to the one that started it: it ends when that lets go, or is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(held,), daemon=True).start()


def _end_with(held: Connection) -> None:
    with contextlib.suppress(EOFError, OSError):
        held.recv_bytes()
    os._exit(1)


def _load(job: Job) -> Done:
    """Load the model, once a process."""
    _Here.station = Station(job)
    return _Here.station.told


def _answer(batch: Batch, following: Sequence[Batch]) -> Done:
    return _Here.station.answer(batch, following)
