"""Answer batches on several machines: the workers are actors of Ray Core.

Ray says where an actor runs, and tells when one has died, be it alone or with its machine. All else
is as in `workers`: this process hands out the batches of the plan, counts deaths, starts anew, and
writes. Actors need nothing of each other, and nobody waits for the slowest.
"""

import importlib
import logging
import os
import socket
from collections.abc import Mapping, Sequence
from concurrent.futures import BrokenExecutor, Future, ThreadPoolExecutor
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, Literal, NamedTuple, Self
from urllib.parse import urlsplit

from vipbench import environment
from vipbench.console import Console
from vipbench.engine.workers import (
    ENVIRONMENT,
    NUMBER,
    Answers,
    Batch,
    Build,
    Crew,
    Done,
    Job,
    NoPlace,
    Station,
    Told,
    Worker,
)
from vipbench.errors import RunError, VipbenchError
from vipbench.images.decode import safe_path

ADDRESS = "RAY_ADDRESS"
"""Environment variable of Ray, which names a cluster; without it, Ray is started here."""
PATIENCE = 120.0
"""Seconds that an actor waits for a place on a cluster, which may be growing."""
_REACH = 10.0
"""Seconds after which an address that nobody answers at is given up; Ray would try for minutes."""

Resource = Literal["CPU", "GPU"]


class Home(NamedTuple):
    """What each machine must have as the first one has it."""

    folder: Path
    """Working directory, from which relative paths count."""
    versions: dict[str, str]
    """Of Python and the packages that may move a score."""


# --- in the driver


