"""What the machine says of itself: its CPU, its load, the memory of this process; no torch."""

import os
import platform
from pathlib import Path

MIB = 1 << 20


def cpu_name() -> str:
    """Return the model of the CPU, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def load_average() -> tuple[float, float, float] | None:
    """Return the load of the last 1, 5 and 15 minutes; None where the system does not tell."""
    return os.getloadavg() if hasattr(os, "getloadavg") else None


def resident_mib() -> float | None:
    """Return this process's resident memory, MiB; None where the system does not tell."""
    try:
        n_pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return None
    return n_pages * os.sysconf("SC_PAGE_SIZE") / MIB
