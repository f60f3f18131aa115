"""Tables for a terminal: any grid, the rows of a run, their breakdown, the spread over seeds."""

from collections.abc import Collection, Iterator, Sequence
from typing import Literal

from rich.console import Console, ConsoleOptions
from rich.table import Table
from rich.text import Text

from vipbench.console import visible
from vipbench.report.rows import TROUBLES, short_accuracy_text
from vipbench.report.text import MISSING, Grid, percent
from vipbench.runfolder.summary import ALL, HEADLINE_METRIC, Row, SeedRow, find_group
from vipbench.scoring.summary import group_order

WIDEST_NAME = 30
"""Columns that the name of a task has beside those of styles."""
UNBOUNDED = 100_000
"""Columns of a terminal in which every table would have room."""


def grid_table(grid: Grid, *, unbroken: int = 0) -> Table:
    """Lay out a grid so that it loses no letter in a narrow terminal: cells are folded.

    Args:
        grid: The table.
        unbroken: Number of first columns whose cells stay in one line.
    """
    table = Table(title=_text(grid.title), title_justify="left")
    for column, name in enumerate(grid.header):
        table.add_column(
            _text(name),
            justify="left" if column in grid.words else "right",
            no_wrap=column < unbroken,
            overflow="ellipsis" if column < unbroken else "fold",
        )
    for row in grid.rows:
        table.add_row(*map(_text, row))
    return table


def plain_table(grid: Grid) -> Table:
    """Lay out a grid without its title and without lines, a space between columns."""
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="")
    for column, name in enumerate(grid.header):
        justify: Literal["left", "right"] = "left" if column in grid.words else "right"
        table.add_column(_text(name), justify=justify, overflow="fold")
    for row in grid.rows:
        table.add_row(*map(_text, row))
    return table


class FittingTable:
    """The first of several forms of a table that is no wider than the terminal, else the last."""

    def __init__(self, grids: Sequence[Grid], below: Sequence[str], n_first: int) -> None:
        """Take the forms, lines that stand below each, and the rows that a line sets apart."""
        self.grids = grids
        self.below = below
        self.n_first = n_first

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Table | Text]:
        """Yield title, table and what stands below, each as wide as it may be."""
        unbounded = options.update(max_width=UNBOUNDED)
        for grid in self.grids:
            table = grid_table(grid._replace(title=""))
            for row in table.rows[self.n_first - 1 : self.n_first]:
                row.end_section = True
            if console.measure(table, options=unbounded).maximum <= options.max_width:
                break
        yield _text(grid.title)
        table.title = None
        yield table
        yield from map(_text, self.below)


def _text(text: str) -> Text:
    """Return a text without markup, in which nothing steers the terminal."""
    return Text(visible(text))


class RunTable:
    """The end of a run, in percent with interval: tasks as lines and styles as columns.

    Where the terminal has no room for that, styles are lines.
    """

    def __init__(self, rows: Sequence[Row]) -> None:
        """Take the rows of a run; those of groups are left out."""
        self.rows = [row for row in rows if row.group == ALL]
        self.styles = list(dict.fromkeys(row.style for row in self.rows))
        self.shown = {name: count for name, count in TROUBLES.items() if any(map(count, self.rows))}

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Table]:
        """Yield a table that is no wider than the terminal."""
        is_one = len(self.styles) < 2
        wide = self._wide()
        unbounded = options.update(max_width=UNBOUNDED)
        if is_one or console.measure(wide, options=unbounded).maximum <= options.max_width:
            yield wide
            return
        yield self._tall()

    def _tall(self) -> Table:
        """Lay out styles as lines, those of a task together; long names are folded."""
        title = _title("accuracy, % [95 % interval]", self.rows)
        header = ("task", "style", "accuracy", *self.shown)
        table = grid_table(Grid(title, header, []))
        table.columns[0].max_width = WIDEST_NAME
        for task, metric in dict.fromkeys((row.task, row.metric) for row in self.rows):
            table.add_section()
            label = task if metric == HEADLINE_METRIC else f"{task}\n({metric})"
            for row in self.rows:
                if (row.task, row.metric) == (task, metric):
                    counts = (str(count(row)) for count in self.shown.values())
                    table.add_row(*map(_text, (label, row.style, _short_text(row), *counts)))
                    label = ""
        return table

    def _wide(self) -> Table:
        body = []
        for task, metric in dict.fromkeys((row.task, row.metric) for row in self.rows):
            by_style = {
                row.style: row for row in self.rows if (row.task, row.metric) == (task, metric)
            }
            label = task if metric == HEADLINE_METRIC else f"{task}\n({metric})"
            cells = [_short_text(by_style.get(style)) for style in self.styles]
            counts = [str(sum(map(count, by_style.values()))) for count in self.shown.values()]
            body.append((label, *cells, *counts))
        title = _title("accuracy, % [95 % interval]", self.rows)
        grid = Grid(title, ("task", *self.styles, *self.shown), body, words=(0,))
        # Names of tasks are folded where nothing else can give way.
        return grid_table(grid, unbroken=0 if len(self.styles) < 2 else 1)


