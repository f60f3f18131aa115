"""Tables for a terminal: any grid, the rows of a run, their breakdown, the spread over seeds."""

from collections.abc import Collection, Iterator, Sequence
from typing import Literal

from rich.console import Console, ConsoleOptions
from rich.table import Table
from rich.text import Text

from vipbench.console import visible
from vipbench.report.columns import NARROWEST, fitted, longest_part, natural_width, wrap
from vipbench.report.rows import TROUBLES, short_accuracy_text
from vipbench.report.text import MISSING, Grid, percent
from vipbench.runfolder.summary import ALL, HEADLINE_METRIC, Row, SeedRow, find_group
from vipbench.scoring.summary import group_order

NAME_ROOM = 12
"""Columns that a name has, where it is as long, before a column of numbers is left out for it."""
REMARK = " ("
"""What a remark behind a number begins with; it may stand in a line of its own."""
WIDEST_NAME = 30
"""Columns that the name of a task has beside those of styles."""
BORDER = 3
"""Columns of a line between two cells, with a blank at each side."""


class GridTable:
    """A grid that is no wider than the terminal, and loses no letter in a narrow one.

    Cells and headers are broken between words, and in a name behind `_`, `:` and the like.
    """

    def __init__(
        self,
        grid: Grid,
        *,
        ends: Collection[int] = (),
        has_lines: bool = True,
        names: Collection[int] | None = None,
    ) -> None:
        """Take a grid, below which of its rows there is a line, and whether there are lines.

        `names` are columns that may be broken before others are (None: those aligned left).
        """
        self.title = visible(grid.title)
        self.columns = [
            [visible(cell) for cell in column]
            for column in zip(grid.header, *grid.rows, strict=True)
        ]
        self.words = grid.words
        self.names = grid.words if names is None else names
        self.ends = ends
        self.has_lines = has_lines

    @property
    def width(self) -> int:
        """Columns that it takes where nothing has to be broken."""
        return sum(map(natural_width, self.columns)) + self._between()

    @property
    def whole_width(self) -> int:
        """Columns that it takes at least, if numbers and headers stay whole in one line."""
        return sum(self._whole) + self._between()

    @property
    def _whole(self) -> list[int]:
        """How wide each column is where only names are broken, and remarks stand below numbers."""
        return [
            max(longest_part(column), min(natural_width(column), NAME_ROOM))
            if index in self.names
            else max(len(part) for cell in column for part in cell.split(REMARK))
            for index, column in enumerate(self.columns)
        ]

    def _between(self) -> int:
        n = len(self.columns)
        return BORDER * n + 1 if self.has_lines else n - 1

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Table]:
        """Yield the table, as wide as it may be."""
        room = options.max_width - self._between()
        widths = fitted(self.columns, room, self._whole if sum(self._whole) <= room else None)
        title = "\n".join(wrap(self.title, max(sum(widths) + self._between(), NARROWEST)))
        table = Table(title=Text(title) if title else None, title_justify="left")
        if not self.has_lines:
            table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="")
        cells = [
            ["\n".join(wrap(cell, width)) for cell in column]
            for column, width in zip(self.columns, widths, strict=True)
        ]
        heads, *rows = zip(*cells, strict=True)
        for index, (head, width) in enumerate(zip(heads, widths, strict=True)):
            justify: Literal["left", "right"] = "left" if index in self.words else "right"
            # Where the terminal is narrower than all of this, rich folds what is left.
            table.add_column(Text(head), justify=justify, overflow="fold", width=width)
        for number, row in enumerate(rows):
            table.add_row(*map(Text, row), end_section=number in self.ends)
        yield table


class SparingTable:
    """A grid that is left without its least needed columns where numbers had to be broken."""

    def __init__(
        self, grid: Grid, spare: Sequence[Collection[str]], elsewhere: str, name: str
    ) -> None:
        """Take headers of columns that can be spared, and what else has all columns.

        Those of `spare` that belong together go together, the first ones first; `name` is the
        header of the column of names.
        """
        self.grid = grid
        self.spare = spare
        self.elsewhere = elsewhere
        self.name = name

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterator[GridTable | Text]:
        """Yield the table with as many columns as there is room for, then what it is without."""
        gone: list[str] = []
        table = self._table(gone)
        for names in self.spare:
            if table.whole_width <= options.max_width:
                break
            gone.extend(names)
            table = self._table(gone)
        yield table
        if gone:
            listed = ", ".join(name for name in self.grid.header if name in gone)
            line = f"No room for {listed}: widen the terminal, or see {self.elsewhere}."
            yield _text("\n".join(wrap(line, options.max_width)))

    def _table(self, gone: Collection[str]) -> GridTable:
        grid = self.grid.without(gone)
        return GridTable(grid, names=(grid.header.index(self.name),))


