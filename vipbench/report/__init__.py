"""report: what this package is for."""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vipbench.report.leaderboard import read_summary as read_summary
    from vipbench.report.leaderboard import run_table as run_table

_HOMES = {
    "read_summary": "vipbench.report.leaderboard",
    "run_table": "vipbench.report.leaderboard",
}

__all__ = [
    "read_summary",
    "run_table",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
