"""Files to samples: finds task files, suites and data, reads the samples and checks them.

`tasks` reads task files and suites, `locate` finds the data of a task, `samples` reads and checks
what is in them. Readers import `safe_path` from here; it is loaded when it is first used.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vipbench.images.decode import safe_path

__all__ = ["safe_path"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from vipbench.images import decode

    return decode.safe_path
