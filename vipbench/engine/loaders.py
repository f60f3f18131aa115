"""Load images in processes of their own, so that the one with the model never decodes or draws.

A loader is a fresh interpreter without torch, at the other end of a socket: it gets requests and
returns what can be seen of their marks; pixels lie in memory that both processes share. That memory
has no name, and a loader exits when its socket is closed: whichever process is killed, nothing is
left behind.
"""

import contextlib
import mmap
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import Literal, NamedTuple

import numpy as np

from vipbench.console import Console
from vipbench.errors import RunError
from vipbench.images.load import LoadedImage, PreparedRequest, load_or_error
from vipbench.schema import ImageRoots, Request, Visibility

AHEAD = 2
"""Batches that are loaded ahead of the one that is answered."""
MAX_DEATHS = 3
"""Times in a row that a loader may be killed before the run stops."""
MAX_AUTO = 8
"""Loaders of one model under `auto`: a photo of 1920 x 1080 takes one about 30-60 ms."""
_ENVIRONMENT = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
_GONE = (EOFError, OSError)
"""Raised by the socket of a process that was killed, also in the middle of a message."""


class LoadSettings(NamedTuple):
    """How images are loaded: the same for all requests of a run."""

    images: Mapping[str, ImageRoots]
    """The folder below which each task's images lie, by the task's name."""
    size: int | None
    """Side in px of the model's square; None: images are not fitted."""
    patch_size: int | None
    """Side in px of the model's patches; None: not known."""


class LoadedBatch(NamedTuple):
    """Requests with their images; `LoaderPool.release` takes the pixels back."""

    requests: list[PreparedRequest]
    block: "_SharedBlock | None" = None
    """Where the pixels lie; None: in this process."""


class _Task(NamedTuple):
    """What one loader is asked at a time."""

    requests: list[Request]
    fd: int | None
    """Where the pixels go; None: into the answer, since images of several sizes, or several of one
    request, fit no block."""
    offsets: list[int]
    """Byte at which the pixels of each request begin."""


class _ImageResult(NamedTuple):
    """What a loader returns for one request."""

    error: str | None
    visibility: tuple[Visibility, ...] = ()
    digest: str = ""
    pixels: np.ndarray | None = None
    """None where they lie in shared memory."""
    others: tuple[np.ndarray, ...] = ()
    """Of several images, those after the first."""


_Answer = list[_ImageResult] | OSError
"""OSError: the system gave no memory for the pixels."""


