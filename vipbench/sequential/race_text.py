"""How a race ended, in words: a table, sentences, and the files that hold it."""

from pathlib import Path

from vipbench import files
from vipbench.report.text import (
    Grid,
    counted,
    markdown_page,
    markdown_section,
    markdown_text,
    percent,
    percent_interval,
)
from vipbench.sequential.figure import figure_files
from vipbench.sequential.race import ALPHA, Race, RaceRow

HEADER = ("", "racer", "accuracy so far, %", "asked", "failed", "state")


def table(outcome: Race) -> Grid:
    """Lay out the racers by place; failed answers have a column where there are any."""
    data = " (synthetic data)" if outcome.synthetic else ""
    title = f"{outcome.task} by {outcome.metric}{data}"
    grid = Grid(title, HEADER, [_cells(row) for row in outcome.rows], words=(1, 5))
    return grid if any(row.n_failed for row in outcome.rows) else grid.without(["failed"])


def _cells(row: RaceRow) -> tuple[str, ...]:
    return (
        f"{row.place}",
        row.racer,
        percent_interval(row.accuracy, row.lower, row.upper),
        f"{row.n:,}",
        f"{row.n_failed:,}",
        f"out at block {row.block}" if row.state == "out" else row.state,
    )


def sentences(outcome: Race) -> list[str]:
    """Say who is best, what was saved, and what the numbers are not."""
    best = outcome.rows[0]
    others = [row for row in outcome.rows if row.state == "within"]
    margin = f"{100 * outcome.within:g} points"
    is_whole = best.n == outcome.n_all
    if others:
        named = ", ".join(row.racer for row in others)
        result = (
            f"{best.racer} leads; {named} {'is' if len(others) == 1 else 'are'} within {margin} of "
            "the best"
        )
    else:
        result = f"{best.racer} is best"
    n_out = sum(row.state == "out" for row in outcome.rows)
    out = f"; {counted(n_out, 'other')} cannot be" if n_out else ""
    asked, whole = outcome.n_asked, outcome.n_whole
    said = [
        f"{result}{out}: so would all {outcome.n_all:,} samples say, with {100 * (1 - ALPHA):g} % "
        f"for the race as a whole{' (all of them were asked)' if is_whole else ''}.",
        f"Asked: {asked:,} questions in {counted(outcome.n_blocks, 'block')}, "
        f"{percent(asked / whole)} % of the {whole:,} that asking everything takes; "
        f"{whole - asked:,} were saved.",
    ]
    if asked < whole:
        said.append(
            "Accuracies of what was stopped early are no estimates of the benchmark's; in brackets "
            "is where all samples would put them. Leaderboards leave these runs out."
        )
    n_failed = sum(row.n_failed for row in outcome.rows)
    if n_failed:
        said.append(f"{counted(n_failed, 'failed answer')} counted as wrong.")
    return said


def write(outcome: Race, out: Path) -> list[Path]:
    """Write `race.{json,md,pdf,svg,png}` into a folder; returns the paths.

    Raises:
        RunError: A file cannot be written.
    """
    page = [
        "# Race",
        markdown_section(table(outcome)),
        *map(markdown_text, sentences(outcome)),
    ]
    files.write_text(out / "race.md", [markdown_page(page)])
    content = {
        "task": outcome.task,
        "metric": outcome.metric,
        "within": outcome.within,
        "alpha": ALPHA,
        "n_all": outcome.n_all,
        "n_asked": outcome.n_asked,
        "n_whole": outcome.n_whole,
        "runs": [results.manifest.run_id for results in outcome.results],
        "sentences": sentences(outcome),
        "rows": [row.model_dump(mode="json") for row in outcome.rows],
    }
    files.write_json(out / "race.json", content)
    return [out / "race.json", out / "race.md", *figure_files(outcome, out)]