def grid_table(grid: Grid) -> GridTable:
    """Lay out a grid with lines."""
    return GridTable(grid)


def plain_table(grid: Grid) -> GridTable:
    """Lay out a grid without its title and without lines, a space between columns."""
    return GridTable(grid._replace(title=""), has_lines=False)


class FittingTable:
    """The first of several forms of a table that is no wider than the terminal, else the last."""

    def __init__(self, grids: Sequence[Grid], below: Sequence[str], n_first: int) -> None:
        """Take the forms, lines that stand below each, and the rows that a line sets apart."""
        self.grids = grids
        self.below = below
        self.n_first = n_first

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterator[GridTable | Text]:
        """Yield title, table and what stands below, each as wide as it may be."""
        for grid in self.grids:
            table = GridTable(grid._replace(title=""), ends=(self.n_first - 1,))
            if table.width <= options.max_width:
                break
        yield _text(grid.title)
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

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[GridTable]:
        """Yield a table that is no wider than the terminal."""
        wide = self._wide()
        is_one = len(self.styles) < 2
        yield wide if is_one or wide.width <= options.max_width else self._tall()

    def _tall(self) -> GridTable:
        """Lay out styles as lines, those of a task together; long names are folded."""
        title = _title("accuracy, % [95 % interval]", self.rows)
        body, ends = [], []
        for task, metric in dict.fromkeys((row.task, row.metric) for row in self.rows):
            label = "\n".join(wrap(_label(task, metric), WIDEST_NAME))
            for row in self.rows:
                if (row.task, row.metric) == (task, metric):
                    counts = (str(count(row)) for count in self.shown.values())
                    body.append((label, row.style, _short_text(row), *counts))
                    label = ""
            ends.append(len(body) - 1)
        return GridTable(Grid(title, ("task", "style", "accuracy", *self.shown), body), ends=ends)

    def _wide(self) -> GridTable:
        body = []
        for task, metric in dict.fromkeys((row.task, row.metric) for row in self.rows):
            by_style = {
                row.style: row for row in self.rows if (row.task, row.metric) == (task, metric)
            }
            label = _label(task, metric)
            cells = [_short_text(by_style.get(style)) for style in self.styles]
            counts = [str(sum(map(count, by_style.values()))) for count in self.shown.values()]
            body.append((label, *cells, *counts))
        title = _title("accuracy, % [95 % interval]", self.rows)
        grid = Grid(title, ("task", *self.styles, *self.shown), body, words=(0,))
        return grid_table(grid)


def run_table(rows: Sequence[Row]) -> RunTable:
    """Lay out the end of a run, as wide as the terminal is."""
    return RunTable(rows)


def seed_table(rows: Sequence[SeedRow]) -> GridTable:
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
    return grid_table(Grid(f"accuracy over {n} seeds, %", header, body))


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

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[GridTable]:
        """Yield tables that are no wider than the terminal."""
        names = max((len(row.style) + len(row.group) for row in self.rows), default=0)
        room = options.max_width - names - 2 * BORDER - 1
        chosen: list[str] = []
        taken = 0
        for task in dict.fromkeys(row.task for row in self.rows):
            width = max(len("100.0 (1234)"), longest_part([task])) + BORDER
            if chosen and taken + width > room:
                yield self._table(chosen)
                chosen, taken = [], 0
            chosen.append(task)
            taken += width
        if chosen:
            yield self._table(chosen)

    def _table(self, tasks: Sequence[str]) -> GridTable:
        rows = [row for row in self.rows if row.task in tasks]
        row_at = {(row.style, row.group, row.task): row for row in rows}
        body, ends = [], []
        for style in dict.fromkeys(row.style for row in rows):
            groups = dict.fromkeys(row.group for row in rows if row.style == style)
            ordered = sorted(groups, key=lambda name: group_order(self.groups[name], self.axes))
            for number, group in enumerate(ordered):
                cells = [_count_text(row_at.get((style, group, task))) for task in tasks]
                body.append(("" if number else style, group, *cells))
            ends.append(len(body) - 1)
        title = _title("accuracy by kind of mark, % (n)", rows)
        return GridTable(Grid(title, ("style", "group", *tasks), body), ends=ends)


def _label(task: str, metric: str) -> str:
    """Name a task, and its metric where it has several."""
    return task if metric == HEADLINE_METRIC else f"{task}\n({metric})"


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
