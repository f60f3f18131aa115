"""The processes of a training: the first one works, and the others wait until it is done."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, NamedTuple, TypeVar

import torch.distributed as dist

from vipbench.errors import VipbenchError

PATIENCE = timedelta(days=7)
"""How long the others wait; the default of a process group is shorter than a large benchmark."""

T = TypeVar("T")


class Failed(NamedTuple):
    """What the first process could not do, for the others."""

    error: VipbenchError


class Ranks:
    """All processes of a training, or this one alone."""

    def __init__(self) -> None:
        """Make a group that waits longer than that of the training; all processes have to."""
        is_several = dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1
        # By gloo, since a process that waits by NCCL keeps its GPU busy.
        self._group: Any = dist.new_group(backend="gloo", timeout=PATIENCE) if is_several else None

    @property
    def is_first(self) -> bool:
        """Whether this is the process that works."""
        return self._group is None or dist.get_rank() == 0

    def first_does(self, work: Callable[[], T]) -> T:
        """Have the first process work, and return in all what it has returned.

        Raises:
            VipbenchError: It could not; raised in all of them, so that none waits for ever.
        """
        if self._group is None:
            return work()
        found: list[Any] = [Failed(VipbenchError("the first process ended without a word"))]
        try:
            if self.is_first:
                found = [work()]
        except VipbenchError as error:
            found = [Failed(error)]
        finally:
            dist.broadcast_object_list(found, src=0, group=self._group)
        if isinstance(found[0], Failed):
            raise found[0].error
        result: T = found[0]
        return result
