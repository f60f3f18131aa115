"""An evaluation in the middle of a training: what it leaves as it was, and computes outside of."""

import contextlib
import gc
import random
import sys
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def preserved_generators() -> Iterator[None]:
    """Give back the states of the global generators: Python's, numpy's and torch's.

    Nothing here draws from them, but libraries do when they are imported. What is not loaded yet
    has no state that anybody could rely on, and is not loaded for it.
    """
    state = random.getstate()
    numpy: Any = sys.modules.get("numpy")
    # The legacy state is the one that a training seeds.
    numpy_state = None if numpy is None else numpy.random.get_state()
    torch: Any = sys.modules.get("torch")
    is_on_gpu = torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized()
    torch_state = None if torch is None else torch.get_rng_state()
    cuda_states = torch.cuda.get_rng_state_all() if is_on_gpu else []
    try:
        yield
    finally:
        random.setstate(state)
        if numpy is not None:
            numpy.random.set_state(numpy_state)
        if torch is not None:
            torch.set_rng_state(torch_state)
        if is_on_gpu:
            torch.cuda.set_rng_state_all(cuda_states)


AUTOCAST = ("cpu", "cuda", "mps", "xpu")
"""Types of devices whose autocast may be on."""


@contextlib.contextmanager
def outside_autocast() -> Iterator[None]:
    """Compute in the precision of the parameters, whatever autocast the caller is in.

    Where torch is not loaded yet, nobody is in one.
    """
    torch: Any = sys.modules.get("torch")
    with contextlib.ExitStack() as stack:
        for kind in AUTOCAST if torch is not None else ():
            if torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        yield


@contextlib.contextmanager
def preserved(model: Any) -> Iterator[None]:
    """Leave a model in training, its process and its device as they were.

    Mode and precision are those of the model in any case: nothing casts it, and each batch puts
    its modules back into the mode in which they came.

    Args:
        model: in memory. What accelerate has put around its `forward`, which casts what it
            returns, is away meanwhile, so that the model answers in its own precision.
    """
    forward = _accelerated_forward(model)
    if forward is not None:
        wrapped, model.forward = model.forward, forward
    try:
        with preserved_generators():
            yield
    finally:
        if forward is not None:
            model.forward = wrapped
        gc.collect()  # the cycles that a run leaves hold tensors
        torch: Any = sys.modules.get("torch")
        if torch is not None and torch.cuda.is_available():
            torch.cuda.empty_cache()


def _accelerated_forward(model: Any) -> Any:
    """Return the `forward` below accelerate's mixed precision; None where there is none."""
    own = vars(model) if hasattr(model, "__dict__") else {}
    return own.get("_original_forward") if "forward" in own else None
