"""Load images in processes of their own, so that the one with the model never decodes or draws.

A loader is a fresh interpreter without torch, at the other end of a socket: requests go out, what
is left of their marks comes back, and pixels lie in memory that both have. That memory has no name,
and a loader ends when nobody holds the other end of its socket: whoever is killed, nothing is left.
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
from pathlib import Path
from queue import SimpleQueue
from typing import Literal, NamedTuple

import numpy as np

from vipbench.console import Console
from vipbench.errors import RunError
from vipbench.images.load import Loaded, Ready, prepare
from vipbench.schema import Request, Visibility

AHEAD = 2
"""Batches that are loaded ahead of the one that is answered."""
MAX_DEATHS = 3
"""So many times in a row a loader may be killed; then the run stops."""
MAX_AUTO = 8
"""Loaders of one model under `auto`: a photo of 1920 x 1080 takes one about 30-60 ms."""
_ENVIRONMENT = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
_GONE = (EOFError, OSError)
"""What comes of talking to a process that was killed, be it in the middle of a message."""


class View(NamedTuple):
    """What of a run is the same for all requests."""

    images: Mapping[str, Path]
    """The root of each task's images."""
    size: int | None
    """Side in px of the model's square; None: images come unfitted."""
    patch_size: int | None


class LoadedBatch(NamedTuple):
    """Requests with their images; `Loaders.release` takes the pixels back."""

    ready: list[Ready]
    block: "_Block | None"
    """Where the pixels lie; None: in this process."""


class _Task(NamedTuple):
    """What one loader is asked at a time."""

    requests: list[Request]
    fd: int | None
    """Where the pixels go; None: into the answer, since images of several sizes fit no block."""
    offsets: list[int]
    """Byte at which those of each request begin."""


class _Told(NamedTuple):
    """What it answers for one request."""

    error: str | None
    visibility: tuple[Visibility, ...] = ()
    digest: str = ""
    pixels: np.ndarray | None = None


_Answer = list[_Told] | OSError
"""OSError: the system gave no memory for the pixels."""


