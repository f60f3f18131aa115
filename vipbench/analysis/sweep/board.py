"""Styles as rows, models as columns: the table that says which style is best, in each format."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from vipbench.analysis.sweep.best import BestRow, best_sentence
from vipbench.report import latex
from vipbench.report.text import MISSING, Grid, percent, percent_interval

BEST, OPEN = "*", "="
"""What stands beside the best accuracy of a model, and those that cannot be told from it."""
LEGEND = f"{BEST} best; {OPEN} cannot be told from it (95 %)"
LONGEST_HEAD = 16
"""Characters of a model's name above its column; where one is longer, all have numbers."""


class StyleBoard(NamedTuple):
    """The accuracies of one task."""

    task: str
    """Its name; with version, data and metric where the runs have several of them."""
    models: tuple[str, ...]
    marked: tuple[str, ...]
    """Styles that show marks, that with the highest accuracy first: the mean over the models. Those
    that a model has not been asked under stand behind all others: their means are of other models.
    """
    unmarked: tuple[str, ...]
    """All others, in the same order."""
    rows: dict[tuple[str, str], BestRow]
    """By style and model."""

    @property
    def styles(self) -> tuple[str, ...]:
        """All styles, in the order in which they are shown."""
        return self.marked + self.unmarked

    def heads(self) -> list[str]:
        """Return what stands above the columns: names of models, or numbers where one is long."""
        if any(len(model) > LONGEST_HEAD for model in self.models):
            return [f"({n})" for n in range(1, len(self.models) + 1)]
        return list(self.models)

    def names(self) -> list[str]:
        """Say which numbers stand for which models; nothing where the names are there."""
        pairs = zip(self.heads(), self.models, strict=True)
        return [f"{head} {model}" for head, model in pairs if head != model]

    def sentences(self) -> list[str]:
        """Say for each model which style is best, where it was asked under several."""
        by_model = [[r for r in self.rows.values() if r.model == model] for model in self.models]
        return [said for rows in by_model if (said := best_sentence(rows))]

    def samples(self) -> str:
        """Say how many samples there are: `n 250`, `n 248 of 250`, `n 30 to 250`."""
        ns = [row.n for row in self.rows.values()]
        asked = max(row.n_asked for row in self.rows.values())
        spread = f"{min(ns):,}" if len(set(ns)) == 1 else f"{min(ns):,} to {max(ns):,}"
        data = ", synthetic data" if any(row.synthetic for row in self.rows.values()) else ""
        return f"n {spread}" + (f" of {asked:,}" if min(ns) < asked else "") + data


def boards(rows: Sequence[BestRow]) -> Iterator[StyleBoard]:
    """Yield a board a task; other versions, other data and other metrics have their own."""
    kinds = list(dict.fromkeys(map(_kind, rows)))
    for kind in kinds:
        found = {(row.style, row.model): row for row in rows if _kind(row) == kind}
        task, version, synthetic, metric = kind
        if sum(name == task for name, *_ in kinds) > 1:
            task += f" v{version}{' synthetic' * synthetic}, {metric}"
        by_style: dict[str, list[BestRow]] = {}
        for (style, _), row in found.items():
            by_style.setdefault(style, []).append(row)
        means = {
            style: sum(row.accuracy for row in of_style) / len(of_style)
            for style, of_style in by_style.items()
        }
        models = tuple(dict.fromkeys(model for _, model in found))
        ordered = sorted(means, key=lambda s: (len(by_style[s]) < len(models), -means[s]))
        shown = {style for (style, _), row in found.items() if row.standing != "unmarked"}
        yield StyleBoard(
            task=task,
            models=models,
            marked=tuple(style for style in ordered if style in shown),
            unmarked=tuple(style for style in ordered if style not in shown),
            rows=found,
        )


def _kind(row: BestRow) -> tuple[str, int, bool, str]:
    return row.task, row.task_version, row.synthetic, row.metric


