"""terminal: part of what was vipbench/report/leaderboard.py."""

from collections.abc import Collection, Iterator, Sequence

from rich.console import Console, ConsoleOptions
from rich.table import Table
from rich.text import Text

from vipbench.report.leaderboard import TROUBLES
from vipbench.report.text import MISSING, doubt
from vipbench.runfolder.summary import ALL, HEADLINE_METRIC, Row, SeedRow
from vipbench.scoring.summary import group_order

# --- tables for a terminal


def run_table(rows: Sequence[Row]) -> Table:
    """Lay out the end of a run: tasks as lines, styles as columns, percent with interval."""
    rows = [row for row in rows if row.group == ALL]
    styles = list(dict.fromkeys(row.style for row in rows))
    shown = {name: count for name, count in TROUBLES.items() if any(map(count, rows))}
    table = _table("accuracy, % [95 % interval]", rows, ("task",), (*styles, *shown))
    for task, metric in dict.fromkeys((row.task, row.metric) for row in rows):
        mine = {row.style: row for row in rows if (row.task, row.metric) == (task, metric)}
        label = task if metric == HEADLINE_METRIC else f"{task}\n({metric})"
        cells = [_short_text(mine.get(style)) for style in styles]
        counts = [str(sum(map(count, mine.values()))) for count in shown.values()]
        table.add_row(*map(Text, (label, *cells, *counts)))
    return table


def seed_table(rows: Sequence[SeedRow]) -> Table:
    """Lay out the spread over seeds: mean, standard deviation, lowest and highest in percent."""
    n = max((len(row.seeds) for row in rows), default=0)
    table = Table(title=Text(f"accuracy over {n} seeds, %"), title_justify="left")
    for name in ("task", "style"):
        table.add_column(Text(name), no_wrap=True)
    for name in ("mean", "sd", "lowest", "highest"):
        table.add_column(Text(name), justify="right")
    for row in rows:
        label = row.task if row.metric == HEADLINE_METRIC else f"{row.task} ({row.metric})"
        values = [(row.mean, 1), (row.sd, 2), (row.lowest, 1), (row.highest, 1)]
        cells = [MISSING if v is None else f"{100 * v:.{digits}f}" for v, digits in values]
        table.add_row(*map(Text, (label, row.style, *cells)))
    return table


class BreakdownTable:
    """How accuracy depends on the kind of mark: groups as lines, tasks as columns.

    As many tasks stand side by side as the terminal has room for.
    """

    def __init__(
        self,
        rows: Sequence[Row],
        styles: Collection[str] | None = None,
        axes: Sequence[str] = ("shape", "color"),
    ) -> None:
        """Take the rows of a run; `styles` are those to show, None: all.

        Of each task the first metric is shown, which is its headline.
        """
        self.axes = axes
        metrics = {row.task: row.metric for row in reversed(rows)}
        self.rows = [
            row
            for row in rows
            if row.group.partition("=")[0] in axes
            and (styles is None or row.style in styles)
            and row.metric == metrics[row.task]
        ]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Table]:
        """Yield tables that are no wider than the terminal."""
        tasks = list(dict.fromkeys(row.task for row in self.rows))
        names = max((len(row.style) + len(row.group) for row in self.rows), default=0) + 7
        room = max(1, (options.max_width - names) // (len("100.0 (1234)") + 3))
        for start in range(0, len(tasks), room):
            yield self._table(tasks[start : start + room])

    def _table(self, tasks: Sequence[str]) -> Table:
        rows = [row for row in self.rows if row.task in tasks]
        placed = {(row.style, row.group, row.task): row for row in rows}
        table = _table("accuracy by kind of mark, % (n)", rows, ("style", "group"), tasks)
        for style in dict.fromkeys(row.style for row in rows):
            groups = dict.fromkeys(row.group for row in rows if row.style == style)
            table.add_section()
            ordered = sorted(groups, key=lambda group: group_order(group, self.axes))
            for number, group in enumerate(ordered):
                cells = [_count_text(placed.get((style, group, task))) for task in tasks]
                table.add_row(*map(Text, ("" if number else style, group, *cells)))
        return table


def _table(what: str, rows: Sequence[Row], names: Sequence[str], values: Sequence[str]) -> Table:
    """Make an empty table that loses no letter in a narrow terminal."""
    models = ", ".join(dict.fromkeys(row.model for row in rows))
    data = " · synthetic data" if any(row.synthetic for row in rows) else ""
    table = Table(title=Text(f"{models}: {what}{data}"), title_justify="left")
    for name in names:
        table.add_column(Text(name), no_wrap=True)
    for value in values:
        table.add_column(Text(value), justify="right", overflow="fold")
    return table


def _short_text(row: Row | None) -> str:
    """Write an accuracy with an interval in whole percent: `81.2 [76-85]`."""
    if row is None or row.accuracy is None or row.ci_low is None or row.ci_high is None:
        return MISSING
    interval = f"[{100 * row.ci_low:.0f}-{100 * row.ci_high:.0f}]{doubt(row)}"
    text = f"{100 * row.accuracy:.1f} {interval}"
    if row.n < row.n_expected:
        text += f" ({row.n} of {row.n_expected})"
    return text


def _count_text(row: Row | None) -> str:
    if row is None or row.accuracy is None:
        return MISSING
    return f"{100 * row.accuracy:.1f} ({row.n})"
