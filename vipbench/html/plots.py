"""The plots of a report as PNG and SVG files, for papers and slides."""

import io
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vipbench.analysis.compare import LEVEL
from vipbench.analysis.forest import Forest, Mark, forest_files, numbered_clips
from vipbench.files import remove_others, write_bytes
from vipbench.html.page import Plot
from vipbench.html.pictures import FOLDER
from vipbench.html.runs import Run, reveal_hidden
from vipbench.html.scales import Scale, scale_of_bars, scale_of_cells
from vipbench.html.tables import Bar, HeatMap, TaskPart
from vipbench.report.text import percent, plot_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PLOTS = "plots"
RUN_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#8a7300", "#555")
"""Okabe and Ito's palette, which colour-blind readers tell apart; the page has it too."""
SCALE = "cividis"
"""Made for readers with and without colour vision deficiency; light is high."""
_OWN_NAME = re.compile(r"(forest|(marks|styles|history)-.*)\.(png|svg|pdf)")
DPI = 150
MAX_VALUES = 40
"""Of an axis that is plotted; longer ones are in the page only."""
MAX_INCHES = 400
"""Of a plot's width and height; matplotlib draws up to 65,536 px."""
MOST_PLOTTED = 20
"""Runs of which plots are written as files unless they are asked for: a plot of more is no figure
of a paper, and drawing all of them takes longer than everything else."""


def write_plots(parts: Sequence[TaskPart], runs: Sequence[Run], out: Path) -> dict[str, Plot]:
    """Write the heat maps and forests of each task as PNG and SVG; the same input, the same bytes.

    Returns:
        The files by the name of the plot, seen from the page.

    Raises:
        RunError: A file cannot be written.
    """
    plots: dict[str, Plot] = {}
    if any(change.style in part.headlines for part in parts for change in part.differences):
        plot = _forest_of_differences(parts, runs)
        files = forest_files(plot, out / FOLDER / PLOTS)
        plots["differences"] = Plot([path.relative_to(out).as_posix() for path in files])
    for part in parts:
        if part.heat_maps:
            name = f"marks-{part.slug}"
            plots[name] = _save(_heat_figure(part, runs), out, name)
        if part.styles.bars:
            name = f"styles-{part.slug}"
            plots[name] = _save(_forest_figure(part, runs), out, name)
    names = {Path(file).name for plot in plots.values() for file in plot.files}
    remove_others(out / FOLDER / PLOTS, _OWN_NAME, keep=names)
    return plots


def _save(figure: "Figure", out: Path, name: str) -> Plot:
    import matplotlib

    paths = []
    metadata: Mapping[str, Mapping[str, str | None]] = {
        "png": {"Software": None},
        "svg": {"Date": None, "Creator": "vipbench", "Title": str(figure.get_label())},
    }
    for kind, about in metadata.items():
        buffer = io.BytesIO()
        # Texts stay texts in SVG, and its ids are hashes of a fixed salt.
        with matplotlib.rc_context({"svg.hashsalt": "vipbench", "svg.fonttype": "none"}):
            figure.savefig(buffer, format=kind, dpi=DPI, bbox_inches="tight", metadata=dict(about))
        path = out / FOLDER / PLOTS / f"{name}.{kind}"
        write_bytes(path, [numbered_clips(buffer.getvalue())])
        paths.append(path.relative_to(out).as_posix())
    return Plot(paths)


def _heat_figure(part: TaskPart, runs: Sequence[Run]) -> "Figure":
    from matplotlib.figure import Figure

    n = len(part.heat_maps)
    first = part.heat_maps[0]
    width, height = 1.6 + 0.62 * len(first.colors), 1.2 + 0.42 * len(first.shapes)
    n_columns = max(1, min(n, int(MAX_INCHES / width)))
    n_rows = math.ceil(n / n_columns)
    size = n_columns * width, min(MAX_INCHES, n_rows * height)
    figure = Figure(figsize=size, layout="constrained")
    figure.set_label(f"Accuracy by shape and colour, {_plain(part.label)}")
    panels = figure.subplots(n_rows, n_columns, squeeze=False).ravel()
    scale = scale_of_cells(part)
    for axes, heat_map in zip(panels, part.heat_maps, strict=False):
        _heat_panel(axes, heat_map, _plain(runs[heat_map.run].label), scale)
    for axes in panels[n:]:
        axes.set_axis_off()
    figure.suptitle(_title(part), fontsize=10)
    return figure