def count_loaders(wanted: Literal["auto"] | int, device: str, n_models: int) -> int:
    """Return how many loaders each of the `n_models` processes with a model gets.

    Under `auto` none where the model computes on the CPU: they would take its cores.

    Raises:
        RunError: This system cannot have loaders.
    """
    windows = sys.platform == "win32"  # where no descriptor is handed on
    if wanted == "auto":
        if windows or device.partition(":")[0] not in ("cuda", "mps"):
            return 0
        return max(1, min(MAX_AUTO, _n_cores() // n_models - 1))
    if wanted and windows:
        raise RunError(f"--loaders {wanted}: not available on Windows · give --loaders 0")
    return wanted


def count_ahead(n_loaders: int, device: str) -> int:
    """Return how many batches are loaded ahead of the one that is answered.

    None where the model computes on the CPU of the same process: it needs the cores, and the
    threads of a matrix product wait for each other as soon as one is disturbed.
    """
    if n_loaders:
        return AHEAD
    return 0 if device == "cpu" else 1


class LoaderPool:
    """Processes that load images; call `close` when done."""

    def __init__(self, n: int, settings: LoadSettings, console: Console) -> None:
        """Start `n` loaders; `console` hears of killed ones, from any thread.

        Raises:
            RunError: The system starts no such process, or gives no memory to share.
        """
        self._size = settings.size
        self._n = n
        self._threads = ThreadPoolExecutor(n)
        """One for each loader that is busy."""
        self._blocks: list[_SharedBlock] = []
        self._free: SimpleQueue[_SharedBlock] = SimpleQueue()
        self._loaders: list[_Loader] = []
        self._idle: SimpleQueue[_Loader] = SimpleQueue()
        with contextlib.ExitStack() as stack:
            stack.callback(self.close)
            for _ in range(AHEAD + 1):
                self._blocks.append(_SharedBlock())
                self._free.put(self._blocks[-1])
            fds = [block.fd for block in self._blocks]
            for number in range(n):
                self._loaders.append(_Loader(number, settings, fds, console))
                self._idle.put(self._loaders[-1])
            stack.pop_all()

    @property
    def n_restarts(self) -> int:
        """How often a loader was restarted."""
        return sum(loader.n_restarts for loader in self._loaders)

    @property
    def pids(self) -> list[int]:
        """Of the processes."""
        return [loader.pid for loader in self._loaders]

    def close(self) -> None:
        """End all loaders, whatever they are doing."""
        for loader in self._loaders:
            loader.kill()  # so that no thread waits for it
        self._threads.shutdown(cancel_futures=True)
        for loader in self._loaders:
            loader.disconnect()
        for block in self._blocks:
            block.close()

    def load(self, requests: Sequence[Request]) -> LoadedBatch:
        """Load a batch; waits while `AHEAD` + 1 others are not released. Safe in several threads.

        Raises:
            RunError: A loader was killed again and again, or the system gives no memory to share.
        """
        if self._size is None or any(request.images for request in requests):
            return LoadedBatch(_join(requests, self._ask(requests, None, 0), None))
        with contextlib.ExitStack() as stack:
            block = self._free.get()
            stack.callback(self._free.put, block)
            pixels = block.reserve(len(requests), self._size)
            results = self._ask(requests, block.fd, pixels[0].nbytes)
            stack.pop_all()
        return LoadedBatch(_join(requests, results, pixels), block)

    def release(self, batch: LoadedBatch) -> None:
        """Give the memory of a batch to another one; its pixels must not be used any more."""
        if batch.block is not None:
            self._free.put(batch.block)

    def _ask(self, requests: Sequence[Request], fd: int | None, n_bytes: int) -> list[_ImageResult]:
        """Split a batch among the loaders, and return the result of each request, in order.

        Args:
            requests: the batch.
            fd: of the shared memory; None: pixels come with the results.
            n_bytes: of one image in that memory.
        """
        shares = split_by_image(requests, self._n)
        futures = [
            self._threads.submit(
                self._ask_one,
                _Task([requests[i] for i in share], fd, [i * n_bytes for i in share]),
            )
            for share in shares
        ]
        results: dict[int, _ImageResult] = {}
        failed = None
        for share, future in zip(shares, futures, strict=True):
            try:
                results.update(zip(share, future.result(), strict=True))
            except RunError as error:  # raised later: other loaders still write to this memory
                failed = error
        if failed is not None:
            raise failed
        return [results[i] for i in range(len(requests))]

    def _ask_one(self, task: _Task) -> list[_ImageResult]:
        loader = self._idle.get()
        try:
            return loader.ask(task)
        finally:
            self._idle.put(loader)


def _join(
    requests: Sequence[Request], results: Sequence[_ImageResult], block: np.ndarray | None
) -> list[PreparedRequest]:
    """Join requests with their results; pixels lie in `block`, (n, size, size, 3), if any."""
    prepared = []
    for i, (request, result) in enumerate(zip(requests, results, strict=True)):
        pixels = result.pixels if block is None else block[i]
        loaded = None
        if result.error is None and pixels is not None:
            loaded = LoadedImage(pixels, result.visibility, result.digest, result.others)
        prepared.append(PreparedRequest(request, loaded, result.error))
    return prepared


def split_by_image(requests: Sequence[Request], n: int) -> list[list[int]]:
    """Split requests into at most `n` shares; those about one image are in the same share.

    Returns:
        The indices of each share's requests; the next image goes to the smallest share.
    """
    by_image: dict[tuple[str, str], list[int]] = {}
    for i, request in enumerate(requests):
        by_image.setdefault((request.task, request.image), []).append(i)
    shares: list[list[int]] = [[] for _ in range(min(n, len(by_image)))]
    for indices in by_image.values():
        min(shares, key=len).extend(indices)
    return shares


class _SharedBlock:
    """Memory that this process shares with all loaders; as large as the largest batch so far."""

    def __init__(self) -> None:
        try:
            self.fd = _nameless_file()
        except OSError as error:
            raise _no_memory(error) from error
        self._map: mmap.mmap | None = None

    def reserve(self, n: int, size: int) -> np.ndarray:
        """Return room for images: uint8 (n, size, size, 3); RunError where there is none."""
        n_bytes = n * size * size * 3
        if self._map is None or len(self._map) < n_bytes:
            try:
                os.ftruncate(self.fd, n_bytes)
                self._map = mmap.mmap(self.fd, n_bytes)
            except OSError as error:
                raise _no_memory(error) from error
        return np.frombuffer(self._map, np.uint8, n_bytes).reshape(n, size, size, 3)

    def close(self) -> None:
        """Close it; the memory is free once no image in it is referenced any more."""
        os.close(self.fd)
        self._map = None


class _Loader:
    """One process, seen from outside; restarted when it is killed."""

    def __init__(
        self, number: int, settings: LoadSettings, fds: Sequence[int], console: Console
    ) -> None:
        self.n_restarts = 0
        self._name = f"loader {number + 1}"
        self._settings, self._fds, self._console = settings, fds, console
        self._lock = threading.Lock()
        """Held while a process is started or ended."""
        self._ended = False
        self._process, self._channel = self._start()

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def ask(self, task: _Task) -> list[_ImageResult]:
        """Let the process load images; one that is killed meanwhile is restarted and redoes it.

        Raises:
            RunError: It was killed again and again, or fails, or the system gives no memory.
        """
        n_deaths = 0
        while True:
            try:
                self._channel.send(task)
                answer: _Answer = self._channel.recv()
            except _GONE:
                n_deaths += 1
                self._restart(task, n_deaths)
            else:
                break
        if isinstance(answer, OSError):
            raise _no_memory(answer)
        return answer

    def kill(self) -> None:
        """Kill the process; a thread that waits for its answer gets an error."""
        with self._lock:
            self._ended = True
            self._process.kill()
            self._process.wait()

    def disconnect(self) -> None:
        """Close the socket, once no thread listens to it."""
        self._channel.close()

    def _start(self) -> tuple["subprocess.Popen[bytes]", Connection]:
        """Start a process: not by multiprocessing, which runs the main script in it again."""
        code = f"import sys; sys.path[:] = {sys.path!r}; from vipbench.engine import loaders"
        try:
            ours, theirs = Pipe()
            with theirs:
                process = subprocess.Popen(  # noqa: S603  # this interpreter, this package
                    [sys.executable, "-c", f"{code}; loaders.serve({theirs.fileno()})"],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    env=os.environ | _ENVIRONMENT,
                    pass_fds=(theirs.fileno(), *self._fds),
                    start_new_session=True,  # out of reach of Ctrl-C, which is for its parent
                )
        except OSError as error:
            raise RunError(
                f"{self._name}: cannot be started ({error.strerror}) · give fewer --loaders, or 0 "
                "· what is answered is kept"
            ) from error
        with contextlib.suppress(*_GONE):  # killed already: the first task will show it
            ours.send(self._settings)
        return process, ours

    def _restart(self, task: _Task, n_deaths: int) -> None:
        """Start the process again, or raise RunError where that is of no use."""
        with self._lock:
            if self._ended:
                raise RunError(f"{self._name}: was ended")
            status = self._process.wait()  # a process that has closed its socket exits
            what = f"while it loaded {_describe(task)}"
            if status >= 0:
                raise RunError(
                    f"{self._name}: failed with exit code {status} {what}; its own message is "
                    "above · --loaders 0 loads images in the process of the model"
                )
            if n_deaths >= MAX_DEATHS:
                raise RunError(
                    f"{self._name}: was killed {MAX_DEATHS} times in a row (signal {-status}) "
                    f"{what}, most likely out of memory · what is answered is kept · give the "
                    "same command to resume, with fewer --loaders if memory is short"
                )
            self._channel.close()  # nobody else listens: only one thread has a loader at a time
            self._process, self._channel = self._start()
            self.n_restarts += 1
        self._console.say(f"{self._name} was killed (signal {-status}) {what}; it is restarted")


def _describe(task: _Task) -> str:
    """Name the first request, and how many more there are."""
    first = task.requests[0]
    more = f" and {len(task.requests) - 1} more" if len(task.requests) > 1 else ""
    return f"{first.task} {first.style} {first.id} ({first.image}){more}"


def _nameless_file() -> int:
    """Return a descriptor of nameless memory, or of a file where the system has no such memory."""
    if sys.platform == "linux":
        return os.memfd_create("vipbench")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def _n_cores() -> int:
    """Return the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def _no_memory(error: OSError) -> RunError:
    return RunError(
        f"loaders: the system gives no memory to share ({error.strerror}) · give --loaders 0, or a "
        "smaller --batch-size · what is answered is kept"
    )


# --- in the loader


def serve(fd: int) -> None:
    """Load what is asked through a socket, until it is closed at the other end."""
    with contextlib.closing(Connection(fd)) as channel:
        settings = _receive(channel)
        while isinstance(settings, LoadSettings) and isinstance(task := _receive(channel), _Task):
            answer = _answer(task, settings)
            with contextlib.suppress(OSError):
                channel.send(answer)


def _receive(channel: Connection) -> LoadSettings | _Task | None:
    """Return a message; None where the socket is closed."""
    try:
        message = channel.recv()
    except _GONE:
        return None
    return message if isinstance(message, LoadSettings | _Task) else None


def _answer(task: _Task, settings: LoadSettings) -> _Answer:
    results = []
    for request, offset in zip(task.requests, task.offsets, strict=True):
        _, loaded, error = load_or_error(request, *settings)
        if loaded is None:
            results.append(_ImageResult(error))
            continue
        if task.fd is not None:
            try:
                _write(task.fd, loaded.pixels, offset)
            except OSError as refused:
                return refused
        pixels = loaded.pixels if task.fd is None else None
        results.append(_ImageResult(None, loaded.visibility, loaded.digest, pixels, loaded.others))
    return results


def _write(fd: int, pixels: np.ndarray, offset: int) -> None:
    """Write pixels as they lie in memory; a mapping would kill this process when memory is full."""
    rest = pixels.data.cast("B")
    while rest:
        n = os.pwrite(fd, rest, offset)
        rest, offset = rest[n:], offset + n
