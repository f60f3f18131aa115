"""Where the embedded benchmark and its checkpoints are; the benchmark is written on first use."""

import tempfile
from pathlib import Path

from vipbench.data.cache import cache_folder
from vipbench.data.locate import KEYS
from vipbench.errors import DataError
from vipbench.schema import DataSource

CHECKPOINTS = Path(__file__).parent / "checkpoints"
CHECKPOINT = CHECKPOINTS / "vipllava-demo"
CHECKPOINT_EARLY = CHECKPOINTS / "vipllava-demo-early"
VERSION = 1
"""Raised by every change to what the generator writes."""
N = 250
"""Questions of each benchmark."""


def benchmark() -> dict[str, DataSource]:
    """Locate the embedded benchmark, writing it on first use.

    It lies in `$VIPBENCH_CACHE`, else `~/.cache/vipbench`, and takes about 6 MB on disk. Raises
    DataError where it cannot be written.
    """
    cache = cache_folder()
    folder = cache / f"demo-{VERSION}-{N}"
    if not folder.is_dir():
        from vipbench.demo.generate import make

        try:
            cache.mkdir(parents=True, exist_ok=True)
            # written elsewhere and renamed, so that a folder of that name is always complete
            with tempfile.TemporaryDirectory(prefix="demo-", dir=cache) as scratch:
                make(Path(scratch) / "data", N)
                (Path(scratch) / "data").rename(folder)
        except OSError as error:
            if not folder.is_dir():  # else another process was first
                raise DataError(
                    f"{folder}: the embedded benchmark cannot be written ({error.strerror}) ·"
                    " name a folder for it by VIPBENCH_CACHE"
                ) from error
    return sources(folder)


def sources(folder: Path) -> dict[str, DataSource]:
    """Map each data key to its folder below one that `vipbench demo make` wrote."""
    return {key: DataSource(folder / key, folder / key) for key in KEYS}
