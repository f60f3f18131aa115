"""How fast a machine answers: vipbench beside the two ways that are common.

Each measurement is a process of its own, with its own threads and its own peak of memory. Finished
ones are kept beside the report until that is written, so that a bench which was stopped goes on.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vipbench.bench.driver import KEPT_LINES as KEPT_LINES
    from vipbench.bench.driver import PLAN as PLAN
    from vipbench.bench.driver import bench as bench
    from vipbench.bench.report import BenchReport as BenchReport
    from vipbench.bench.report import Floor as Floor
    from vipbench.bench.report import WayReport as WayReport
    from vipbench.bench.rounds import Bench as Bench
    from vipbench.bench.rounds import Plan as Plan
    from vipbench.bench.rounds import Round as Round
    from vipbench.bench.rounds import Samples as Samples
    from vipbench.bench.settings import N_TUNE as N_TUNE
    from vipbench.bench.settings import N_TUNE_OFFICIAL as N_TUNE_OFFICIAL
    from vipbench.bench.settings import ROUNDS as ROUNDS
    from vipbench.bench.settings import STAGED_ON as STAGED_ON
    from vipbench.bench.settings import USUAL_BATCH_SIZES as USUAL_BATCH_SIZES
    from vipbench.bench.settings import WORKERS as WORKERS
    from vipbench.bench.settings import BenchSettings as BenchSettings
    from vipbench.bench.settings import N as N

_HOMES = {
    "Bench": "vipbench.bench.rounds",
    "BenchReport": "vipbench.bench.report",
    "BenchSettings": "vipbench.bench.settings",
    "Floor": "vipbench.bench.report",
    "KEPT_LINES": "vipbench.bench.driver",
    "N": "vipbench.bench.settings",
    "N_TUNE": "vipbench.bench.settings",
    "N_TUNE_OFFICIAL": "vipbench.bench.settings",
    "PLAN": "vipbench.bench.driver",
    "Plan": "vipbench.bench.rounds",
    "ROUNDS": "vipbench.bench.settings",
    "Round": "vipbench.bench.rounds",
    "STAGED_ON": "vipbench.bench.settings",
    "Samples": "vipbench.bench.rounds",
    "USUAL_BATCH_SIZES": "vipbench.bench.settings",
    "WORKERS": "vipbench.bench.settings",
    "WayReport": "vipbench.bench.report",
    "bench": "vipbench.bench.driver",
}

__all__ = [
    "KEPT_LINES",
    "N_TUNE",
    "N_TUNE_OFFICIAL",
    "PLAN",
    "ROUNDS",
    "STAGED_ON",
    "USUAL_BATCH_SIZES",
    "WORKERS",
    "Bench",
    "BenchReport",
    "BenchSettings",
    "Floor",
    "N",
    "Plan",
    "Round",
    "Samples",
    "WayReport",
    "bench",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
