"""The command line: reads what the user types, calls one function, prints what comes back.

Everything that takes time to import is imported by the command that needs it, so that help is there
at once. Each module adds its commands to the application; help lists them in the order of imports.
"""

# ruff: isort: off
from vipbench.cli.app import app, main
from vipbench.cli import run, plan, watch, score, leaderboard
from vipbench.cli import calibrate
from vipbench.cli import merge
from vipbench.cli import export, import_
from vipbench.cli import compare, gate, race, power
from vipbench.cli import certify
from vipbench.cli import reproduce
from vipbench.cli import kit, verify
from vipbench.cli import history, report
from vipbench.cli import sweep
from vipbench.cli import render, check, show
from vipbench.cli import ls, name
from vipbench.cli import data
from vipbench.cli import convert
from vipbench.cli import demo
from vipbench.cli import bench

__all__ = [
    "app",
    "bench",
    "calibrate",
    "certify",
    "check",
    "compare",
    "convert",
    "data",
    "demo",
    "export",
    "gate",
    "history",
    "import_",
    "kit",
    "leaderboard",
    "ls",
    "main",
    "merge",
    "name",
    "plan",
    "power",
    "race",
    "render",
    "report",
    "reproduce",
    "run",
    "score",
    "show",
    "sweep",
    "verify",
    "watch",
]
