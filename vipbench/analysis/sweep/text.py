"""What readers see of a sweep: tables, sentences, and files of both."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from vipbench import files
from vipbench.analysis.sweep.best import BestRow
from vipbench.analysis.sweep.board import boards, latex_page, markdown_grid
from vipbench.analysis.sweep.effects import EffectRow
from vipbench.analysis.sweep.overview import Sweep
from vipbench.analysis.sweep.ranking import OrderRow, RankRow
from vipbench.analysis.sweep.stability import StabilityRow
from vipbench.analysis.sweep.styles import StyleRow
from vipbench.report.text import (
    Grid,
    csv_table,
    markdown_list,
    markdown_page,
    markdown_section,
    number,
    p_text,
    percent_interval,
    points_interval,
)
from vipbench.schema import NO_CONTROLS


def tables(results: Sweep) -> Iterator[Grid]:
    """Yield the tables of styles, effects and ranks; percent and percentage points."""
    for model, task in dict.fromkeys((row.model, row.task) for row in results.styles):
        yield _style_table(
            f"{model}: {task} by style, % [95 % interval]; difference from the headline in points",
            [row for row in results.styles if (row.model, row.task) == (model, task)],
        )
    for model, task in dict.fromkeys((row.model, row.task) for row in results.effects):
        yield _effect_table(
            f"{model}: {task}, effects in points, the other factors being equal",
            [row for row in results.effects if (row.model, row.task) == (model, task)],
        )
    if results.ranks:
        yield _rank_table(results.ranks)
    for row in results.stability:
        yield _flip_table(row.task, [order for order in results.orders if order.task == row.task])


def _style_table(title: str, rows: Sequence[StyleRow]) -> Grid:
    body = []
    for row in rows:
        kind = "headline" if row.headline else "" if row.kind in NO_CONTROLS else "control"
        accuracy = percent_interval(row.accuracy, row.ci_low, row.ci_high)
        change = points_interval(row.difference, row.difference_low, row.difference_high)
        tested = ("", "") if row.headline else (change, p_text(row.p))
        body.append((row.style, kind, f"{row.n:,}", accuracy, *tested))
    return Grid(title, ("style", "", "n", "accuracy", "difference", "p"), body)


def _effect_table(title: str, rows: Sequence[EffectRow]) -> Grid:
    body = [
        (row.factor, row.level, str(row.n_styles), effect_text(row), p_text(row.p)) for row in rows
    ]
    return Grid(title, ("factor", "level", "styles", "effect", "p"), body)


def effect_text(row: EffectRow) -> str:
    """Write an effect in percentage points with its interval."""
    return points_interval(row.effect, row.ci_low, row.ci_high)


def _rank_table(rows: Sequence[RankRow]) -> Grid:
    title = "rank over styles and draws of images; best and worst over the styles"
    header = ("task", "model", "mean", "95 %", "best", "worst")
    body = [
        (
            row.task,
            row.model,
            number(row.mean, 2),
            span_text(row),
            f"{row.best:g}",
            f"{row.worst:g}",
        )
        for row in rows
    ]
    return Grid(title, header, body)


def span_text(row: RankRow) -> str:
    """Write the ranks between which 95 % lie: `1 to 2.5`."""
    return f"{row.low:.3g} to {row.high:.3g}"


def _flip_table(task: str, rows: Sequence[OrderRow]) -> Grid:
    title = f"{task}: pairs of styles between which two models change places"
    header = ("models", "flips", "by chance", "p gap", "p order")
    body = [
        (
            f"{row.first}, {row.second}",
            f"{row.flips.n:,} of {row.flips.n_pairs:,}",
            number(row.flips.by_chance, 1),
            p_text(row.flips.p_moved),
            p_text(row.flips.p_reversed),
        )
        for row in rows
        if row.flips
    ]
    return Grid(title, header, body, words=(0,))


def stability_text(row: StabilityRow) -> str:
    """Say how alike the orders of the models are under two styles."""
    if row.mean is None or row.lowest is None:
        return f"tau-b between styles is not known: all {row.n_models} models are tied"
    tested = f" ({number(row.by_chance, 2)} by chance alone, p {p_text(row.p)})"
    return (
        f"tau-b between styles {number(row.mean, 2)} on average{tested}, "
        f"{number(row.lowest.tau, 2)} at least, of {row.lowest.first} and {row.lowest.second}"
    )


def sentences(results: Sweep) -> Iterator[str]:
    """Yield all that a reader needs in words: first which styles are best."""
    for board in boards(results.best):
        yield from board.sentences()
    yield from other_sentences(results)


def other_sentences(results: Sweep) -> Iterator[str]:
    """Say what the mark of the headline style is worth, who beats whom, and what is unknown.

    The gain from the mark is the accuracy under the headline style minus that under style `none`.
    """
    for row in results.styles:
        if row.kind != "none":
            continue
        change = row.difference, row.difference_high, row.difference_low
        if None in change:
            yield (
                f"{row.task}, {row.model}: the gain from the mark is not known: no style of the "
                "run shows marks · run it under a style with marks and none together"
            )
            continue
        gain = points_interval(*(None if value is None else -value for value in change))
        headline = next(
            each.style
            for each in results.styles
            if each.headline and (each.run, each.task) == (row.run, row.task)
        )
        yield f"{row.task}, {row.model}: gain from the mark {gain} points (style {headline})"
    for order in results.orders:
        yield f"{order.task}: {order.sentence}"
    for stability in results.stability:
        yield f"{stability.task}: {stability_text(stability)}"
    yield from results.notes


def markdown(results: Sweep) -> str:
    """Lay out all tables and sentences as one page, that of the best styles first."""
    grids = [*map(markdown_grid, boards(results.best)), *tables(results)]
    sections = [markdown_section(grid) for grid in grids]
    return markdown_page(["# Styles", *sections, markdown_list(sentences(results))])


def write(results: Sweep, out: Path) -> list[Path]:
    """Write `sweep.{json,md,tex,csv}`; fractions in JSON and CSV, percent elsewhere."""
    paths = [out / f"sweep.{kind}" for kind in ("json", "md", "tex", "csv")]
    files.write_json(paths[0], results.model_dump(mode="json"))
    files.write_text(paths[1], [markdown(results)])
    notes = [f"{len(results.best):,} accuracies by `vipbench sweep`; digits are in sweep.csv."]
    files.write_text(paths[2], [latex_page(list(boards(results.best)), notes)])
    rows = [row.model_dump(mode="json") for row in results.best]
    files.write_text(paths[3], [csv_table(BestRow.model_fields, rows)])
    return paths
