"""What a machine has left for more processes: cores and memory, as far as the system tells."""

import os
import time
from collections.abc import Collection
from pathlib import Path

_SECONDS = 0.25
"""For which cores are watched: 25 ticks of the clock that their time is counted by."""
_SIBLINGS = "/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"
_KIB = 1024


def allowed_cpus() -> set[int]:
    """Return the numbers of the CPUs that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return set(range(os.cpu_count() or 1))


def n_physical(cpus: Collection[int]) -> int:
    """Count the cores that some CPUs are; two threads of one core are one."""
    return len({_siblings(cpu) for cpu in cpus})


def n_busy(cpus: Collection[int]) -> float:
    """Watch how many of some CPUs are busy while this process waits; 0 where nobody tells."""
    before = _times(cpus)
    time.sleep(_SECONDS if before else 0)
    after = _times(cpus)
    busy = 0.0
    for cpu in before.keys() & after.keys():
        all_ = sum(after[cpu]) - sum(before[cpu])
        idle = after[cpu][0] - before[cpu][0]
        busy += 1 - idle / all_ if all_ > 0 else 0.0
    return busy


def free_bytes() -> int | None:
    """Return the memory that can be had without swapping; None where the system does not tell."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    found = (line.split()[1] for line in lines if line.startswith("MemAvailable:"))
    return next((int(text) * _KIB for text in found), None)


def _siblings(cpu: int) -> str:
    """Name a CPU's core by the CPUs that it is; by itself where nobody tells."""
    try:
        return Path(_SIBLINGS.format(cpu)).read_text(encoding="ascii").strip()
    except OSError:
        return str(cpu)


def _times(cpus: Collection[int]) -> dict[int, tuple[int, int]]:
    """Return of each CPU the ticks in which it was idle, and the others, since it was started."""
    try:
        lines = Path("/proc/stat").read_text(encoding="ascii").splitlines()
    except OSError:
        return {}
    names = {f"cpu{cpu}": cpu for cpu in cpus}
    times = {}
    for line in lines:
        name, *ticks = line.split()
        if name in names:
            # user, nice, system, idle, iowait, irq, softirq, steal; what follows is in user
            numbers = [int(text) for text in ticks[:8]]
            idle = sum(numbers[3:5])
            times[names[name]] = idle, sum(numbers) - idle
    return times