def _heat_panel(axes: "Axes", heat_map: HeatMap, title: str, scale: Scale) -> None:
    import numpy as np
    from matplotlib import colormaps

    means = np.array(
        [[np.nan if cell is None else 100 * cell.mean for cell in row] for row in heat_map.cells]
    )
    axes.imshow(means, cmap=SCALE, vmin=scale.low, vmax=scale.high, aspect="auto")
    for y, row in enumerate(heat_map.cells):
        for x, cell in enumerate(row):
            if cell is not None:
                red, green, blue, _ = colormaps[SCALE](scale.share(cell.mean))
                light = 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.45
                axes.text(
                    x,
                    y,
                    f"{percent(cell.mean, 0)}\n(n {cell.n})",
                    ha="center",
                    va="center",
                    fontsize=6.5,
                    color="black" if light else "white",
                )
    axes.set_xticks(range(len(heat_map.colors)), map(_plain, heat_map.colors), fontsize=8)
    axes.set_yticks(range(len(heat_map.shapes)), map(_plain, heat_map.shapes), fontsize=8)
    axes.tick_params(length=0)
    axes.set_title(title, fontsize=9)


def _forest_figure(part: TaskPart, runs: Sequence[Run]) -> "Figure":
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    short = [g for g in part.groups if len({bar.label for bar in g.bars}) <= MAX_VALUES]
    blocks = [part.styles, *short]
    heights = [len(forest.bars) + 1.2 for forest in blocks]
    height = min(MAX_INCHES, 0.9 + 0.22 * sum(heights))
    figure = Figure(figsize=(6.4, height), layout="constrained")
    figure.set_label(f"Accuracy with 95 % interval, {_plain(part.label)}")
    panels = figure.subplots(
        len(blocks), 1, squeeze=False, sharex=True, height_ratios=heights
    ).ravel()
    scale = scale_of_bars([bar for forest in blocks for bar in forest.bars])
    for axes, forest in zip(panels, blocks, strict=True):
        _forest_panel(axes, forest.bars, scale, part.chance)
        axes.set_title(f"by {_plain(forest.title)}", fontsize=8, loc="left")
    panels[-1].set_xlabel("accuracy, %, with 95 % interval", fontsize=8)
    numbers = list(dict.fromkeys(bar.run for forest in blocks for bar in forest.bars))
    dots = [Line2D([], [], marker="o", color=RUN_COLORS[n % len(RUN_COLORS)]) for n in numbers]
    names = [_plain(runs[n].label) for n in numbers]
    figure.legend(dots, names, loc="outside lower center", fontsize=8, ncols=3, frameon=False)
    figure.suptitle(_title(part), fontsize=10)
    return figure


def _forest_panel(axes: "Axes", bars: Sequence[Bar], scale: Scale, chance: float | None) -> None:
    for y, bar in enumerate(bars):
        color = RUN_COLORS[bar.run % len(RUN_COLORS)]
        number = bar.number
        if number.low is not None and number.high is not None:
            axes.plot([100 * number.low, 100 * number.high], [y, y], color=color, linewidth=1.4)
        axes.plot([100 * number.mean], [y], "o", color=color, markersize=4)
    if chance is not None and scale.holds(chance):
        axes.axvline(100 * chance, color="gray", linestyle="--", linewidth=0.8)
    labels = [
        "" if y and bars[y - 1].label == bar.label else _plain(bar.label)
        for y, bar in enumerate(bars)
    ]
    axes.set_yticks(range(len(bars)), labels, fontsize=8)
    axes.set_ylim(len(bars) - 0.4, -0.6)
    margin = 0.02 * (scale.high - scale.low)
    axes.set_xlim(scale.low - margin, scale.high + margin)
    axes.tick_params(axis="x", labelsize=8)
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)


def _forest_of_differences(parts: Sequence[TaskPart], runs: Sequence[Run]) -> Forest:
    lines = [
        (part, change)
        for part in parts
        for change in part.differences
        if change.style in part.headlines
    ]
    several = len({change.new for _, change in lines}) > 1
    names = [
        reveal_hidden(runs[new].label) for new in dict.fromkeys(change.new for _, change in lines)
    ]
    synthetic = " (synthetic data)" if any(part.task.synthetic for part, _ in lines) else ""
    return Forest(
        title=f"{reveal_hidden(runs[lines[0][1].base].label)} → {', '.join(names)}{synthetic}",
        axis="difference of accuracy, new minus base\n(percentage points, 95 % interval)",
        marks=tuple(
            Mark(
                label=reveal_hidden(part.label)
                + (f" · {reveal_hidden(runs[change.new].label)}" if several else ""),
                difference=100 * change.number.mean,
                low=100 * change.number.low,
                high=100 * change.number.high,
                is_finding=change.p < LEVEL,
                heading=True,
            )
            for part, change in lines
            if change.number.low is not None and change.number.high is not None
        ),
    )


def _title(part: TaskPart) -> str:
    return _plain(part.label) + (" (synthetic data)" if part.task.synthetic else "")


def _plain(text: str) -> str:
    """Return a text that is drawn as it stands: a dollar would begin a formula."""
    return plot_text(reveal_hidden(text))
