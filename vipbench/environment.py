"""What a program runs on: versions, git checkout, time, memory."""

import contextlib
import datetime
import functools
import gc
import importlib.metadata
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from vipbench._version import __version__

PACKAGES = (
    "torch",
    "transformers",
    "tokenizers",
    "pillow",
    "numpy",
    "scipy",
    "pydantic",
)
"""Packages whose version may move a score or an interval."""


def versions(further: Iterable[str] = ()) -> dict[str, str]:
    """Return the versions of Python, of all packages that may move a score, and of `further`."""
    names = {"python": platform.python_version(), "vipbench": __version__}
    return names | {package: _installed(package) for package in (*PACKAGES, *further)}


@functools.cache
def _installed(package: str) -> str:
    """Return the version of a package; it is looked up once, for what is imported stays."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def checkout() -> tuple[str | None, bool | None]:
    """Return commit and dirty flag of the git checkout that vipbench runs from, or two None."""
    root = Path(__file__).resolve().parent.parent
    git = shutil.which("git")
    if git is None or not (root / ".git").exists():
        return None, None
    head = _git(git, root, "rev-parse", "--verify", "HEAD")
    changes = _git(git, root, "status", "--porcelain", "--", "vipbench", "tasks")
    if head is None or changes is None:
        return None, None
    return head, bool(changes)


def now() -> str:
    """Return the time as manifests have it: UTC, ISO 8601, in seconds."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def peak_memory_mib() -> float:
    """Return the largest resident memory of a process so far, in MiB; 0 where unknown.

    Of this one and of those of its children that have ended.
    """
    if sys.platform == "win32":
        return 0.0
    import resource  # not on Windows

    users = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    peak = max(resource.getrusage(user).ru_maxrss for user in users)
    return round(peak / (1024 * 1024 if sys.platform == "darwin" else 1024), 1)


def _git(git: str, root: Path, *arguments: str) -> str | None:
    command = [git, "-C", str(root), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  # ours
    return done.stdout.strip() if done.returncode == 0 else None


@contextlib.contextmanager
def without_collection() -> Iterator[None]:
    """Do not look for garbage in cycles meanwhile.

    Where millions of small records are kept, looking at all of them again and again takes up to
    half of the time.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
