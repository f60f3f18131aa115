import os
import platform
import subprocess
import sys

import pytest

COUNT = """
import resource
import sys
import numpy as np
from vipbench.runners.memory import keep_freed_memory

if sys.argv[1] == "kept":
    keep_freed_memory()
for i in range(12):
    if i == 2:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    parts = [np.ones(1 << 21) for _ in range(4)]  # 16 MiB each
    del parts
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def count_faults(how: str, **environment: str) -> int:
    clean = {name: text for name, text in os.environ.items() if not name.startswith("MALLOC_")}
    command = [sys.executable, "-c", COUNT, how]
    return int(subprocess.check_output(command, env=clean | environment, text=True))


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_freed_memory_is_kept_for_the_next_batch() -> None:
    given_back = count_faults("given back")
    assert count_faults("kept") < given_back / 10
    # What the environment says stays.
    assert count_faults("kept", MALLOC_TRIM_THRESHOLD_="1000000") > given_back / 2
