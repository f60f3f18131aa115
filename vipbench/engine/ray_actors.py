"""Workers that are actors of Ray Core, on several machines.

Ray decides where an actor runs, and reports when one has died, alone or with its machine. All else
is the pool's: this process hands out the batches of the plan, counts deaths, restarts, and writes.
Actors need nothing of each other, and nobody waits for the slowest.
"""

import importlib
import logging
import os
import socket
from collections.abc import Sequence
from concurrent.futures import BrokenExecutor, Future, ThreadPoolExecutor
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, Literal, NamedTuple, Self
from urllib.parse import urlsplit

from vipbench import environment
from vipbench.console import Console
from vipbench.engine.workers import (
    ENVIRONMENT,
    WORKER_NUMBER,
    Answers,
    Batch,
    Job,
    NotScheduled,
    Result,
    Worker,
    WorkerInfo,
    WorkerPool,
    WorkerState,
)
from vipbench.errors import RunError, VipbenchError
from vipbench.files import listed
from vipbench.images.decode import safe_path
from vipbench.schema import ImageRoots

ADDRESS = "RAY_ADDRESS"
"""Environment variable of Ray that names a cluster; without it, Ray is started on this machine."""
SCHEDULE_SECONDS = 120.0
"""How long an actor waits for a machine of a cluster, which may be growing."""
_CONNECT_SECONDS = 10.0
"""How long an address may take to answer; Ray would try for minutes."""

Resource = Literal["CPU", "GPU"]


class DriverInfo(NamedTuple):
    """What every machine must have as the first one has it."""

    folder: Path
    """Working directory, which relative paths start from."""
    versions: dict[str, str]
    """Of Python and the packages that may change a score."""


