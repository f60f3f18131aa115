"""Rows as numbers with names."""

from collections.abc import Iterable

from vipbench.analysis.history import HistoryRow
from vipbench.runfolder.summary import ALL, Row

PREFIX = "vipbench"


def run_metrics(rows: Iterable[Row]) -> dict[str, float]:
    """Return the numbers of a run: `vipbench/<task>/<style>/<metric>/accuracy` and its like.

    That is the accuracy of every row, 0-1, behind its group where it has one; of whole tasks also
    the bounds of the interval, and how many samples were scored and failed.
    """
    metrics: dict[str, float] = {}
    for row in rows:
        name = _name(row.task, row.style, row.metric, row.group)
        if row.group == ALL:
            metrics |= {f"{name}/n": row.n, f"{name}/n_errors": row.n_errors}
        values = {"accuracy": row.accuracy}
        if row.group == ALL:
            values |= {"ci_low": row.ci_low, "ci_high": row.ci_high}
        metrics |= {f"{name}/{key}": value for key, value in values.items() if value is not None}
    return metrics


def history_metrics(rows: Iterable[HistoryRow], step: int) -> dict[str, float]:
    """Return the numbers of one step of a history, by the names that a run has too."""
    metrics: dict[str, float] = {}
    for row in rows:
        if row.step != step:
            continue
        name = _name(row.task, row.style, row.metric, row.group)
        values = {
            "accuracy": row.accuracy,
            "ci_low": row.ci_low,
            "ci_high": row.ci_high,
            "from_start": row.from_start,
            "from_best": row.from_best,
        }
        metrics |= {f"{name}/{key}": value for key, value in values.items() if value is not None}
        metrics |= {
            f"{name}/dropped_from_start": float(row.dropped_from_start),
            f"{name}/dropped_from_best": float(row.dropped_from_best),
        }
    return metrics


def _name(task: str, style: str, metric: str, group: str) -> str:
    parts = (PREFIX, task, style, metric, *(() if group == ALL else (group,)))
    return "/".join(part.replace("/", "_") for part in parts)
