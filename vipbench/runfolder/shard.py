"""A shard: which part of a run's batches one of several machines asks."""

import re
from collections.abc import Mapping
from typing import Self

from pydantic import Field, model_validator

from vipbench.errors import RunError
from vipbench.schema import Record

AUTO = "auto"


class Shard(Record):
    """Every `count`-th batch of a plan, from the `index`-th on."""

    index: int = Field(ge=1)
    """From 1."""
    count: int = Field(ge=1)

    @model_validator(mode="after")
    def _is_one_of_them(self) -> Self:
        if self.index > self.count:
            raise ValueError(f"shard {self.index} of {self.count} · expected 1 to {self.count}")
        return self

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    @property
    def folder(self) -> str:
        """What its run folder is called, or how that ends."""
        return f"shard-{self.index}-of-{self.count}"

    def batches(self, n: int) -> range:
        """Return which of `n` batches it holds."""
        return range(self.index - 1, n, self.count)


def parse_shard(text: str, environment: Mapping[str, str]) -> Shard:
    """Read `i/n`, or `auto`: what a SLURM array or torchrun says of this process.

    Raises:
        RunError: The text is not a shard, or the environment does not say which one this is.
    """
    if text != AUTO:
        match = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
        if match is None:
            raise RunError(f"--shard {text!r}: expected i/n, such as 1/4, or auto")
        return _shard(int(match[1]), int(match[2]), f"--shard {text}")
    slurm, torchrun = "SLURM_ARRAY_TASK_ID" in environment, "RANK" in environment
    if slurm and torchrun:
        raise RunError(
            "--shard auto: SLURM_ARRAY_TASK_ID (a SLURM array) and RANK (torchrun) are both set · "
            "give --shard i/n"
        )
    if torchrun:
        rank, size = _numbers(environment, "RANK", "WORLD_SIZE")
        return _shard(rank + 1, size, f"--shard auto: RANK={rank} WORLD_SIZE={size}")
    if not slurm:
        raise RunError(
            "--shard auto: neither SLURM_ARRAY_TASK_ID (a SLURM array) nor RANK (torchrun) is set "
            "· give --shard i/n"
        )
    names = ("SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT", "SLURM_ARRAY_TASK_MIN")
    task, count, least = _numbers(environment, *names)
    where = f"--shard auto: task {task} of a SLURM array of {count} from {least}"
    return _shard(task - least + 1, count, f"{where} (expected numbers without gaps)")


def device_of_rank(device: str, environment: Mapping[str, str]) -> str:
    """Return the GPU that torchrun means for this process, where the device is just `cuda`."""
    if device != "cuda" or "RANK" not in environment or "LOCAL_RANK" not in environment:
        return device
    (rank,) = _numbers(environment, "LOCAL_RANK")
    return f"cuda:{rank}"


def _shard(index: int, count: int, where: str) -> Shard:
    if not 1 <= index <= count:
        raise RunError(f"{where}: there is no such shard · expected i/n with i from 1 to n")
    return Shard(index=index, count=count)


def _numbers(environment: Mapping[str, str], *names: str) -> list[int]:
    numbers = []
    for name in names:
        value = environment.get(name, "")
        if not re.fullmatch(r"[0-9]{1,9}", value):
            raise RunError(
                f"--shard auto: {name} is {value!r} · expected a whole number · give --shard i/n"
            )
        numbers.append(int(value))
    return numbers
