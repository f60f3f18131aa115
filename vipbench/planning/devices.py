"""Devices by name: the peak of their matrix products, and their memory, as their makers state."""

import re
from typing import NamedTuple

from vipbench.errors import RunError, nearest


class Device(NamedTuple):
    """One kind of device."""

    name: str
    peak_16: float
    """Operations a second of dense products of float16 or bfloat16, summed in float32."""
    peak_32: float
    """The same of float32, which torch does not round to TF32 unless it is told to."""
    memory_gb: int
    """As the maker states it; taken as 10^9 bytes, a little less than what a card has."""
    source: str


DEVICES = (
    Device("A10", 125e12, 31.2e12, 24, "NVIDIA A10 datasheet"),
    Device("A100-40GB", 312e12, 19.5e12, 40, "NVIDIA A100 datasheet"),
    Device("A100-80GB", 312e12, 19.5e12, 80, "NVIDIA A100 datasheet"),
    Device("H100", 989e12, 67e12, 80, "NVIDIA H100 datasheet, SXM; half of `with sparsity`"),
    Device("H100-PCIe", 756e12, 51e12, 80, "NVIDIA H100 datasheet, PCIe; half of `with sparsity`"),
    Device("H200", 989e12, 67e12, 141, "NVIDIA H200 datasheet, SXM; half of `with sparsity`"),
    Device("L4", 121e12, 30.3e12, 24, "NVIDIA L4 datasheet; half of `with sparsity`"),
    Device("L40S", 362e12, 91.6e12, 48, "NVIDIA L40S datasheet"),
    Device("RTX-4090", 165e12, 82.6e12, 24, "NVIDIA Ada whitepaper, FP32 accumulate"),
    Device("T4", 65e12, 8.1e12, 16, "NVIDIA T4 datasheet"),
    Device("V100", 125e12, 15.7e12, 32, "NVIDIA V100 datasheet, SXM2, 32 GB"),
)
CPU = "cpu"
_LISTED = ", ".join((*(device.name for device in DEVICES), CPU))
_FILLING = frozenset(
    ("nvidia", "geforce", "tesla", "gpu", "sxm", "sxm2", "sxm3", "sxm4", "sxm5", "hbm2", "hbm3")
)
"""Words of a name that tell nothing apart."""
MOST = 4096


class Fleet(NamedTuple):
    """So many devices of one kind."""

    n: int
    name: str | None
    """None: of the kind that was measured."""
    device: Device | None
    """None: a CPU, or of the kind that was measured."""


def parse_fleet(text: str) -> Fleet:
    """Read `2 x H100`, `H100` or `2`.

    Raises:
        RunError: The device is not known, or the number is none.
    """
    match = re.fullmatch(r"([0-9]{1,9})(?:\s*[x*]\s*(\S.*))?", text.strip())
    n = int(match[1]) if match else 1
    name = (match[2] if match else text.strip()) or ""
    if not (match or name) or not 1 <= n <= MOST:
        raise RunError(
            f"--devices {text!r}: names no devices · expected a number from 1 to {MOST:,}, a name, "
            "or both, such as '2 x H100'"
        )
    if not name:
        return Fleet(n, None, None)
    if name.casefold() == CPU:
        return Fleet(n, CPU, None)
    device = find_device(name, exactly=True)
    if device is None:
        hint = nearest(name, [*(device.name for device in DEVICES), CPU])
        known = "" if hint.startswith(" · known") else f" · known: {_LISTED}"
        raise RunError(
            f"--devices {text!r}: device {name!r} is unknown{hint}{known} · of another, give the "
            "number alone and --bench FILE, measured there"
        )
    return Fleet(n, device.name, device)


def find_device(name: str, *, exactly: bool = False) -> Device | None:
    """Find the device that a name means, such as torch's `NVIDIA A100-SXM4-80GB`.

    An A100 whose memory is not told has 40 GB. `exactly`: no word of the name may be left over.
    """
    words = set(re.findall(r"[a-z0-9]+", name.lower()))
    found = [device for device in DEVICES if _words(device) <= words]
    if not found and "a100" in words:
        found = [device for device in DEVICES if device.name == "A100-40GB"]
    if not found:
        return None
    device = max(found, key=lambda each: len(_words(each)))
    left = words - _words(device) - _FILLING - {f"{device.memory_gb}gb"}
    return None if exactly and left - {"a100"} else device


def _words(device: Device) -> set[str]:
    return set(re.findall(r"[a-z0-9]+", device.name.lower()))