def run_table(rows: Sequence[Row]) -> RunTable:
    """Lay out the end of a run, as wide as the terminal is."""
    return RunTable(rows)


def seed_table(rows: Sequence[SeedRow]) -> Table:
    """Lay out the spread over seeds: mean, standard deviation, lowest and highest in percent."""
    n = max((len(row.seeds) for row in rows), default=0)
    body = [
        (
            row.task if row.metric == HEADLINE_METRIC else f"{row.task} ({row.metric})",
            row.style,
            percent(row.mean),
            percent(row.sd, 2),
            percent(row.lowest),
            percent(row.highest),
        )
        for row in rows
    ]
    header = ("task", "style", "mean", "sd", "lowest", "highest")
    return grid_table(Grid(f"accuracy over {n} seeds, %", header, body), unbroken=2)


class BreakdownTable:
    """How accuracy depends on the kind of mark: groups as lines, tasks as columns.

    As many tasks stand side by side as the terminal has room for.
    """

    def __init__(
        self,
        rows: Sequence[Row],
        styles: Collection[str] | None = None,
        axes: Sequence[str] = ("shape", "color"),
        listed_axes: Collection[str] = (),
    ) -> None:
        """Take the rows of a run; `styles` are those to show, None: all.

        `axes` are shown; `listed_axes` are all that the run lists, by which groups are told apart.
        Of each task the first metric is shown, which is its headline.
        """
        self.axes = axes
        metrics = {row.task: row.metric for row in reversed(rows)}
        groups = {row.group: find_group(row.group, {*axes, *listed_axes}) for row in rows}
        self.groups = {
            name: group for name, group in groups.items() if group and group.axis in axes
        }
        self.rows = [
            row
            for row in rows
            if row.group in self.groups
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
        row_at = {(row.style, row.group, row.task): row for row in rows}
        title = _title("accuracy by kind of mark, % (n)", rows)
        table = grid_table(Grid(title, ("style", "group", *tasks), []), unbroken=2)
        for style in dict.fromkeys(row.style for row in rows):
            groups = dict.fromkeys(row.group for row in rows if row.style == style)
            table.add_section()
            ordered = sorted(groups, key=lambda name: group_order(self.groups[name], self.axes))
            for number, group in enumerate(ordered):
                cells = [_count_text(row_at.get((style, group, task))) for task in tasks]
                table.add_row(*map(_text, ("" if number else style, group, *cells)))
        return table


def _title(what: str, rows: Sequence[Row]) -> str:
    models = ", ".join(dict.fromkeys(row.model for row in rows))
    data = " · synthetic data" if any(row.synthetic for row in rows) else ""
    return f"{models}: {what}{data}"


def _short_text(row: Row | None) -> str:
    if row is None or row.accuracy is None:
        return MISSING
    text = short_accuracy_text(row)
    if row.n < row.n_expected:
        text += f" ({row.n} of {row.n_expected})"
    return text


def _count_text(row: Row | None) -> str:
    if row is None or row.accuracy is None:
        return MISSING
    return f"{percent(row.accuracy)} ({row.n})"
