"""Forest plots: differences with their intervals, as PNG and SVG."""

import io
import re
import textwrap
from pathlib import Path
from typing import NamedTuple

from vipbench import files
from vipbench.report.text import plot_text, signed

WORSE, BETTER, NONE = "#d55e00", "#0072b2", "#666666"
"""Colours that differ for colour-blind readers too (Okabe and Ito, Color Universal Design, 2008);
the shape of the mark says the same."""
SHAPES = {WORSE: "v", BETTER: "^", NONE: "o"}
MEANINGS = {WORSE: "worse", BETTER: "better", NONE: "no finding"}
ROW_INCHES = 0.26
MAX_INCHES = 400
"""Of a plot's height; matplotlib draws up to 65,536 px."""
TITLE_WIDTH = 110
"""Characters of a line of the title that the figure has room for."""


class Mark(NamedTuple):
    """One row of a plot."""

    label: str
    difference: float
    low: float
    high: float
    is_finding: bool
    """Whether the difference is beyond doubt."""
    heading: bool
    """Set apart from the row before."""

    @property
    def color(self) -> str:
        """Say by a colour whether it is worse, better or not a finding."""
        if not self.is_finding:
            return NONE
        return WORSE if self.difference < 0 else BETTER


class Forest(NamedTuple):
    """A plot, before it is drawn."""

    title: str
    axis: str
    marks: tuple[Mark, ...]


def forest_files(plot: Forest, out: Path) -> list[Path]:
    """Write `forest.png` and `forest.svg` into a folder; the same plot gives the same SVG."""
    import matplotlib as mpl  # half a second
    from matplotlib.figure import Figure

    with mpl.rc_context({"svg.hashsalt": "vipbench", "svg.fonttype": "none", "font.size": 9}):
        height = min(MAX_INCHES, 1.6 + ROW_INCHES * max(1, len(plot.marks)))
        figure = Figure(figsize=(8, height), dpi=150, layout="constrained")
        axes = figure.add_subplot()
        for y, mark in enumerate(plot.marks):
            axes.plot((mark.low, mark.high), (y, y), color=mark.color, linewidth=1.5)
            axes.plot(mark.difference, y, SHAPES[mark.color], color=mark.color, clip_on=False)
            if mark.heading and y:
                axes.axhline(y - 0.5, color="#dddddd", linewidth=0.8)
        for color in (WORSE, NONE, BETTER):
            axes.plot([], [], SHAPES[color], color=color, label=MEANINGS[color])
        axes.axvline(0, color="black", linewidth=0.8)
        axes.set_yticks(range(len(plot.marks)), [plot_text(mark.label) for mark in plot.marks])
        for label, mark in zip(axes.get_yticklabels(), plot.marks, strict=True):
            label.set_fontweight("bold" if mark.heading else "normal")
        axes.set_ylim(max(1, len(plot.marks)) - 0.5, -0.5)
        axes.set_xlabel(plot.axis)
        title = textwrap.fill(plot.title, TITLE_WIDTH)
        figure.suptitle(plot_text(title), x=0.01, ha="left", fontsize=10)
        figure.legend(loc="outside lower center", ncols=3, frameon=False)
        described = {"Title": plot.title, "Description": _words(plot), "Date": None}
        paths = []
        for kind, metadata in (("png", {"Title": plot.title}), ("svg", described)):
            with io.BytesIO() as data:
                figure.savefig(data, format=kind, metadata=metadata)
                paths.append(out / f"forest.{kind}")
                files.write_bytes(paths[-1], [numbered_clips(data.getvalue())])
    return paths


def numbered_clips(drawing: bytes) -> bytes:
    """Name the clip paths of an SVG by number; what is none of matplotlib's stays as it is.

    Matplotlib's names are hashes of all digits of a layout, and where its solver (kiwi) places
    things may differ in the last ones from process to process.
    """
    names = dict.fromkeys(re.findall(rb'<clipPath id="(p[0-9a-f]{10})"', drawing))
    for number, name in enumerate(names):
        drawing = drawing.replace(name, b"clip%d" % number)
    return drawing


def _words(plot: Forest) -> str:
    """Say what the plot shows, for readers who do not see it."""
    rows = (
        f"{mark.label}: {signed(mark.difference, 1)} [{signed(mark.low, 1)}, "
        f"{signed(mark.high, 1)}]{f', {MEANINGS[mark.color]}' if mark.is_finding else ''}"
        for mark in plot.marks
    )
    return f"{' '.join(plot.axis.split())}. {'; '.join(rows)}"
