"""The figure of a race: what was known of each racer, question by question."""

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vipbench import files
from vipbench.analysis.forest import BETTER, NONE, WORSE, numbered_clips
from vipbench.report.text import plot_text
from vipbench.sequential.race import Race, RaceRow

if TYPE_CHECKING:
    from matplotlib.axes import Axes

KINDS = ("pdf", "svg", "png")
COLORS = {"best": BETTER, "within": "#009e73", "out": NONE}
"""Of Okabe and Ito, which differ for colour-blind readers too; lines and marks say the same."""
LINES = {"best": "-", "within": "--", "out": ":"}
NAMED = 12
"""Racers that the legend names at most: the first ones."""


def figure_files(outcome: Race, out: Path) -> list[Path]:
    """Write `race.{pdf,svg,png}` into a folder; the same race gives the same SVG."""
    import matplotlib as mpl  # half a second
    from matplotlib.figure import Figure

    settings: Any = {
        "svg.hashsalt": "vipbench",
        "svg.fonttype": "none",
        "pdf.fonttype": 42,
        "font.size": 9,
    }
    about: dict[str, dict[str, str | None]] = {
        "pdf": {"CreationDate": None, "Title": outcome.task},
        "svg": {"Date": None, "Title": outcome.task},
        "png": {"Software": None},
    }
    paths = []
    with mpl.rc_context(settings):
        figure = Figure(figsize=(8, 4.5), dpi=150, layout="constrained")
        axes = figure.add_subplot()
        for row in reversed(outcome.rows):
            _draw(axes, row)
        data = ", synthetic data" if outcome.synthetic else ""
        axes.set_title(plot_text(f"{outcome.task}{data}"), fontsize=9, loc="left")
        axes.set_xlabel("questions asked")
        axes.set_ylabel("accuracy so far, %")
        axes.set_xlim(left=0)
        handles, labels = axes.get_legend_handles_labels()
        shown = [*reversed(list(zip(handles, labels, strict=True)))][:NAMED]
        axes.legend(
            [handle for handle, _ in shown],
            [label for _, label in shown],
            loc="center left",
            bbox_to_anchor=(1, 0.5),
            fontsize=7,
            frameon=False,
        )
        for kind in KINDS:
            with io.BytesIO() as file:
                figure.savefig(file, format=kind, metadata=about[kind])
                drawn = file.getvalue()
            paths.append(out / f"race.{kind}")
            files.write_bytes(paths[-1], [numbered_clips(drawn) if kind == "svg" else drawn])
    return paths


def _draw(axes: "Axes", row: RaceRow) -> None:
    """Draw the accuracy so far, of a survivor with its interval; a cross where it went out."""
    counts = [look.n for look in row.looks]
    color, label = COLORS[row.state], plot_text(f"{row.place} {row.racer}")
    accuracies = [100 * look.accuracy for look in row.looks]
    axes.plot(counts, accuracies, LINES[row.state], color=color, linewidth=1.2, label=label)
    if row.state == "out":
        axes.plot(counts[-1:], accuracies[-1:], "x", color=WORSE, markersize=5)
        return
    lower = [100 * look.lower for look in row.looks]
    upper = [100 * look.upper for look in row.looks]
    axes.fill_between(counts, lower, upper, color=color, alpha=0.12, linewidth=0)
