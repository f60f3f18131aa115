"""Runs the command line in this process, and kills it at the n-th step that it takes on the disk.

    python tests/killing/launch.py LOG STEP TORN ARGUMENT...

A step is a file that is opened to be written, an fsync, a rename, a truncation, a removal or a new
folder, of whatever lies below the current folder. Each is written to the file LOG before it is
taken. At step STEP (counted from 0; -1: never) the process is killed by SIGKILL before it takes it.
With TORN = 1 and at an fsync, the file first loses a part of what was written since its last one,
as when the kernel had written only some of it.
"""

import os
import random
import signal
import sys
import threading
from pathlib import Path
from typing import Any

OPEN_TO_WRITE = os.O_WRONLY | os.O_RDWR
STEPS = {
    "os.rename": "rename",
    "os.truncate": "truncate",
    "os.remove": "remove",
    "os.mkdir": "mkdir",
    "os.rmdir": "rmdir",
}
"""Event of Python's audit -> what the log calls it. `replace` is a rename."""


class Steps:
    """Counts steps, and ends the process at one."""

    def __init__(self, log: Path, last: int, *, torn: bool) -> None:
        self.handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        self.here = os.getcwd() + os.sep  # noqa: PTH109
        self.last, self.torn = last, torn
        self.n = 0
        self.synced: dict[str, int] = {}
        self.lock = threading.RLock()
        self.is_tearing = False
        self.fsync = os.fsync

    def audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            if isinstance(path, str | bytes | os.PathLike) and flags & OPEN_TO_WRITE:
                self.step("open", path)
        elif event in STEPS:
            self.step(STEPS[event], arguments[0])

    def sync(self, file: Any) -> None:
        handle = file if isinstance(file, int) else file.fileno()
        path = os.readlink(f"/proc/self/fd/{handle}")  # noqa: PTH115
        self.step("fsync", path, handle)
        self.fsync(handle)
        self.synced[path] = os.fstat(handle).st_size

    def step(self, what: str, path: Any, handle: int | None = None) -> None:
        if isinstance(path, int) or self.is_tearing:
            return
        place = os.path.abspath(os.fsdecode(path))  # noqa: PTH100  # links stay as they are
        if not place.startswith(self.here) or "__pycache__" in place:
            return
        with self.lock:
            os.write(self.handle, f"{what} {place.removeprefix(self.here)}\n".encode())
            if self.n == self.last:
                if handle is not None and self.torn:
                    self.tear(place, handle)
                os.kill(os.getpid(), signal.SIGKILL)
            self.n += 1

    def tear(self, place: str, handle: int) -> None:
        self.is_tearing = True  # a truncation that is no step
        size = os.fstat(handle).st_size
        if not os.path.isfile(place):  # noqa: PTH113
            return
        os.truncate(
            place, random.Random(self.n).randint(min(self.synced.get(place, 0), size), size)
        )


def main() -> None:
    log, step, torn, *arguments = sys.argv[1:]
    from vipbench import cli

    steps = Steps(Path(log), int(step), torn=torn == "1")
    sys.addaudithook(steps.audit)
    os.fsync = steps.sync  # type: ignore[assignment]  # takes its argument by place
    sys.argv = ["vipbench", *arguments]
    cli.main()


if __name__ == "__main__":
    main()
