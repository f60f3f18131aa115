"""The files of a comparison: Markdown, CSV, JSON and the plot of its differences."""

from pathlib import Path

from vipbench import files
from vipbench.analysis.compare import LEVEL, CompareRow, Comparison, Flip
from vipbench.analysis.compare_text import markdown
from vipbench.analysis.forest import Forest, Mark, forest_files
from vipbench.report.text import csv_table
from vipbench.runfolder.summary import ALL, find_group

PLOTTED = 80
"""Rows that a plot is kept to, so that it can be read; whole tasks are always in it."""


def write(comparison: Comparison, out: Path) -> list[Path]:
    """Write `compare.{md,csv,json}`, `flips.csv` and `forest.{png,svg}`; returns the paths."""
    rows = [row.model_dump(mode="json") for row in comparison.rows]
    flat = [
        plain | {"differences": "; ".join(found.words for found in row.differences)}
        for plain, row in zip(rows, comparison.rows, strict=True)
    ]
    texts = {
        "compare.md": markdown(comparison),
        "compare.csv": csv_table(CompareRow.model_fields, flat),
        "flips.csv": csv_table(Flip._fields, (flip._asdict() for flip in comparison.flips)),
    }
    for name, text in texts.items():
        files.write_text(out / name, [text])
    files.write_json(out / "compare.json", rows)
    plots = forest_files(forest(comparison), out)
    return sorted([*(out / name for name in texts), out / "compare.json", *plots])


def forest(comparison: Comparison) -> Forest:
    """Make the plot of the differences: each task, and below it as many axes as there is room for.

    Groups whose interval is not to be relied on are left out, for they would stretch the scale, and
    those that are the whole task.
    """
    whole = {(row.new, row.task): row.n for row in comparison.rows if row.group == ALL}
    candidates = [
        row
        for row in comparison.rows
        if row.group == ALL or (row.reliable and row.n < whole[row.new, row.task])
    ]
    axis_of = {name: _axis(comparison, *name) for name in {(r.task, r.group) for r in candidates}}
    axes = list(dict.fromkeys((None, *(axis_of[row.task, row.group] for row in candidates))))
    for n_axes in range(len(axes), 0, -1):
        rows = [row for row in candidates if axis_of[row.task, row.group] in axes[:n_axes]]
        if len(rows) <= PLOTTED:
            break
    several = len({row.new for row in comparison.rows}) > 1
    labels = _labels(comparison)
    base, *others = labels.values()
    return Forest(
        title=f"{base} → {', '.join(others)}",
        axis="difference of accuracy, new minus base\n(percentage points, 95 % interval)",
        marks=tuple(
            Mark(
                label=(row.label if row.group == ALL else row.group)
                + (f" · {labels[row.new]}" if several else ""),
                difference=100 * row.difference,
                low=100 * row.ci_low,
                high=100 * row.ci_high,
                is_finding=row.p_holm is not None and row.p_holm < LEVEL,
                heading=row.group == ALL,
            )
            for row in rows
            if row.difference is not None and row.ci_low is not None and row.ci_high is not None
        ),
    )


def _labels(comparison: Comparison) -> dict[str, str]:
    """Return what the plot calls each run: its model, with the style that was named, or itself."""
    models = {row.base: row.model_base for row in comparison.rows}
    models |= {row.new: row.model_new for row in comparison.rows}
    labels = {
        side.name: models.get(side.name, side.name) + (f"@{side.style}" if side.style else "")
        for side in comparison.sides
    }
    return labels if len({*labels.values()}) == len(labels) else {name: name for name in labels}


def _axis(comparison: Comparison, task: str, name: str) -> str | None:
    """Return the axis of a group, by those that any of the runs lists; None: the whole task."""
    tasks = (side.manifest.tasks.get(task) for side in comparison.sides)
    group = find_group(name, [axis for known in tasks if known for axis in known.breakdown])
    return None if group is None else group.axis
