"""Arithmetic alone: intervals, paired comparisons, power. Knows no task and no model.

`clustered_mean` can be imported from here; it is loaded when it is first used.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vipbench.stats.intervals import clustered_mean

__all__ = ["clustered_mean"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from vipbench.stats import intervals

    return intervals.clustered_mean
