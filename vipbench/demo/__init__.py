"""The embedded benchmark and its checkpoints: what makes a first run mean something.

`embedded` knows where they are, `generate` writes the benchmark from `scenes`, and `train` makes
the checkpoints with the tasks of `lessons`. What outsiders use can be imported from here; it is
loaded when it is first used.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vipbench.demo.embedded import CHECKPOINT as CHECKPOINT
    from vipbench.demo.embedded import CHECKPOINT_EARLY as CHECKPOINT_EARLY
    from vipbench.demo.embedded import benchmark as benchmark
    from vipbench.demo.embedded import sources as sources

__all__ = ["CHECKPOINT", "CHECKPOINT_EARLY", "benchmark", "sources"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from vipbench.demo import embedded

    return getattr(embedded, name)