def legend(board: StyleBoard) -> list[str]:
    """Say, a line each, what the signs in a terminal and the numbers of models are."""
    unsure = "; ? too few images" if any(doubt(row) for row in board.rows.values()) else ""
    return [LEGEND + unsure, *board.names()]


def doubt(row: BestRow) -> str:
    """Return `?` where there are too few images for the interval to be relied on."""
    return "" if row.reliable else "?"


def terminal_grids(board: StyleBoard) -> list[Grid]:
    """Return forms of the table, the widest first: with intervals, and without."""
    return [
        _grid(board, f"{board.task}: accuracy by style, %{more} ({board.samples()})", with_interval)
        for with_interval, more in ((True, " [95 % interval]"), (False, ""))
    ]


def _grid(board: StyleBoard, title: str, with_interval: bool) -> Grid:
    body = []
    for style in board.styles:
        found = [board.rows.get((style, model)) for model in board.models]
        body.append((style, *(_terminal_cell(row, with_interval) for row in found)))
    header = ("style", *board.heads())
    return Grid(title, header, body, words=tuple(range(len(header))))


def _terminal_cell(row: BestRow | None, with_interval: bool) -> str:
    if row is None:
        return f"  {MISSING:>5}"
    mark = {"best": BEST, "open": OPEN}.get(row.standing, " ")
    span = f" [{percent(row.ci_low, 0)}-{percent(row.ci_high, 0)}]" if with_interval else ""
    return f"{mark} {percent(row.accuracy):>5}{span}{doubt(row)}"


def markdown_grid(board: StyleBoard) -> Grid:
    """Return the table with all digits; its title says what the signs are."""
    body = []
    for style in board.styles:
        cells = []
        for model in board.models:
            row = board.rows.get((style, model))
            mark = {"best": BEST, "open": OPEN}.get(row.standing, "") if row else ""
            cells.append(f"{_text(row, 1)} {mark}".strip())
        body.append((style, *cells))
    title = f"{board.task}: accuracy by style, % [95 % interval] ({board.samples()}); {LEGEND}"
    return Grid(title, ("style", *board.models), body, words=(0,))


def _text(row: BestRow | None, digits: int | None) -> str:
    """Write an accuracy, with its interval of so many digits or without one."""
    if row is None:
        return MISSING
    if digits is None:
        return percent(row.accuracy) + doubt(row)
    interval = percent_interval(row.accuracy, row.ci_low, row.ci_high, digits)
    return f"{percent(row.accuracy)} {interval.partition(' ')[2]}{doubt(row)}"


def latex_page(found: Sequence[StyleBoard], notes: Sequence[str]) -> str:
    """Lay out a table a task; intervals lose digits, then go, where all models fit only so."""
    chosen = [
        latex.fewest_tables([_latex_board(board, digits) for digits in (1, 0, None)])
        for board in found
    ]
    return latex.latex_page(notes, chosen)


def _latex_board(board: StyleBoard, digits: int | None) -> latex.Board:
    """Lay out a task; the best is bold, those that cannot be told from it have a star."""
    span = "" if digits is None else " with its 95 % interval"
    blocks = [
        latex.Block(heading, [(style, _latex_cells(board, style, digits)) for style in styles])
        for heading, styles in (("", board.marked), ("without marks", board.unmarked))
        if styles
    ]
    legend = (
        "Bold: the best style of the model. *: cannot be told from it at 95 % (Hsu's multiple "
        "comparisons with the best, paired and clustered by image).",
        *(["?: too few images."] if any(doubt(row) for row in board.rows.values()) else []),
    )
    title = f"{board.task}: accuracy by style in percent{span} ({board.samples()})"
    return latex.Board(title, "style", [(model, "") for model in board.models], blocks, legend)


def _latex_cells(board: StyleBoard, style: str, digits: int | None) -> list[latex.Cell]:
    cells = []
    for model in board.models:
        row = board.rows.get((style, model))
        standing = row.standing if row else ""
        cells.append(latex.Cell(_text(row, digits), standing == "best", standing == "open"))
    return cells
