"""Rows of metrics as tables: leaderboards, terminal, and how numbers and markup are written."""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vipbench.report.terminal import run_table as run_table
    from vipbench.runfolder.summary import read_summary as read_summary

_HOMES = {
    "read_summary": "vipbench.runfolder.summary",
    "run_table": "vipbench.report.terminal",
}

__all__ = [
    "read_summary",
    "run_table",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
