"""`--workers auto`: as many processes on a CPU as have a core each, where that is worth the start.

What comes out does not depend on it: batches are planned before, and in float32 their answers are
the same in every process.
"""

from typing import NamedTuple

from vipbench.console import Console
from vipbench.engine.cores import allowed_cpus, free_bytes, n_busy, n_physical
from vipbench.run.prepare import Prepared
from vipbench.run.resume import Started
from vipbench.run.settings import VIPLLAVA, RunSettings
from vipbench.runners.vipllava.model_sizes import ModelSizes

START_SECONDS = 5.0
"""That several processes take longer to start than one: each loads torch (docs/performance.md)."""
REQUEST_SECONDS = 0.0025
"""Of one request beside its arithmetic, in one process, at the fastest that was measured (there):
what several processes share among them. In arithmetic, one process uses all cores as well."""
CORE_SPEED = 5e10
"""Operations a second of a core; a fast one does twice as many."""
ARITHMETIC_GAIN = 0.1
"""Share of the arithmetic's time that processes of their own save, which wait for no other."""
PROCESS_BYTES = 600 << 20
"""That a process takes beside the weights: Python, torch, a batch (525 MB at most, there)."""
MEMORY_SHARE = 0.5
"""Of the free memory that all of them may take."""


class Machine(NamedTuple):
    """What there is for more processes."""

    n_cores: int
    n_free: int
    """Of them, those that nobody else uses."""
    n_bytes: int | None
    """Free memory; None: not known."""


def look() -> Machine:
    """Look at this machine, which takes a moment."""
    cpus = allowed_cpus()
    n_cores = n_physical(cpus)
    n_free = n_cores - round(n_busy(cpus)) if n_cores > 1 else n_cores
    return Machine(n_cores, n_free, free_bytes())


def with_workers(
    settings: RunSettings, prepared: Prepared, started: Started, console: Console
) -> tuple[RunSettings, Started]:
    """Settle how many processes answer what is left, where that is left to this machine.

    Returns:
        Settings and manifest with a number; `console` is told which, and why, on a CPU.
    """
    if settings.workers != "auto":
        return settings, started
    n = 1
    if started.todo and can_choose(settings, prepared):
        sizes = prepared.spec.outline().sizes
        if sizes is not None:
            lengths = [
                prepared.trials.entries[i].length
                for batch in started.todo
                for i in started.plan[batch]
            ]
            n, why = choose(lengths, len(started.todo), sizes, n_physical(allowed_cpus()))
            console.say(f"workers: {n} ({why})")
    manifest = started.manifest.model_copy(update={"workers": n})
    return (
        settings.model_copy(update={"workers": n}),
        started._replace(manifest=manifest),
    )


def can_choose(settings: RunSettings, prepared: Prepared) -> bool:
    """Whether several processes of this CPU may answer, and answer as one does."""
    model = prepared.model
    return (
        settings.runner == VIPLLAVA
        and settings.engine == "local"
        and settings.shard is None  # others may be on the same machine
        and model.device == "cpu"
        and model.build is not None
        and model.settings.dtype == "float32"
    )


def choose(lengths: list[int], n_batches: int, sizes: ModelSizes, n_cores: int) -> tuple[int, str]:
    """Choose a number of processes, and say why.

    Args:
        lengths: tokens of the prompts that are left.
        n_batches: that they are in.
        sizes: of the model.
        n_cores: that this process may use.
    """
    n = min(n_cores, n_batches)
    if n < 2:
        return 1, "one core" if n_cores < 2 else "one batch"
    if saved_seconds(lengths, sizes, n) < START_SECONDS:
        return 1, f"{len(lengths):,} requests are too few to start more processes for"
    machine = look()
    n = min(n, machine.n_free)
    if n < 2:
        return 1, f"{max(machine.n_free, 0)} of {n_cores} cores are free"
    needed = 4 * sizes.n_weights + PROCESS_BYTES
    if machine.n_bytes is None:
        return 1, "it is not known how much memory is free"
    fitting = int(MEMORY_SHARE * machine.n_bytes / needed)
    if fitting < 2:
        free, each = machine.n_bytes >> 20, needed >> 20
        return 1, f"half of the {free:,} MiB of free memory does not hold two of {each:,} MiB"
    n = min(n, fitting)
    return n, f"{machine.n_free} of {n_cores} cores are free, for {len(lengths):,} requests"


def saved_seconds(lengths: list[int], sizes: ModelSizes, n: int) -> float:
    """Estimate what `n` processes save against one, beside their start; rather too little."""
    vision = 2 * sizes.n_image_tokens * (sizes.n_weights - _text_weights(sizes))
    operations = sum(lengths) * 2 * _text_weights(sizes) + len(lengths) * vision
    arithmetic = operations / (CORE_SPEED * n)
    return len(lengths) * REQUEST_SECONDS * (1 - 1 / n) + ARITHMETIC_GAIN * arithmetic


def _text_weights(sizes: ModelSizes) -> int:
    """Return the weights that each token of a prompt meets."""
    attention = 2 * sizes.width * sizes.head_width * (sizes.heads + sizes.key_value_heads)
    return sizes.layers * (attention + 3 * sizes.width * sizes.mlp)