def count_loaders(wanted: Literal["auto"] | int, device: str, n_models: int) -> int:
    """Return how many loaders each of the processes with a model on this machine gets.

    Under `auto` none where the model computes on the CPU: they would take its cores.

    Raises:
        RunError: There are none on this system.
    """
    windows = sys.platform == "win32"  # where no descriptor is handed on
    if wanted == "auto":
        if windows or device.partition(":")[0] not in ("cuda", "mps"):
            return 0
        return max(1, min(MAX_AUTO, _n_cores() // n_models - 1))
    if wanted and windows:
        raise RunError(f"--loaders {wanted}: are not to be had on Windows; give --loaders 0")
    return wanted


def count_ahead(n_loaders: int, device: str) -> int:
    """Return how many batches are loaded ahead of the one that is answered.

    None where the model computes on the CPU of the same process: it needs the cores, and the
    threads of a matrix product wait for each other as soon as one is disturbed.
    """
    if n_loaders:
        return AHEAD
    return 0 if device == "cpu" else 1


class Loaders:
    """A pool of loaders; to be closed."""

    def __init__(self, n: int, view: View, console: Console) -> None:
        """Start `n` loaders; `console` takes what became of a killed one, from any thread.

        Raises:
            RunError: The system starts no such process, or gives no memory to share.
        """
        self._size = view.size
        self._n = n
        self._threads = ThreadPoolExecutor(n)
        """One for each loader that is at work."""
        self._blocks: list[_Block] = []
        self._free: SimpleQueue[_Block] = SimpleQueue()
        self._loaders: list[_Loader] = []
        self._idle: SimpleQueue[_Loader] = SimpleQueue()
        with contextlib.ExitStack() as stack:
            stack.callback(self.close)
            for _ in range(AHEAD + 1):
                self._blocks.append(_Block())
                self._free.put(self._blocks[-1])
            fds = [block.fd for block in self._blocks]
            for number in range(n):
                self._loaders.append(_Loader(number, view, fds, console))
                self._idle.put(self._loaders[-1])
            stack.pop_all()

    @property
    def n_restarts(self) -> int:
        """Loaders that were started anew."""
        return sum(loader.n_restarts for loader in self._loaders)

    @property
    def pids(self) -> list[int]:
        """Of the processes."""
        return [loader.pid for loader in self._loaders]

    def close(self) -> None:
        """End all loaders, whatever they do."""
        for loader in self._loaders:
            loader.end()  # so that no thread waits for it
        self._threads.shutdown(cancel_futures=True)
        for loader in self._loaders:
            loader.hang_up()
        for block in self._blocks:
            block.close()

    def load(self, requests: Sequence[Request]) -> LoadedBatch:
        """Load a batch; waits while `AHEAD` + 1 others are not released. Safe in several threads.

        Raises:
            RunError: A loader was killed again and again, or the system gives no memory to share.
        """
        if self._size is None:
            return LoadedBatch(self._ready(requests, self._ask(requests, None, 0)), None)
        with contextlib.ExitStack() as stack:
            block = self._free.get()
            stack.callback(self._free.put, block)
            pixels = block.reserve(len(requests), self._size)
            told = self._ask(requests, block.fd, pixels[0].nbytes)
            ready = self._ready(requests, told, pixels)
            stack.pop_all()
        return LoadedBatch(ready, block)

    def release(self, batch: LoadedBatch) -> None:
        """Give the memory of a batch to another; its pixels are not to be looked at any more."""
        if batch.block is not None:
            self._free.put(batch.block)

    def _ask(self, requests: Sequence[Request], fd: int | None, n_bytes: int) -> list[_Told]:
        """Share a batch out, and return what was told for each request."""
        shares = share_out(requests, self._n)
        futures = [
            self._threads.submit(
                self._ask_one,
                _Task([requests[i] for i in share], fd, [i * n_bytes for i in share]),
            )
            for share in shares
        ]
        told: dict[int, _Told] = {}
        failed = None
        for share, future in zip(shares, futures, strict=True):
            try:
                told.update(zip(share, future.result(), strict=True))
            except RunError as error:  # while others still write to this memory
                failed = error
        if failed is not None:
            raise failed
        return [told[i] for i in range(len(requests))]

    def _ask_one(self, task: _Task) -> list[_Told]:
        loader = self._idle.get()
        try:
            return loader.ask(task)
        finally:
            self._idle.put(loader)

    @staticmethod
    def _ready(
        requests: Sequence[Request], told: Sequence[_Told], block: np.ndarray | None = None
    ) -> list[Ready]:
        ready = []
        for i, (request, each) in enumerate(zip(requests, told, strict=True)):
            pixels = each.pixels if block is None else block[i]
            loaded = None
            if each.error is None and pixels is not None:
                loaded = Loaded(pixels, each.visibility, each.digest)
            ready.append(Ready(request, loaded, each.error))
        return ready


def share_out(requests: Sequence[Request], n: int) -> list[list[int]]:
    """Share requests out to at most `n` loaders; those about one image go to the same one.

    Returns:
        The places of each share's requests; the next image goes to who has the fewest.
    """
    by_image: dict[tuple[str, str], list[int]] = {}
    for i, request in enumerate(requests):
        by_image.setdefault((request.task, request.image), []).append(i)
    shares: list[list[int]] = [[] for _ in range(min(n, len(by_image)))]
    for places in by_image.values():
        min(shares, key=len).extend(places)
    return shares


class _Block:
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
        """Let go; the memory is free when no image in it is held any more."""
        os.close(self.fd)
        self._map = None


class _Loader:
    """One process, seen from outside; started anew when it is killed."""

    def __init__(self, number: int, view: View, fds: Sequence[int], console: Console) -> None:
        self.n_restarts = 0
        self._name = f"loader {number + 1}"
        self._view, self._fds, self._console = view, fds, console
        self._lock = threading.Lock()
        """Held while a process is started or ended."""
        self._ended = False
        self._process, self._channel = self._start()

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def ask(self, task: _Task) -> list[_Told]:
        """Let the process load images; one that is killed meanwhile is started anew and redoes it.

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
                self._revive(task, n_deaths)
            else:
                break
        if isinstance(answer, OSError):
            raise _no_memory(answer)
        return answer

    def end(self) -> None:
        """End the process; who waits for its answer gets an error."""
        with self._lock:
            self._ended = True
            self._process.kill()
            self._process.wait()

    def hang_up(self) -> None:
        """Close what led to the process, once no thread listens."""
        self._channel.close()

    def _start(self) -> tuple["subprocess.Popen[bytes]", Connection]:
        """Start a process: not by multiprocessing, which runs the main script in it again."""
        code = (
            f"import sys; sys.path[:] = {sys.path!r}; from vipbench.engine import loaders as it; "
        )
        try:
            ours, theirs = Pipe()
            with theirs:
                process = subprocess.Popen(  # noqa: S603  # this interpreter, this package
                    [sys.executable, "-c", f"{code}it.serve({theirs.fileno()})"],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    env=os.environ | _ENVIRONMENT,
                    pass_fds=(theirs.fileno(), *self._fds),
                    start_new_session=True,  # out of reach of Ctrl-C, which is for its parent
                )
        except OSError as error:
            raise RunError(
                f"{self._name}: cannot be started ({error.strerror}); give fewer --loaders, or 0; "
                "what is answered is kept"
            ) from error
        with contextlib.suppress(*_GONE):  # killed already: then the first task tells
            ours.send(self._view)
        return process, ours

    def _revive(self, task: _Task, n_deaths: int) -> None:
        """Start the process anew, unless that is of no use."""
        with self._lock:
            if self._ended:
                raise RunError(f"{self._name}: was ended")
            first = task.requests[0]
            more = f" and {len(task.requests) - 1} more" if len(task.requests) > 1 else ""
            what = f"{first.task} {first.style} {first.id} ({first.image}){more}"
            status = self._process.wait()  # what has closed its socket ends
            if status >= 0:
                raise RunError(
                    f"{self._name}: failed with exit code {status} while it loaded {what}; what it "
                    "said stands above; --loaders 0 loads images in the process of the model"
                )
            if n_deaths >= MAX_DEATHS:
                raise RunError(
                    f"{self._name}: was killed {MAX_DEATHS} times in a row (signal {-status}) while"
                    f" it loaded {what}, most likely for want of memory; what is answered is kept: "
                    "the same command goes on, with fewer --loaders where memory is short"
                )
            self._channel.close()  # nobody else listens: a loader is one thread's at a time
            self._process, self._channel = self._start()
            self.n_restarts += 1
        self._console.say(
            f"{self._name} was killed (signal {-status}) while it loaded {what}; it is started anew"
        )


def _nameless_file() -> int:
    """Return a descriptor of memory; where the system has none without a name, of a file."""
    if sys.platform == "linux":
        return os.memfd_create("vipbench")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def _n_cores() -> int:
    """Return the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def _no_memory(error: OSError) -> RunError:
    return RunError(
        f"loaders: the system gives no memory to share ({error.strerror}); give --loaders 0, or a "
        "smaller --batch-size; what is answered is kept"
    )


# --- in the loader


def serve(fd: int) -> None:
    """Load what comes through a socket, until nobody is at its other end."""
    with contextlib.closing(Connection(fd)) as channel:
        view = _receive(channel)
        while isinstance(view, View) and isinstance(task := _receive(channel), _Task):
            answer = _answer(task, view)
            with contextlib.suppress(OSError):
                channel.send(answer)


def _receive(channel: Connection) -> View | _Task | None:
    try:
        got = channel.recv()
    except (EOFError, OSError):
        return None
    return got if isinstance(got, View | _Task) else None


def _answer(task: _Task, view: View) -> _Answer:
    told = []
    for request, offset in zip(task.requests, task.offsets, strict=True):
        _, loaded, error = prepare(request, *view)
        if loaded is None:
            told.append(_Told(error))
            continue
        if task.fd is not None:
            try:
                _write(task.fd, loaded.pixels, offset)
            except OSError as refused:
                return refused
        pixels = loaded.pixels if task.fd is None else None
        told.append(_Told(None, loaded.visibility, loaded.digest, pixels))
    return told


def _write(fd: int, pixels: np.ndarray, offset: int) -> None:
    """Write pixels as they lie in memory; not through a mapping, which dies of a lack of memory."""
    left = pixels.data.cast("B")
    while left:
        n = os.pwrite(fd, left, offset)
        left, offset = left[n:], offset + n