class Actors(Crew):
    """Actors of Ray; a context manager, after which none is left, nor a Ray that it started."""

    def __init__(
        self,
        build: Build,
        name: str,
        devices: Sequence[str | None],
        images: Mapping[str, Path],
        console: Console,
        *,
        resource: Resource = "CPU",
        ahead: int = 0,
        n_loaders: int = 0,
        weights: str | None = None,
    ) -> None:
        """Start nothing yet; one worker a device, which takes one `resource`; see `Job`, `Crew`.

        Raises:
            RunError: Ray is not installed.
        """
        self._ray = import_ray()
        self._resource, self._is_mine = resource, False
        roots = {task: root.absolute() for task, root in images.items()}
        home = Home(Path.cwd(), environment.versions())
        actors = [
            _Actor(self._ray, number, Job(build, name, device, roots, n_loaders), home, resource)
            for number, device in enumerate(devices)
        ]
        super().__init__(actors, console, ahead=ahead, weights=weights)

    def __enter__(self) -> Self:
        """Connect to Ray, or start it.

        Raises:
            RunError: There is no such cluster, or this machine alone is too small.
        """
        address = os.environ.get(ADDRESS) or "local"
        if not self._ray.is_initialized():  # else it is the caller's, and stays
            _connect(self._ray, address)
            self._is_mine = True
        n, there = len(self._workers), self._ray.cluster_resources().get(self._resource, 0)
        if there < n and self._is_mine and address == "local":
            self._leave()
            raise RunError(
                f"--engine ray: {n} workers ask for a {self._resource} each, and Ray on this "
                f"machine has {there:g}; give fewer --workers, or the address of a cluster in "
                f"{ADDRESS}"
            )
        if there < n:
            self._console.say(
                f"{n} workers ask for a {self._resource} each, and the cluster has {there:g}; "
                f"waiting up to {PATIENCE:g} s for more"
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            super().__exit__(kind, error, trace)
        finally:
            self._leave()

    def _leave(self) -> None:
        if self._is_mine:
            self._ray.shutdown()
            self._is_mine = False


class _Actor(Worker):
    """An actor on some machine; a thread waits for what it returns."""

    def __init__(
        self, ray: ModuleType, number: int, job: Job, home: Home, resource: Resource
    ) -> None:
        super().__init__(number)
        self._ray, self._job, self._home, self._resource = ray, job, home, resource
        self._handle: Any = None
        self._thread: ThreadPoolExecutor | None = None
        self._has_place = False

    @property
    def has_place(self) -> bool:
        """Whether Ray has found a machine for it."""
        return self._has_place

    def _load(self) -> Future[Done]:
        self._has_place = False
        self._thread = ThreadPoolExecutor(1)
        of_gpu = self._resource == "GPU"
        self._handle = (
            self._ray.remote(_Remote)
            .options(
                num_cpus=0 if of_gpu else 1,
                num_gpus=1 if of_gpu else 0,
                max_restarts=0,  # the crew starts it anew, and counts how often
                max_task_retries=0,
                runtime_env={"env_vars": ENVIRONMENT | {NUMBER: str(self.number)}},
            )
            .remote()
        )
        return self._thread.submit(self._bring, self._handle)

    def _answer(self, batch: Batch, following: Sequence[Batch]) -> Future[Done]:
        if self._thread is None:
            raise ValueError("not started")
        return self._thread.submit(self._get, self._handle.answer.remote(batch, following))

    def kill(self) -> None:
        """End the actor, wherever it is."""
        if self._handle is not None:
            self._ray.kill(self._handle)
            self._handle = None

    def wait(self) -> None:
        """Wait until nothing is to come from the actor any more."""
        if self._thread is not None:
            self._thread.shutdown(wait=True, cancel_futures=True)
            self._thread = None

    def _bring(self, handle: Any) -> Told:
        """Wait for a place, then for the model."""
        arrived = handle.arrive.remote()
        if not self._ray.wait([arrived], timeout=PATIENCE)[0]:
            raise NoPlace(self._describe_cluster())
        try:
            self._get(arrived)
        except (ImportError, RuntimeError) as error:
            if isinstance(error, BrokenExecutor):
                raise
            raise RunError(
                f"--engine ray: worker {self.number + 1} cannot be started ({_one_line(error)}); "
                "install the same vipbench on every machine"
            ) from error
        self._has_place = True
        told: Told = self._get(handle.load.remote(self._job, self._home))
        return told

    def _get(self, coming: Any) -> Any:
        """Return what an actor returns, or raise what it raised; BrokenExecutor where it died."""
        try:
            return self._ray.get(coming)
        except self._ray.exceptions.RayTaskError as error:
            raise error.cause from error
        except self._ray.exceptions.RayError as error:
            raise BrokenExecutor(_one_line(error)) from error

    def _describe_cluster(self) -> str:
        """Say why there is no place, as far as Ray knows."""
        machines = [node for node in self._ray.nodes() if node["Alive"]]
        total = self._ray.cluster_resources().get(self._resource, 0)
        free = self._ray.available_resources().get(self._resource, 0)
        return (
            f"--engine ray: no machine took worker {self.number + 1}, which asks for one "
            f"{self._resource}, within {PATIENCE:g} s; the cluster has {total:g} {self._resource} "
            f"on {len(machines)} machines, {free:g} of it free; what is answered is kept: the same "
            "command goes on, with fewer --workers or a larger cluster"
        )


def import_ray() -> ModuleType:
    """Import Ray, which takes a second; RunError where it is not installed."""
    try:
        return importlib.import_module("ray")
    except ImportError as error:
        raise RunError(
            f"--engine ray: ray cannot be imported ({_one_line(error)}); install it with "
            "`pip install 'vipbench[ray]'`"
        ) from error


def _connect(ray: ModuleType, address: str) -> None:
    """Connect this process to Ray; RunError where nobody answers there."""
    try:
        _reach(address)
        ray.init(
            address=address,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        raise RunError(
            f"--engine ray: no connection to {address} ({_one_line(error)}); start Ray there, or "
            f"unset {ADDRESS} for this machine alone"
        ) from error


def _reach(address: str) -> None:
    """See whether anybody answers at an address of the form HOST:PORT; OSError if not."""
    parts = urlsplit(address if "://" in address else f"//{address}")
    if parts.hostname is not None and parts.port is not None:
        socket.create_connection((parts.hostname, parts.port), timeout=_REACH).close()


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


# --- in the actor


class _Remote:
    """A worker, on the machine that Ray chose."""

    _job: Job
    _station: Station

    def arrive(self) -> None:
        """Say that there is a place."""

    def load(self, job: Job, home: Home) -> Told:
        """Load the model; RunError where the machine lacks what the first one has."""
        _settle(job, home)
        self._job, self._station = job, Station(job)
        return self._station.told

    def answer(self, batch: Batch, following: Sequence[Batch]) -> Answers:
        """Answer a batch, and prepare the following ones meanwhile.

        An image that only this machine lacks is no fault of the sample: no answer comes of it.

        Raises:
            RunError: There is such an image.
        """
        answers = self._station.answer(batch, following)
        for request, line in zip(batch.requests, answers.lines, strict=True):
            if line.error is None:
                continue
            try:
                path = safe_path(self._job.images[request.task], request.image)
            except VipbenchError:
                continue
            if not path.exists():
                raise RunError(f"{socket.gethostname()}: there is no image {path}; {_SAME}")
        return answers


_SAME = (
    "every machine reads the model and the images by the same paths as the first; what is answered "
    "is kept, and the same command goes on"
)


def _settle(job: Job, home: Home) -> None:
    """Go where relative paths count from; RunError where the machine lacks what is needed."""
    host = socket.gethostname()
    needed = {"the working directory": home.folder}
    needed |= {f"images of {task}": root for task, root in job.images.items()}
    for what, folder in needed.items():
        if not folder.is_dir():
            raise RunError(f"{host}: there is no folder {folder} ({what}); {_SAME}")
    os.chdir(home.folder)
    here = environment.versions()
    for package, version in home.versions.items():
        if here[package] != version:
            raise RunError(
                f"{host}: has {package} {here[package]}, and the run was started with {version}; "
                "install the same version everywhere, as answers may depend on it"
            )
