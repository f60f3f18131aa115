"""The embedded benchmark and its checkpoint: what makes a first run mean something."""

import os
import shutil
import tempfile
from pathlib import Path

from vipbench.data import KEYS
from vipbench.schema import DataSource

CHECKPOINTS = Path(__file__).parent / "checkpoints"
CHECKPOINT = CHECKPOINTS / "vipllava-demo"
CHECKPOINT_EARLY = CHECKPOINTS / "vipllava-demo-early"
VERSION = 1
"""Raised by every change to what the generator writes."""
N = 250
"""Questions a benchmark."""


def benchmark() -> dict[str, DataSource]:
    """Locate the embedded benchmark, writing it on first use.

    It lies in `$VIPBENCH_CACHE`, else `~/.cache/vipbench`, and takes about 3 MB.
    """
    cache = Path(os.environ.get("VIPBENCH_CACHE") or Path.home() / ".cache" / "vipbench")
    folder = cache / f"demo-{VERSION}-{N}"
    if not folder.is_dir():
        from vipbench.demo.generate import make

        cache.mkdir(parents=True, exist_ok=True)
        # written aside and renamed, so that a folder of that name is always whole
        unfinished = Path(tempfile.mkdtemp(prefix="demo-", dir=cache))
        make(unfinished, N)
        try:
            unfinished.rename(folder)
        except OSError:
            shutil.rmtree(unfinished)  # another process was first
    return sources(folder)


def sources(folder: Path) -> dict[str, DataSource]:
    """Map each data key to its folder below one that `vipbench demo make` wrote."""
    return {key: DataSource(folder / key, folder / key) for key in KEYS}
