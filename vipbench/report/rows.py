"""What a row of metrics says to a reader: its accuracy, its doubts, its warnings."""

from collections.abc import Callable, Iterable

from vipbench.report.text import MISSING, percent, percent_interval
from vipbench.runfolder.manifest import Manifest
from vipbench.runfolder.summary import ALL, Row
from vipbench.stats.intervals import MIN_CLUSTERS

TROUBLES: dict[str, Callable[[Row], int]] = {
    "errors": lambda row: row.n_errors,
    "unparsed": lambda row: row.n_unparsed,
    "truncated": lambda row: row.n_truncated,
    "refused": lambda row: row.n_refused,
    "filtered": lambda row: row.n_filtered,
    "ungraded": lambda row: row.n_ungraded,
    "asked of extractor": lambda row: row.n_extractor_asked,
    "read by extractor": lambda row: row.n_extractor_read,
    "mark lost": lambda row: row.n_marks_lost,
    "mark cut": lambda row: row.n_marks_cut,
}
"""What accuracy alone does not show; tables have a column for each that occurs."""


def accuracy_text(row: Row) -> str:
    """Write an accuracy in percent with its interval: `81.2 [76.1, 85.4]`, `?` if unreliable."""
    if row.accuracy is None or row.ci_low is None or row.ci_high is None:
        return MISSING
    return percent_interval(row.accuracy, row.ci_low, row.ci_high) + doubt(row)


def short_accuracy_text(row: Row) -> str:
    """Write an accuracy with an interval in whole percent: `81.2 [76-85]`, `?` if unreliable."""
    if row.accuracy is None or row.ci_low is None or row.ci_high is None:
        return MISSING
    return (
        f"{percent(row.accuracy)} [{percent(row.ci_low, 0)}-{percent(row.ci_high, 0)}]{doubt(row)}"
    )


def doubt(row: Row) -> str:
    """Return `?` where there are too few images for the interval to be relied on, else nothing."""
    return "?" if row.n_clusters < MIN_CLUSTERS or has_uneven_images(row) else ""


def has_uneven_images(row: Row) -> bool:
    """Say whether there are images enough, but few of them hold most samples (Kish's number)."""
    even = row.n_even_clusters
    return row.n_clusters >= MIN_CLUSTERS and even is not None and even < MIN_CLUSTERS


def lost_marks(manifest: Manifest, rows: Iterable[Row]) -> list[str]:
    """Say under which tasks and styles a model saw nothing of some marks: a line each."""
    warnings = []
    for row in rows:
        if row.group != ALL or not row.n_marks_lost or manifest.tasks[row.task].parts:
            continue
        n_asked = row.n_asked
        cut = f" (and in {row.n_marks_cut:,} one is cut)" if row.n_marks_cut else ""
        advice = "use --fit pad" if row.fit == "crop" else "it is too small, or outside the image"
        warnings.append(
            f"{row.task} under {row.style}: in {row.n_marks_lost:,} of {n_asked:,} samples a mark "
            f"is lost{cut} under fit {row.fit} · {advice} · "
            f"`vipbench check {row.task} --visibility` compares the fits"
        )
    return list(dict.fromkeys(warnings))  # each metric has its rows
