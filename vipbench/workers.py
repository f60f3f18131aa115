"""Answer batches in several processes: one a GPU, or one single-threaded process a core.

Each worker is an executor of its own, so that one that is killed is started anew alone; its batch
is redone, and the others go on. Workers draw, fit and answer whole batches of the plan; only the
process that started them writes. What comes out does not depend on how many there are, nor on
which of them was killed: a batch is never given up, nor turned into errors, because of that.
"""

import contextlib
import os
import signal
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
    wait,
)
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Protocol, Self

from vipbench.engine import Desk, Ready, requests_of
from vipbench.errors import RunError
from vipbench.runners import Runner, RunnerSettings, settings_of
from vipbench.schema import Request
from vipbench.store import ResponseLine, Trials

MAX_DEATHS = 3
"""So many times in a row a worker may be killed, or workers by one batch; then the run stops."""
NUMBER = "VIPBENCH_WORKER"
"""Environment variable that tells a worker, and a plugin in it, its number from 0."""
_ENVIRONMENT = {"OMP_WAIT_POLICY": "PASSIVE", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
"""Of workers; torch reads it when it is loaded. Threads of several workers on the same cores, and
threads that spin while they wait, are many times slower."""


class Build(Protocol):
    """Builds a runner; can be sent to another process."""

    def __call__(self, *, device: str | None, threads: int | None) -> Runner:
        """Build the runner on a device."""


class Told(NamedTuple):
    """What a runner in another process says of itself."""

    settings: RunnerSettings
    image_size: int | None


class Batch(NamedTuple):
    """A batch on its way to a worker."""

    number: int
    requests: list[Request]


_Done = Told | list[ResponseLine]
"""What a worker returns: once that it has the model, then the lines of each batch."""


# --- in the driver


class Workers:
    """Processes with the model loaded; a context manager, after which none of them is left."""

    def __init__(
        self,
        build: Build,
        name: str,
        devices: Sequence[str | None],
        images: Mapping[str, Path],
        say: Callable[[str], None],
        *,
        ahead: bool = False,
    ) -> None:
        """Start nothing yet.

        Args:
            build: builds the runner in each process.
            name: what messages call the runner.
            devices: one a worker.
            images: the root of each task's images.
            say: takes what became of a worker that was killed.
            ahead: draw and fit the next batch while one is answered: not where the model itself
                needs the core.
        """
        self.n_restarts = 0
        """Workers that were started anew."""
        self._say = say
        self._ahead = ahead
        self._workers = [
            _Worker(number, _Job(build, name, device, images))
            for number, device in enumerate(devices)
        ]

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
        for worker in self._workers:
            worker.wait()
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

        for worker in self._workers:
            worker.go_on(take, ahead=self._ahead)
        while busy := [worker for worker in self._workers if worker.future is not None]:
            wait([worker.future for worker in busy if worker.future], return_when=FIRST_COMPLETED)
            for worker in busy:
                if worker.future is None or not worker.future.done():
                    continue
                given = worker.batches()
                try:
                    lines = worker.future.result()
                except BrokenProcessPool:
                    left.extendleft(batch.number for batch in reversed(given))
                    where = "while it loaded the model"
                    if worker.running is not None:
                        deaths[worker.running.number] += 1
                        where = _place(worker.running)
                        if deaths[worker.running.number] >= MAX_DEATHS:
                            raise _given_up(f"{MAX_DEATHS} workers were killed {where}") from None
                    self._revive(worker, where)
                else:
                    worker.go_on(take, ahead=self._ahead)  # first, so that it waits for no disk
                    if isinstance(lines, list):
                        worker.deaths = 0
                        write(lines)

    def _revive(self, worker: "_Worker", where: str) -> None:
        """Start a worker anew, unless it is of no use."""
        worker.deaths += 1
        if worker.deaths >= MAX_DEATHS:
            raise _given_up(
                f"worker {worker.number + 1} was killed {MAX_DEATHS} times in a row, now {where}"
            )
        self.n_restarts += 1
        self._say(f"worker {worker.number + 1} was killed {where}; it is started anew")
        worker.kill()
        worker.wait()
        worker.start()


def describe(build: Build, name: str) -> Told:
    """Build a runner in a process that ends with it, and return what it says of itself."""
    with Workers(build, name, [None], {}, lambda message: None) as workers:
        return workers.load()


class _Job(NamedTuple):
    """What a worker is started with."""

    build: Build
    name: str
    device: str | None
    images: Mapping[str, Path]


class _Worker:
    """One process, seen from outside; `start` it again after its death."""

    def __init__(self, number: int, job: _Job) -> None:
        self.number = number
        self.deaths = 0
        """In a row."""
        self.future: Future[_Done] | None = None
        """Of what it does now; None: nothing."""
        self.running: Batch | None = None
        """What it answers; None while it loads the model."""
        self._next: Batch | None = None
        self._job = job
        self._executor: ProcessPoolExecutor | None = None
        self._leash: Connection | None = None

    def start(self) -> None:
        """Start a process that loads the model."""
        context = get_context("spawn")
        held, self._leash = context.Pipe(duplex=False)
        self._executor = ProcessPoolExecutor(
            1, mp_context=context, initializer=_begin, initargs=(held,)
        )
        self.running = self._next = None
        with _birth(self.number):
            self.future = self._executor.submit(_load, self._job)
        held.close()

    def loaded(self) -> Told | None:
        """Wait for the model; None where the process was killed before."""
        try:
            told = self.future.result() if self.future is not None else None
        except BrokenProcessPool:
            return None
        self.future = None
        return told if isinstance(told, Told) else None

    def go_on(self, take: Callable[[], Batch | None], *, ahead: bool) -> None:
        """Give the process its next batch, and with it the one to prepare meanwhile."""
        self.running = self._next or take()
        self._next = take() if ahead and self.running is not None else None
        self.future = None
        if self.running is not None and self._executor is not None:
            try:
                self.future = self._executor.submit(_work, self.running, self._next)
            except BrokenProcessPool as error:  # killed while it had nothing to do
                self.future = Future()
                self.future.set_exception(error)

    def batches(self) -> list[Batch]:
        """Return what it was given and has not answered."""
        return [batch for batch in (self.running, self._next) if batch is not None]

    def kill(self) -> None:
        """End the process, whatever it does."""
        if self._leash is not None:
            self._leash.close()
            self._leash = None

    def wait(self) -> None:
        """Wait until the process has ended."""
        if self._executor is not None:
            self._executor.shutdown(wait=True, cancel_futures=True)
            self._executor = None


@contextlib.contextmanager
def _birth(number: int) -> Iterator[None]:
    """Start a process with an environment of its own, and deaf to Ctrl-C from its first moment.

    A child inherits both, and Python and torch read them before any of our code could say more.
    """
    changes = _ENVIRONMENT | {NUMBER: str(number)}
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


class _Bench:
    """What a worker keeps from one batch to the next."""

    desk: Desk
    ahead: ThreadPoolExecutor | None = None
    coming: tuple[int, Future[list[Ready]]] | None = None
    """The batch that is prepared, and when it is done."""


_bench = _Bench()


def _begin(held: Connection) -> None:
    """Tie the process to the one that started it: it ends when that lets go, or is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(held,), daemon=True).start()


def _end_with(held: Connection) -> None:
    with contextlib.suppress(EOFError, OSError):
        held.recv_bytes()
    os._exit(1)


def _load(job: _Job) -> _Done:
    """Load the model, once a process."""
    runner = job.build(device=job.device, threads=1)
    _bench.desk = Desk(runner, job.name, job.images)
    return Told(settings_of(runner, job.name), runner.image_size)


def _work(batch: Batch, following: Batch | None) -> _Done:
    """Answer a batch; the following one is drawn and fitted meanwhile."""
    if _bench.coming is not None and _bench.coming[0] == batch.number:
        ready = _bench.coming[1].result()
    else:
        ready = _bench.desk.prepare(batch.requests)
    _bench.coming = None
    if following is not None:
        _bench.ahead = _bench.ahead or ThreadPoolExecutor(1)
        prepared = _bench.ahead.submit(_bench.desk.prepare, following.requests)
        _bench.coming = following.number, prepared
    return _bench.desk.answer(batch.number, ready)
