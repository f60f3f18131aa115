"""text: part of what was vipbench/analysis/sweep/styles.py."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.table import Table
from rich.text import Text

from vipbench import files
from vipbench.analysis.sweep.effects import EffectRow
from vipbench.analysis.sweep.ranking import RankRow
from vipbench.analysis.sweep.scores import MARKED
from vipbench.analysis.sweep.styles import StyleRow, Sweep

# --- tables


def tables(found: Sweep) -> Iterator[Table]:
    """Yield what a terminal shows: styles, effects, the order of models; percent and points."""
    for model, task in dict.fromkeys((row.model, row.task) for row in found.styles):
        yield _style_table(
            f"{model}: {task} by style, % [95 % interval]; difference from the headline in points",
            [row for row in found.styles if (row.model, row.task) == (model, task)],
        )
    for model, task in dict.fromkeys((row.model, row.task) for row in found.effects):
        yield _effect_table(
            f"{model}: {task}, effects in points, the other factors being equal",
            [row for row in found.effects if (row.model, row.task) == (model, task)],
        )
    if found.ranks:
        yield _rank_table(found.ranks)


def _style_table(title: str, rows: Sequence[StyleRow]) -> Table:
    table = _table(title, ("style", "", "n", "accuracy", "difference", "p"))
    for row in rows:
        kind = "headline" if row.headline else "" if row.kind in MARKED else "control"
        accuracy = f"{100 * row.accuracy:.1f} [{100 * row.ci_low:.1f}, {100 * row.ci_high:.1f}]"
        change = points_text(row.difference, row.difference_low, row.difference_high)
        last = ("", "") if row.headline else (change, _p(row.p))
        table.add_row(*map(Text, (row.style, kind, f"{row.n:,}", accuracy, *last)))
    return table


def _effect_table(title: str, rows: Sequence[EffectRow]) -> Table:
    table = _table(title, ("factor", "level", "styles", "effect", "p"))
    for row in rows:
        effect = points_text(row.effect, row.ci_low, row.ci_high)
        table.add_row(*map(Text, (row.factor, row.level, str(row.n_styles), effect, _p(row.p))))
    return table


def _rank_table(rows: Sequence[RankRow]) -> Table:
    table = _table("rank over styles and draws of images", ("task", "model", "mean", "95 %", "tau"))
    for row in rows:
        tau = "-" if row.tau is None else f"{row.tau:.2f}"
        span = f"{row.low:g} to {row.high:g}"
        table.add_row(*map(Text, (row.task, row.model, f"{row.mean:.2f}", span, tau)))
    return table


def _table(title: str, names: Sequence[str]) -> Table:
    table = Table(title=Text(title), title_justify="left")
    for place, name in enumerate(names):
        table.add_column(Text(name), justify="left" if place < 2 else "right", overflow="fold")
    return table


def points_text(value: float, low: float, high: float) -> str:
    """Write a difference of fractions with its interval in points: `+1.0 [-2.0, +4.0]`."""
    # + 0.0 turns -0.0 into 0.0
    mean, start, end = (round(100 * each, 1) + 0.0 for each in (value, low, high))
    return f"{mean:+.1f} [{start:+.1f}, {end:+.1f}]"


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def sentences(found: Sweep) -> Iterator[str]:
    """Yield what a reader needs in words: what the mark is worth, who beats whom, what is unknown.

    The gain from the mark is the accuracy under the headline style minus that under style `none`.
    """
    for row in found.styles:
        if row.kind == "none":
            gain = points_text(-row.difference, -row.difference_high, -row.difference_low)
            yield f"{row.task}, {row.model}: gain from the mark {gain} points"
    for order in found.orders:
        yield f"{order.task}: {order.sentence}"
    yield from found.notes


def write(found: Sweep, out: Path) -> list[Path]:
    """Write `sweep.json` and `sweep.md`; fractions in JSON, percent and points in Markdown."""
    paths = [out / "sweep.json", out / "sweep.md"]
    files.write_json(paths[0], found.model_dump(mode="json"))
    parts = ["# Styles"]
    for table in tables(found):
        parts.append(f"## {_escaped(str(table.title))}")
        cells = [[_escaped(str(cell)) for cell in column.cells] for column in table.columns]
        head = [_escaped(str(column.header)) for column in table.columns]
        lines = [head, ["---"] * len(head), *map(list, zip(*cells, strict=True))]
        parts.append("\n".join("| " + " | ".join(line) + " |" for line in lines))
    parts.append("\n".join(f"- {_escaped(sentence)}" for sentence in sentences(found)))
    files.write_text(paths[1], ["\n\n".join(part for part in parts if part), "\n"])
    return paths


def _escaped(text: str) -> str:
    return "".join(f"\\{c}" if c in "\\|<`*" else c for c in " ".join(text.split()))