class RayPool(WorkerPool):
    """Workers that are actors of Ray; also ends Ray, where it started it."""

    def __init__(
        self,
        jobs: Sequence[Job],
        console: Console,
        *,
        resource: Resource = "CPU",
        ahead: int = 0,
        weights: str | None = None,
    ) -> None:
        """Start nothing yet; one actor for each job, each on one `resource`, and see `WorkerPool`.

        Raises:
            RunError: Ray is not installed.
        """
        self._ray = import_ray()
        self._resource, self._started_ray = resource, False
        driver = DriverInfo(Path.cwd(), environment.versions())
        workers = []
        for number, job in enumerate(jobs):
            job = job._replace(images={t: _absolute(roots) for t, roots in job.images.items()})
            workers.append(_ActorWorker(self._ray, number, job, driver, resource))
        super().__init__(workers, console, ahead=ahead, weights=weights)

    def __enter__(self) -> Self:
        """Connect to Ray, or start it.

        Raises:
            RunError: The cluster cannot be reached, or this machine alone is too small.
        """
        address = os.environ.get(ADDRESS) or "local"
        if not self._ray.is_initialized():  # else it is the caller's, and stays
            _connect(self._ray, address)
            self._started_ray = True
        n, n_there = len(self._workers), self._ray.cluster_resources().get(self._resource, 0)
        if n_there < n and self._started_ray and address == "local":
            self._disconnect()
            raise RunError(
                f"--engine ray: {n} workers need one {self._resource} each, and Ray on this machine"
                f" has {n_there:g} · give fewer --workers, or the address of a cluster in {ADDRESS}"
            )
        if n_there < n:
            self._console.say(
                f"{n} workers need one {self._resource} each, and the cluster has {n_there:g}; "
                f"waiting up to {SCHEDULE_SECONDS:g} s for more"
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
            self._disconnect()

    def _disconnect(self) -> None:
        if self._started_ray:
            self._ray.shutdown()
            self._started_ray = False


class _ActorWorker(Worker):
    """An actor on some machine; a thread waits for what it returns."""

    def __init__(
        self, ray: ModuleType, number: int, job: Job, driver: DriverInfo, resource: Resource
    ) -> None:
        super().__init__(number)
        self._ray, self._job, self._driver, self._resource = ray, job, driver, resource
        self._handle: Any = None
        self._thread: ThreadPoolExecutor | None = None
        self._is_scheduled = False

    @property
    def is_scheduled(self) -> bool:
        """Whether Ray has found a machine for it."""
        return self._is_scheduled

    def _submit_load(self) -> Future[Result]:
        self._is_scheduled = False
        self._thread = ThreadPoolExecutor(1)
        needs_gpu = self._resource == "GPU"
        self._handle = (
            self._ray.remote(RemoteWorker)
            .options(
                num_cpus=0 if needs_gpu else 1,
                num_gpus=1 if needs_gpu else 0,
                max_restarts=0,  # the pool restarts it, and counts how often
                max_task_retries=0,
                runtime_env={"env_vars": ENVIRONMENT | {WORKER_NUMBER: str(self.number)}},
            )
            .remote()
        )
        return self._thread.submit(self._load, self._handle)

    def _submit_batch(self, batch: Batch, following: Sequence[Batch]) -> Future[Result]:
        if self._thread is None:
            raise ValueError("not started")
        return self._thread.submit(self._get, self._handle.answer.remote(batch, following))

    def kill(self) -> None:
        """End the actor, wherever it is."""
        if self._handle is not None:
            self._ray.kill(self._handle)
            self._handle = None

    def wait(self) -> None:
        """Wait until the actor returns nothing any more."""
        if self._thread is not None:
            self._thread.shutdown(wait=True, cancel_futures=True)
            self._thread = None

    def _load(self, handle: Any) -> WorkerInfo:
        """Wait for a machine, then for the model."""
        ping = handle.ping.remote()
        if not self._ray.wait([ping], timeout=SCHEDULE_SECONDS)[0]:
            raise NotScheduled(self._describe_cluster())
        try:
            self._get(ping)
        except (ImportError, RuntimeError) as error:
            if isinstance(error, BrokenExecutor):
                raise
            raise RunError(
                f"--engine ray: {self} cannot be started ({_one_line(error)}) · install the same "
                "vipbench on every machine"
            ) from error
        self._is_scheduled = True
        info: WorkerInfo = self._get(handle.load.remote(self._job, self._driver))
        return info

    def _get(self, reference: Any) -> Any:
        """Return what an actor returns, or raise what it raised; BrokenExecutor where it died."""
        try:
            return self._ray.get(reference)
        except self._ray.exceptions.RayTaskError as error:
            raise error.cause from error
        except self._ray.exceptions.RayError as error:
            raise BrokenExecutor(_one_line(error)) from error

    def _describe_cluster(self) -> str:
        """Say why no machine takes the actor, as far as Ray knows."""
        machines = [node for node in self._ray.nodes() if node["Alive"]]
        total = self._ray.cluster_resources().get(self._resource, 0)
        free = self._ray.available_resources().get(self._resource, 0)
        return (
            f"--engine ray: no machine took {self}, which needs one {self._resource}, within "
            f"{SCHEDULE_SECONDS:g} s; the cluster has {total:g} {self._resource} on {len(machines)}"
            f" machines, {free:g} of it free · what is answered is kept · give the same command to "
            "resume, with fewer --workers or a larger cluster"
        )


def import_ray() -> ModuleType:
    """Import Ray, which takes a second; RunError where it is not installed."""
    try:
        return importlib.import_module("ray")
    except ImportError as error:
        raise RunError(
            f"--engine ray: ray cannot be imported ({_one_line(error)}) · install it with "
            "`pip install 'vipbench[ray]'`"
        ) from error


def _connect(ray: ModuleType, address: str) -> None:
    """Connect this process to Ray; RunError where Ray does not answer at the address."""
    try:
        _check_answers(address)
        ray.init(
            address=address,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        raise RunError(
            f"--engine ray: no connection to {address} ({_one_line(error)}) · start Ray there, or "
            f"unset {ADDRESS} to use this machine alone"
        ) from error


def _check_answers(address: str) -> None:
    """Connect to an address of the form HOST:PORT; OSError where nothing answers."""
    parts = urlsplit(address if "://" in address else f"//{address}")
    if parts.hostname is not None and parts.port is not None:
        socket.create_connection((parts.hostname, parts.port), timeout=_CONNECT_SECONDS).close()


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


# --- in the actor


class RemoteWorker:
    """A worker, on the machine that Ray chose."""

    _job: Job
    _state: WorkerState

    def ping(self) -> None:
        """Return as soon as the actor runs on a machine."""

    def load(self, job: Job, driver: DriverInfo) -> WorkerInfo:
        """Load the model, in the working directory of the first machine.

        Raises:
            RunError: This machine lacks what the first one has.
        """
        _check_folders(job, driver)
        os.chdir(driver.folder)
        _check_versions(driver)
        self._job, self._state = job, WorkerState(job)
        return self._state.info

    def answer(self, batch: Batch, following: Sequence[Batch]) -> Answers:
        """Answer a batch, and prepare the following ones meanwhile.

        An image that only this machine lacks is not an error of the sample.

        Raises:
            RunError: There is such an image.
        """
        answers = self._state.answer(batch, following)
        failed = [i for i, line in enumerate(answers.lines) if line.error is not None]
        requests = batch.requests if failed else []
        for i in failed:
            for image in requests[i].all_images:
                self._check_present(image, requests[i].task)
        return answers

    def _check_present(self, image: str, task: str) -> None:
        """Raise RunError where this machine lacks an image."""
        try:
            path = safe_path(self._job.images[task], image)
        except VipbenchError as error:
            if not isinstance(error.__cause__, FileNotFoundError):
                return
            path = Path(image)
        if not path.exists():
            raise RunError(f"{socket.gethostname()}: there is no image {path} · {_SAME_PATHS}")


_SAME_PATHS = (
    "expected every machine to read the model and the images by the same paths as the first one · "
    "what is answered is kept · give the same command to resume"
)


def _absolute(roots: ImageRoots) -> ImageRoots:
    absolute = tuple(root.absolute() for root in listed(roots))
    return absolute[0] if isinstance(roots, Path) else absolute


def _check_folders(job: Job, driver: DriverInfo) -> None:
    """Refuse a machine that has no such working directory, or no images."""
    places = [("the working directory", driver.folder)]
    places += [
        (f"images of {t}", root) for t, roots in job.images.items() for root in listed(roots)
    ]
    for what, folder in places:
        if not folder.is_dir():
            raise RunError(
                f"{socket.gethostname()}: there is no folder {folder} ({what}) · {_SAME_PATHS}"
            )


def _check_versions(driver: DriverInfo) -> None:
    """Refuse a machine that has other versions of what may change an answer."""
    here = environment.versions()
    for package, version in driver.versions.items():
        if here[package] != version:
            raise RunError(
                f"{socket.gethostname()}: has {package} {here[package]} · expected {version}, with "
                "which the run was started · install the same version on every machine"
            )
