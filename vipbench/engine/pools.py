"""Choose the workers of a run: processes of this machine, or actors of a Ray cluster."""

import os
from collections.abc import Mapping

from vipbench.console import Console
from vipbench.engine.loaders import count_ahead
from vipbench.engine.processes import ProcessPool
from vipbench.engine.ray_actors import RayPool
from vipbench.engine.workers import Job, WorkerPool
from vipbench.runners.device import assign_devices
from vipbench.runners.remembered import remembered_prompts
from vipbench.runners.spec import Build, Model
from vipbench.schema import Engine, ImageRoots


def make_pool(
    engine: Engine,
    model: Model,
    build: Build,
    name: str,
    n: int,
    images: Mapping[str, ImageRoots],
    console: Console,
    *,
    n_loaders: int = 0,
    shares: bool = False,
) -> WorkerPool:
    """Choose `n` workers with a device each; none of them is started yet.

    Args:
        engine: where they live.
        model: what they answer with; several take a GPU each, or share the CPU.
        build: builds its runner in each of them.
        name: what messages call the runner.
        n: at least 1.
        images: the folder below which each task's images lie, by the task's name.
        console: hears of workers that were killed, and of more workers than cores.
        n_loaders: processes of each worker that load images.
        shares: whether what requests of a batch have in common is read once.

    Raises:
        RunnerError: There are fewer devices than workers.
        RunError: Ray is not installed.
    """
    job = Job(build, name, None, images, n_loaders, shares, remembered_prompts())
    ahead, placement = count_ahead(n_loaders, model.device), model.placement
    if engine == "ray":
        return RayPool(
            [job._replace(device=placement.device if placement else None)] * n,
            console,
            resource="GPU" if model.device.startswith("cuda") else "CPU",
            ahead=ahead,
            weights=model.weights,
        )
    if model.device == "cpu" and n > (os.cpu_count() or 1):
        console.say(f"{n} workers are more than the {os.cpu_count()} cores of this machine")
    devices = assign_devices(placement.torch_device(), n) if placement else [None] * n
    jobs = [job._replace(device=device) for device in devices]
    return ProcessPool(jobs, console, ahead=ahead, weights=model.weights)
