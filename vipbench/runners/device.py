"""Where a model computes, and in which numbers; torch is imported only where it has to tell."""

import re
from typing import TYPE_CHECKING, NamedTuple

from vipbench.errors import RunnerError, nearest

if TYPE_CHECKING:
    import torch

DEVICES = ("auto", "cpu", "cuda", "mps")
DTYPES = {
    "float32": "float32",
    "float16": "float16",
    "bfloat16": "bfloat16",
    "fp32": "float32",
    "fp16": "float16",
    "bf16": "bfloat16",
}
"""Names that users may give, and torch's names."""
_DEVICE = re.compile(r"auto|(cpu|cuda|mps)(:[1-9]?[0-9])?")


class Placement(NamedTuple):
    """Where a model computes, and in which numbers: torch's names, resolved once a run."""

    device: str
    """Such as `cuda:1`."""
    dtype: str
    """Such as `float16`."""

    def torch_device(self) -> "torch.device":
        """Return the device as torch has it."""
        import torch  # takes seconds

        return torch.device(self.device)

    def torch_dtype(self) -> "torch.dtype":
        """Return the dtype as torch has it."""
        import torch  # takes seconds

        dtype: torch.dtype = getattr(torch, self.dtype)
        return dtype


def check_names(device: str | None, dtype: str | None) -> None:
    """Check without torch that there are such names; RunnerError suggests the nearest."""
    if device is not None and not _DEVICE.fullmatch(device):
        kind = device.partition(":")[0]
        raise RunnerError(
            f"device {device!r} is unknown{nearest(kind, DEVICES)} · expected a name such as cuda:1"
        )
    if dtype is not None and dtype not in (*DTYPES, "auto"):
        raise RunnerError(f"dtype {dtype!r} is unknown{nearest(dtype, (*DTYPES, 'auto'))}")


def find_placement(device: str | None, dtype: str | None) -> Placement:
    """Resolve what the user says into a device that exists here, and a dtype.

    A device of None or `auto` is the first of CUDA, MPS and CPU; a dtype of None or `auto` is
    float16 on CUDA, float32 elsewhere.

    Raises:
        RunnerError: There is no such name, or no such device here.
    """
    check_names(device, dtype)
    found = find_device(device)
    return Placement(str(found), dtype_on(found.type, dtype))


def dtype_on(device_type: str, name: str | None) -> str:
    """Return torch's name of a dtype; None or `auto`: float16 on CUDA, float32 elsewhere."""
    if name is None or name == "auto":
        # Official: float16 (llava/model/builder.py). On a CPU 16 bit is several times slower.
        return "float16" if device_type == "cuda" else "float32"
    return DTYPES[name]


def find_device(name: str | None) -> "torch.device":
    """Return a device that exists here; None or `auto`: the first of CUDA, MPS and CPU."""
    import torch  # takes seconds

    check_names(name, None)
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if name is None or name == "auto":
        return torch.device("cuda" if cuda else "mps" if mps else "cpu")
    device = torch.device(name)
    there = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(mps)}.get(device.type, 0)
    if (device.index or 0) >= there:
        raise RunnerError(
            f"device {name!r} is not available ({there} of this kind found) · use --device auto "
            "or cpu"
        )
    return device


def device_in_words(name: str | None) -> str:
    """Return the device that a name stands for, with the name of a GPU: `cuda:0 NVIDIA A100`.

    Raises:
        RunnerError: There is no such device here.
    """
    import torch

    device = find_device(name)
    words = torch.cuda.get_device_name(device) if device.type == "cuda" else ""
    return f"{device} {words}".strip()


def assign_devices(device: "torch.device", n: int) -> list[str]:
    """Return a device for each of `n` workers: a GPU each, or the CPU for all of them.

    Raises:
        RunnerError: There are fewer than that.
    """
    import torch  # takes seconds

    if device.type == "cpu":
        return ["cpu"] * n
    if n > 1 and device.index is not None:
        raise RunnerError(
            f"{n} workers: need a device each, and {device} is one · give --device {device.type}"
        )
    there = torch.cuda.device_count() if device.type == "cuda" else 1
    if n > there:
        needed = "1 worker needs 1 device" if n == 1 else f"{n} workers need {n} devices"
        count = {0: "there is none", 1: "there is 1"}.get(there, f"there are {there}")
        fewer = f"--workers {there}, or " if there else ""
        raise RunnerError(f"{needed}, and {count} ({device.type}) · use {fewer}--device cpu")
    return [str(device)] if n == 1 else [f"{device.type}:{i}" for i in range(n)]


def check_placed(device: "torch.device") -> None:
    """Refuse devices that Ray does not hand out: it gives each worker one GPU, or one CPU."""
    if device.type not in ("cpu", "cuda") or device.index is not None:
        raise RunnerError(
            f"--engine ray: gives each worker a GPU or a CPU, not {device} · give --device cuda or "
            "cpu"
        )
