"""The figure of a sweep: accuracies with intervals, styles as rows and a panel a model."""

import io
import math
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vipbench import files
from vipbench.analysis.forest import numbered_clips
from vipbench.analysis.sweep.best import BestRow
from vipbench.analysis.sweep.board import StyleBoard
from vipbench.report.text import percent, percent_interval, plot_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

KINDS = ("pdf", "svg", "png")
MOST_PANELS = 4
"""Beside each other."""
PANEL_INCHES, ROW_INCHES = 1.75, 0.2
LETTER_INCHES = 0.065
"""Of a style's name."""
LONGEST_NAME = 44
"""Letters of a style's name in a line; longer names are folded."""
NARROWEST = 10.0
"""Percentage points that the axis covers at least: less would be noise in large print."""
BEST, BEHIND = "#0072b2", "#666666"
"""Colours that differ for colour-blind readers too (Okabe and Ito); fill and form say the same."""


def figure_files(board: StyleBoard, out: Path, name: str) -> list[Path]:
    """Write the figure of a task as PDF, SVG and PNG; the same board gives the same SVG."""
    import matplotlib as mpl  # half a second

    about: dict[str, dict[str, str | None]] = {
        "pdf": {"CreationDate": None, "Title": board.task},
        "svg": {"Date": None, "Title": board.task, "Description": _words(board)},
        "png": {"Software": None},
    }
    paths = []
    with mpl.rc_context(
        {
            "svg.hashsalt": "vipbench",
            "svg.fonttype": "none",
            "pdf.fonttype": 42,  # outlines as TrueType: journals refuse Type 3
            "font.size": 8,
        }
    ):
        figure = _figure(board)
        for kind in KINDS:
            with io.BytesIO() as data:
                figure.savefig(data, format=kind, dpi=200, metadata=about[kind])
                paths.append(out / f"{name}.{kind}")
                drawn = data.getvalue()
            files.write_bytes(paths[-1], [numbered_clips(drawn) if kind == "svg" else drawn])
    return paths


def _figure(board: StyleBoard) -> "Figure":
    from matplotlib.figure import Figure

    labels = ["\n".join(textwrap.wrap(style, LONGEST_NAME) or [""]) for style in board.styles]
    n_columns = min(MOST_PANELS, len(board.models))
    n_rows = math.ceil(len(board.models) / n_columns)
    lines = sum(1 + label.count("\n") for label in labels)
    letters = max(len(line) for label in labels for line in label.split("\n"))
    width = max(4.2, LETTER_INCHES * letters + 0.4 + PANEL_INCHES * n_columns)
    height = 1.1 + n_rows * (0.7 + ROW_INCHES * lines)
    figure = Figure(figsize=(width, height), layout="constrained")
    panels = figure.subplots(n_rows, n_columns, sharex=True, sharey=True, squeeze=False)
    low, high = bounds(list(board.rows.values()))
    for number, axes in enumerate(panels.flat):
        if number >= len(board.models):
            axes.set_visible(False)
            continue
        _panel(axes, board, board.models[number], (low, high))
        is_lowest = number + n_columns >= len(board.models)
        axes.tick_params(labelbottom=is_lowest, length=2)
        axes.set_xlabel("accuracy, %" if is_lowest else "")
    panels[0, 0].set_yticks(range(len(labels)), [plot_text(label) for label in labels])
    panels[0, 0].set_ylim(len(labels) - 0.4, -0.6)
    panels[0, 0].set_xlim(low, high)
    title = f"{board.task}: accuracy by style with 95 % interval ({board.samples()})"
    title = textwrap.fill(title, int(width / LETTER_INCHES))
    figure.suptitle(plot_text(title), fontsize=9)
    _legend(figure, board)
    return figure


def bounds(rows: Sequence[BestRow]) -> tuple[float, float]:
    """Return the ends of the axis in percent: where the styles with marks differ, not 0 to 100.

    A control far from them is drawn at the edge, with its number.
    """
    shown = [row for row in rows if row.standing != "unmarked"] or rows
    low, high = 100 * min(r.ci_low for r in shown), 100 * max(r.ci_high for r in shown)
    missing = max(0.0, NARROWEST - (high - low)) / 2
    low, high = low - missing, high + missing
    margin = 0.06 * (high - low)
    return max(-2.0, low - margin), min(102.0, high + margin)


def _panel(axes: "Axes", board: StyleBoard, model: str, span: tuple[float, float]) -> None:
    rows = [board.rows.get((style, model)) for style in board.styles]
    for y, row in enumerate(rows):
        if row is not None:
            _dot(axes, y, row, span)
    best = [row.accuracy for row in rows if row is not None and row.standing == "best"]
    if best:
        axes.axvline(100 * best[0], color=BEST, linewidth=0.7, linestyle=":")
    if board.marked and board.unmarked:
        axes.axhline(len(board.marked) - 0.5, color="#bbbbbb", linewidth=0.7)
    title = textwrap.fill(model, int(PANEL_INCHES / LETTER_INCHES))
    axes.set_title(plot_text(title), fontsize=8)
    axes.grid(axis="x", color="#dddddd", linewidth=0.5)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _dot(axes: "Axes", y: int, row: BestRow, span: tuple[float, float]) -> None:
    color, marker, fill = _look(row.standing)
    mean, (low, high) = 100 * row.accuracy, span
    if not low <= mean <= high:
        number = percent(row.accuracy)
        at, side, text = (
            (low, "left", f" \N{LEFTWARDS ARROW} {number}")
            if mean < low
            else (high, "right", f"{number} \N{RIGHTWARDS ARROW} ")
        )
        axes.text(at, y, text, ha=side, va="center", fontsize=7, color=color)
        return
    axes.plot((100 * row.ci_low, 100 * row.ci_high), (y, y), color=color, linewidth=1.2)
    axes.plot(
        mean, y, marker, color=color, markersize=5 + (marker == "D") * 0.5,
        markerfacecolor=color if fill else "white",
    )  # fmt: skip


def _look(standing: str) -> tuple[str, str, bool]:
    """Return colour, form and whether it is filled."""
    return {
        "best": (BEST, "D", True),
        "open": (BEST, "o", True),
        "unmarked": (BEHIND, "x", True),
    }.get(standing, (BEHIND, "o", False))


def _legend(figure: "Figure", board: StyleBoard) -> None:
    from matplotlib.lines import Line2D

    meanings = {
        "best": "best",
        "open": "cannot be told from it",
        "behind": "behind, beyond chance",
        "untested": "too few images to tell",
        "only": "the only style with marks",
        "unmarked": "without marks",
    }
    there = {row.standing for row in board.rows.values()}
    handles = []
    for standing, meaning in meanings.items():
        if standing in there:
            color, marker, fill = _look(standing)
            face = color if fill else "white"
            handles.append(
                Line2D([], [], color=color, marker=marker, markerfacecolor=face, markersize=5,
                       linestyle="", label=meaning)
            )  # fmt: skip
    n_columns = 4 if figure.get_figwidth() > 6 else 2
    figure.legend(handles=handles, loc="outside lower center", ncols=n_columns, frameon=False)


def _words(board: StyleBoard) -> str:
    """Say what the figure shows, for readers who do not see it."""
    found = (board.rows.get((s, m)) for m in board.models for s in board.styles)
    return "; ".join(
        f"{row.model}, {row.style}: "
        f"{percent_interval(row.accuracy, row.ci_low, row.ci_high)} ({row.standing})"
        for row in found
        if row is not None
    )
