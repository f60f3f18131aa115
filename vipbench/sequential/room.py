"""Whether the models of several runs that are asked in turn may stay loaded side by side."""

from collections.abc import Mapping, Sequence

from vipbench.console import Console
from vipbench.engine.cores import free_bytes
from vipbench.run.prepare import Prepared
from vipbench.run.workers import MEMORY_SHARE, PROCESS_BYTES
from vipbench.sequential.asking import Arm, BlockRun

ITEM_BYTES = {"float16": 2, "bfloat16": 2}
"""Of a weight; else 4."""


def ask_all(
    runs: Sequence[BlockRun], block: int, arms: Mapping[BlockRun, Sequence[Arm]], *, together: bool
) -> None:
    """Ask a block of the runs that have arms in it, and unload the models of those that have none.

    `together`: models that will be asked again stay loaded; else they make room for each other.

    Raises:
        VipbenchError: As `BlockRun.ask`.
    """
    for run in runs:
        if run not in arms:
            run.let_go()
    for run in runs:
        if run in arms:
            run.ask(block, arms[run])
            if len(arms) > 1 and not together:
                run.let_go()


def stay_loaded(runs: Sequence[BlockRun], console: Console) -> bool:
    """Say whether models stay loaded side by side; `console` is told where they do not."""
    together = fit_together(runs)
    if not together:
        console.say(
            f"{len(runs)} models are loaded one after another for each block: there is no room for "
            "them side by side"
        )
    return together


def fit_together(runs: Sequence[BlockRun]) -> bool:
    """Say whether the models of some runs can be loaded at a time.

    On a GPU two cannot: batches are as large as its memory allows beside the weights of one. On a
    CPU they can where weights and processes take no more than half of the memory that is free. A
    model that says no size, such as one behind an endpoint, takes nothing here.
    """
    if len(runs) < 2:
        return True
    on_gpu = [run for run in runs if run.prepared.model.device.startswith(("cuda", "mps"))]
    if len(on_gpu) > 1:
        return False
    free = free_bytes()
    needed = sum(_bytes(run.prepared, run.n_workers) for run in runs if run not in on_gpu)
    return free is None or needed <= MEMORY_SHARE * free


def _bytes(prepared: Prepared, n_workers: int) -> int:
    """Estimate what a model takes in the memory of this machine."""
    if not prepared.spec.loads_checkpoint:
        return 0
    outline = prepared.spec.outline()
    item = ITEM_BYTES.get(prepared.model.settings.dtype or "", 4)
    if outline.sizes is not None:
        weights = outline.sizes.n_weights * item
    else:
        weights = outline.weight_bytes or 0
    return n_workers * (weights + PROCESS_BYTES)
