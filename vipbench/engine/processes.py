"""Workers that are processes of this machine: one for each GPU, or single-threaded ones on a CPU.

Each worker has an executor of its own: one for all would be broken as a whole when a process is
killed, and with several only the killed one is restarted.
"""

import contextlib
import gc
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context
from multiprocessing.connection import Connection

from vipbench.console import QUIET, Console
from vipbench.engine.workers import (
    ENVIRONMENT,
    WORKER_NUMBER,
    Batch,
    Job,
    Result,
    Worker,
    WorkerInfo,
    WorkerPool,
    WorkerState,
)
from vipbench.runners.spec import Build


class ProcessPool(WorkerPool):
    """Workers that are processes of this machine."""

    def __init__(
        self, jobs: Sequence[Job], console: Console, *, ahead: int = 0, weights: str | None = None
    ) -> None:
        """Start nothing yet; one worker for each job, and see `WorkerPool`."""
        workers = [_ProcessWorker(number, job) for number, job in enumerate(jobs)]
        super().__init__(workers, console, ahead=ahead, weights=weights)


def probe_runner(build: Build, name: str) -> WorkerInfo:
    """Build a runner in a process that ends with it, and return what it says of itself.

    Raises:
        RunnerError: The runner cannot be built.
        RunError: The process was killed again and again.
    """
    with ProcessPool([Job(build, name, None, {})], QUIET) as pool:
        return pool.load()


class _ProcessWorker(Worker):
    """A process of this machine, which exits when the pipe to this process is closed."""

    def __init__(self, number: int, job: Job) -> None:
        super().__init__(number)
        self._job = job
        self._executor: ProcessPoolExecutor | None = None
        self._pipe: Connection | None = None

    def _submit_load(self) -> Future[Result]:
        context = get_context("spawn")
        parent_pipe, self._pipe = context.Pipe(duplex=False)
        self._executor = ProcessPoolExecutor(
            1, mp_context=context, initializer=_init_worker, initargs=(parent_pipe,)
        )
        with _spawn_env(self.number):
            loading = self._executor.submit(_load, self._job)
        parent_pipe.close()
        return loading

    def _submit_batch(self, batch: Batch, following: Sequence[Batch]) -> Future[Result]:
        if self._executor is None:
            raise ValueError("not started")
        return self._executor.submit(_answer, batch, following)

    def kill(self) -> None:
        """Close the pipe, at which the process exits."""
        if self._pipe is not None:
            self._pipe.close()
            self._pipe = None

    def wait(self) -> None:
        """Wait for the executor, which waits for the process."""
        if self._executor is not None:
            self._executor.shutdown(wait=True, cancel_futures=True)
            self._executor = None


@contextlib.contextmanager
def _spawn_env(number: int) -> Iterator[None]:
    """Let processes inherit the environment of workers, and that they ignore Ctrl-C.

    Python and torch read both before any of our code runs in the new process.
    """
    changes = ENVIRONMENT | {WORKER_NUMBER: str(number)}
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


# --- in the worker


class _ThisProcess:
    """What this process keeps from one batch to the next."""

    state: WorkerState


def _init_worker(parent_pipe: Connection) -> None:
    """Ignore Ctrl-C, and exit with the process that started this one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_exit_with_parent, args=(parent_pipe,), daemon=True).start()


def _exit_with_parent(parent_pipe: Connection) -> None:
    """Exit when the pipe, to which nobody writes, is closed: by the parent, or by its death."""
    with contextlib.suppress(EOFError, OSError):
        parent_pipe.recv_bytes()
    os._exit(1)


def _load(job: Job) -> Result:
    """Load the model, once in a process."""
    _ThisProcess.state = WorkerState(job)
    # What is there now stays to the end: a sweep of all of torch takes a third of a second.
    gc.freeze()
    return _ThisProcess.state.info


def _answer(batch: Batch, following: Sequence[Batch]) -> Result:
    return _ThisProcess.state.answer(batch, following)
