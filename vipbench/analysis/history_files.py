"""The files of a history: Markdown, CSV, JSON and its plot as PNG, SVG and PDF."""

import io
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vipbench import files
from vipbench.analysis.forest import NONE, WORSE, numbered_clips
from vipbench.analysis.history import History, HistoryRow
from vipbench.analysis.history_text import markdown, sentences
from vipbench.prompts.colors import COLORS
from vipbench.report.text import csv_table, plot_text
from vipbench.runfolder.summary import ALL

if TYPE_CHECKING:
    from matplotlib.axes import Axes

KINDS = ("png", "svg", "pdf")
PLOTTED_MARKS = 12
"""Kinds of mark that a panel is kept to, so that it can be read; the tables have all."""
PANEL_INCHES = 3.2


def write(found: History, out: Path) -> list[Path]:
    """Write `history.{md,csv,json,png,svg,pdf}` into a folder; returns the paths.

    The same runs give the same bytes. RunError where a file cannot be written.
    """
    rows = [row.model_dump(mode="json") for row in found.rows]
    files.write_text(out / "history.md", [markdown(found)])
    files.write_text(out / "history.csv", [csv_table(HistoryRow.model_fields, rows)])
    content = {
        "alpha": found.alpha,
        "steps": list(found.steps),
        "drops": sentences(found),
        "notes": list(found.notes),
        "rows": rows,
    }
    files.write_json(out / "history.json", content)
    written = [out / f"history.{kind}" for kind in ("md", "csv", "json")]
    return sorted([*written, *plot_files(found, out)])


def plot_files(found: History, out: Path, name: str = "history") -> list[Path]:
    """Write the plot: a panel a task, its kinds of mark as thin lines, drops as triangles."""
    import matplotlib as mpl  # half a second
    from matplotlib.figure import Figure

    series = found.series()
    wholes = [each for each in series if each[0].group == ALL]
    settings: Any = {
        "svg.hashsalt": "vipbench",
        "svg.fonttype": "none",
        "pdf.fonttype": 42,
        "font.size": 9,
    }
    with mpl.rc_context(settings):
        height = 0.6 + PANEL_INCHES * len(wholes)
        figure = Figure(figsize=(8, height), dpi=150, layout="constrained")
        panels = figure.subplots(len(wholes), 1, squeeze=False, sharex=True)[:, 0]
        for axes, whole in zip(panels, wholes, strict=True):
            marks = [s for s in series if s[0].task == whole[0].task and s[0].group != ALL]
            _panel(axes, whole, marks[:PLOTTED_MARKS])
        panels[-1].set_xlabel("training step")
        title = "Accuracy over steps"
        words = " ".join(sentences(found))
        metadata = {
            "png": {"Title": title},
            "svg": {"Title": title, "Description": words, "Date": None},
            "pdf": {"Title": title, "Subject": words, "CreationDate": None},
        }
        paths = []
        for kind in KINDS:
            with io.BytesIO() as data:
                figure.savefig(data, format=kind, metadata=metadata[kind])
                paths.append(out / f"{name}.{kind}")
                files.write_bytes(paths[-1], [numbered_clips(data.getvalue())])
    return paths


def own_color(group: str) -> str | None:
    """Return `#rrggbb` of a kind of mark that is a colour, such as `color=red`; None: it is not."""
    from matplotlib.colors import CSS4_COLORS, to_hex

    name = group.partition("=")[2]
    if name in COLORS:
        red, green, blue = COLORS[name]
        return f"#{red:02x}{green:02x}{blue:02x}"
    _, _, digits = name.rpartition("=")  # `green=#00ff00`, too
    if re.fullmatch("#[0-9a-fA-F]{6}", digits):
        return digits.lower()
    return to_hex(CSS4_COLORS[name]) if name in CSS4_COLORS else None


def _panel(axes: "Axes", whole: list[HistoryRow], marks: list[list[HistoryRow]]) -> None:
    from matplotlib import colormaps
    from matplotlib.patheffects import Normal, Stroke

    for number, series in enumerate(marks):
        known = [row for row in series if row.accuracy is not None]
        own = own_color(series[0].group)
        # Yellow and lime are hardly seen on white without an edge.
        edge = [Stroke(linewidth=1.6, foreground="#555555"), Normal()]
        axes.plot(
            [row.step for row in known],
            [100 * (row.accuracy or 0) for row in known],
            color=own or colormaps["tab20"](number % 20),
            linewidth=0.9,
            linestyle="-" if own else "--",
            path_effects=edge if own else [],
            label=plot_text(series[0].group),
        )
    for row in whole:
        if row.accuracy is not None:
            bounds = (100 * (row.ci_low or 0), 100 * (row.ci_high or 0))
            axes.plot((row.step, row.step), bounds, color=NONE, linewidth=1.2)
    known = [row for row in whole if row.accuracy is not None]
    shown = [row.step for row in known], [100 * (row.accuracy or 0) for row in known]
    axes.plot(*shown, "-o", color="black", linewidth=1.8, markersize=4, label="all, 95 % interval")
    # Above the dots, which would show through a hollow marker; one fits into the other.
    for field, color, face, size, zorder, label in (
        ("dropped_from_best", "#cc79a7", "white", 12, 3, "drop from the best so far"),
        ("dropped_from_start", WORSE, WORSE, 6, 4, "drop from the start"),
    ):
        drops = [row for row in known if getattr(row, field)]
        if drops:
            axes.plot(
                [row.step for row in drops],
                [100 * (row.accuracy or 0) for row in drops],
                "v",
                color=color,
                markerfacecolor=face,
                markersize=size,
                label=label,
                zorder=zorder,
            )
    axes.set_ylabel("accuracy, %")
    data = ", synthetic data" if whole[0].synthetic else ""
    axes.set_title(plot_text(f"{whole[0].task} ({whole[0].style}{data})"), fontsize=9, loc="left")
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=7, frameon=False)
