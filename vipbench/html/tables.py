"""The tables of a report, as records that the template lays out and the plots draw."""

import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple
from urllib.parse import urlencode

from vipbench.html.runs import (
    MARKED,
    Run,
    Scored,
    Scores,
    TaskKey,
    headline_metric,
    reveal_hidden,
    task_labels,
)
from vipbench.prompts.variants import rank
from vipbench.report.rows import has_uneven_images
from vipbench.runfolder.summary import ALL, Row, find_group
from vipbench.schema import NO_CONTROLS
from vipbench.stats.comparisons import holm, paired
from vipbench.stats.intervals import MIN_CLUSTERS, clustered_mean

AXIS_WORDS = {"color": "colour", "n_marks": "number of marks"}
"""Axes whose name is not yet a word."""
MOST_ORDERED = 30
"""Runs of which each two are held against each other: 435 pairs of a task."""
MIXED = "mixed"
"""What a sample is tagged with whose marks differ."""


class Number(NamedTuple):
    """An accuracy, or a difference of two; fractions."""

    mean: float
    low: float | None
    """95 % interval, where there is one."""
    high: float | None
    n: int
    n_clusters: int
    whole: int = 0
    """Samples that there would be; 0: not known, or no more than `n`."""
    note: str = ""
    """Such as the fit, where it differs between runs."""
    link: str = ""
    """Opens the samples behind the number."""
    even: bool = True
    """False: few images hold most of the samples."""

    @property
    def few(self) -> bool:
        """Say whether there are too few images for the interval to be relied on."""
        return self.n_clusters < MIN_CLUSTERS or not self.even


class Column(NamedTuple):
    """What one column is about: no other version, metric, style or kind of data is in it."""

    task: TaskKey
    label: str
    style: str
    metric: str
    name: str
    """Of the metric; where several judges gave grades, with the judge."""


class Line(NamedTuple):
    """A line of a table: a run, and its number in each column."""

    run: int
    cells: list[Number | None]


class Board(NamedTuple):
    """A leaderboard: a column for each task and style, a line for each model or baseline."""

    columns: list[Column]
    lines: list[Line]


class Trouble(NamedTuple):
    """Answers of one task that accuracy alone does not show."""

    run: int
    task: str
    style: str
    n: int
    """Answers, errors included."""
    errors: int
    unparsed: int
    truncated: int
    refused: int
    filtered: int
    link: str


class Bar(NamedTuple):
    """One entry of a forest plot."""

    label: str
    run: int
    number: Number


class Forest(NamedTuple):
    """Accuracies below each other: by style, or by the values of one axis."""

    title: str
    bars: list[Bar]


class HeatMap(NamedTuple):
    """Accuracy by shape and colour of the marks, of one run."""

    run: int
    shapes: list[str]
    colors: list[str]
    cells: list[list[Number | None]]
    """A row a shape."""


class Control(NamedTuple):
    """What a run reaches where marks are missing, wrong or invisible."""

    run: int
    headline: Number | None
    """Of the run's first style with marks where its headline style is a control; None: of none."""
    controls: dict[str, Number | None]
    """By style."""
    gain: Number | None
    """Headline minus `none` on the same samples."""


class Difference(NamedTuple):
    """Two runs on the same samples under the same style."""

    style: str
    base: int
    new: int
    number: Number
    """New minus base."""
    gained: int
    """Samples that the new run scores higher."""
    lost: int
    p: float
    """Two-sided, paired and clustered; adjusted by Holm's method within its table."""
    gained_link: str
    lost_link: str


class Order(NamedTuple):
    """How often one run is ahead of another."""

    first: int
    second: int
    """The run that is behind more often."""
    ahead: int
    behind: list[str]
    """Styles under which the order is reversed."""
    ties: int
    n_styles: int


class TaskPart(NamedTuple):
    """All of the report that is about one task."""

    task: TaskKey
    label: str
    slug: str
    metric: str
    chance: float | None
    styles: Forest
    groups: list[Forest]
    """By value of each axis, under the headline style."""
    heat_maps: list[HeatMap]
    orders: list[Order]
    control_names: list[str]
    controls: list[Control]
    headlines: set[str]
    """Headline styles of the runs."""
    differences: list[Difference]
    """Of each later run from the first that has the task, by style."""


def leaderboards(runs: Sequence[Run], tasks: Sequence[TaskKey]) -> tuple[Board, Board]:
    """Return the leaderboard of the headline metrics, and that of all others."""
    labels = task_labels(tasks)
    headline: list[Column] = []
    others: list[Column] = []
    for key in tasks:
        for run in runs:
            task = run.task(key)
            if task is None:
                continue
            first = headline_metric(task)
            headline.append(Column(key, labels[key], task.headline, first, run.metric_name(first)))
            others += [
                Column(key, labels[key], row.style, row.metric, run.metric_name(row.metric))
                for row in run.rows
                if row.task == key.name
                and row.style == task.headline
                and row.group == ALL
                and row.metric != first
            ]
    return _board(runs, headline), _board(runs, others)


def _board(runs: Sequence[Run], columns: Sequence[Column]) -> Board:
    unique = list(dict.fromkeys(columns))
    fits = {key: _has_fits(runs, key) for key in dict.fromkeys(c.task for c in unique)}
    return Board(
        unique,
        [
            Line(
                number,
                [
                    _number(fits[c.task], run.row(c.task, c.style, c.metric), c.label)
                    if run.metric_name(c.metric) == c.name
                    else None
                    for c in unique
                ],
            )
            for number, run in enumerate(runs)
        ],
    )


def _has_fits(runs: Sequence[Run], task: TaskKey) -> bool:
    """Say whether runs differ in how the images of a task are fitted."""
    return len({known.fit for run in runs if (known := run.task(task)) is not None}) > 1


def _number(several_fits: bool, row: Row | None, label: str, **filters: str) -> Number | None:
    if row is None or row.accuracy is None:
        return None
    is_part = row.group == ALL and row.n < row.n_expected
    return Number(
        mean=row.accuracy,
        low=row.ci_low,
        high=row.ci_high,
        n=row.n,
        n_clusters=row.n_clusters,
        whole=row.n_expected if is_part else 0,
        note=row.fit if several_fits else "",
        link=browse(task=label, style=row.style, **filters),
        even=not has_uneven_images(row),
    )


def browse(**filters: str) -> str:
    """Return the address, within the page, of the samples that pass some filters."""
    return "#/" + urlencode({name: reveal_hidden(value) for name, value in filters.items()})


def troubles(runs: Sequence[Run], tasks: Sequence[TaskKey]) -> list[Trouble]:
    """List where answers are missing, unparsed or cut off."""
    labels = task_labels(tasks)
    return [
        _trouble(number, labels[key], row)
        for number, run in enumerate(runs)
        for key in tasks
        if (task := run.task(key)) is not None
        for row in run.rows
        if row.task == key.name
        and row.group == ALL
        and row.metric == headline_metric(task)
        and (row.n_errors or row.n_unparsed or row.n_truncated or row.n_refused or row.n_filtered)
    ]


def _trouble(number: int, label: str, row: Row) -> Trouble:
    # The page shows a filtered answer as an error, and a refused one as unparsed.
    states = {"error": row.n_errors + row.n_filtered, "unparsed": row.n_unparsed}
    state = next((name for name, n in states.items() if n), "cut")
    return Trouble(
        run=number,
        task=label,
        style=row.style,
        n=row.n + row.n_errors + row.n_filtered,
        errors=row.n_errors,
        unparsed=row.n_unparsed,
        truncated=row.n_truncated,
        refused=row.n_refused,
        filtered=row.n_filtered,
        link=browse(task=label, style=row.style, run=str(number + 1), state=state),
    )


def task_part(runs: Sequence[Run], scores: Scores, key: TaskKey, label: str, slug: str) -> TaskPart:
    """Gather all that the report says of one task."""
    having = [(number, run) for number, run in enumerate(runs) if run.task(key) is not None]
    first = having[0][1].manifest.tasks[key.name]
    metric = headline_metric(first)
    kinds = {style: kind for _, run in reversed(having) for style, kind in run.kinds(key).items()}
    marked = [style for style, kind in kinds.items() if kind in NO_CONTROLS]
    control_names = [style for style, kind in kinds.items() if kind not in NO_CONTROLS]
    fits = _has_fits(runs, key)
    bars = [
        Bar(style, number, value)
        for style in marked
        for number, run in having
        if (value := _number(fits, run.row(key, style, metric), label)) is not None
    ]
    return TaskPart(
        task=key,
        label=label,
        slug=slug,
        metric=metric,
        chance=first.chance,
        styles=Forest("style", bars),
        groups=list(_groups(fits, having, key, label, metric)),
        heat_maps=list(_heat_maps(scores, having, key, label)),
        orders=_orders(having, key, marked, metric),
        control_names=control_names,
        controls=[
            _control(fits, run, number, scores, key, label, metric, control_names)
            for number, run in having
            if control_names
        ],
        headlines={run.manifest.tasks[key.name].headline for _, run in having},
        differences=list(
            _differences([number for number, _ in having], scores, key, label, marked)
        ),
    )


def _groups(
    fits: bool, having: Sequence[tuple[int, Run]], key: TaskKey, label: str, metric: str
) -> Iterator[Forest]:
    """Yield a forest for each axis of the breakdown on which there is more than one value."""
    axes = dict.fromkeys(a for _, run in having for a in run.manifest.tasks[key.name].breakdown)
    for axis in axes:
        by_value: dict[str, list[Bar]] = {}
        for number, run in having:
            task = run.manifest.tasks[key.name]
            for row in run.rows:
                if (row.task, row.style, row.metric) != (key.name, task.headline, metric):
                    continue
                group = find_group(row.group, task.breakdown)
                if group is None or group.axis != axis:
                    continue
                value = group.value
                filters = {axis: value} if axis in ("shape", "color") else {"q": row.group}
                accuracy = _number(fits, row, label, **filters)
                if accuracy is not None:
                    by_value.setdefault(value, []).append(Bar(value, number, accuracy))
        if len(by_value) > 1:
            title = AXIS_WORDS.get(axis, axis.replace("_", " "))
            yield Forest(title, [bar for bars in by_value.values() for bar in bars])


def _heat_maps(
    scores: Scores, having: Sequence[tuple[int, Run]], key: TaskKey, label: str
) -> Iterator[HeatMap]:
    """Yield a heat map for each run in which marks of one shape and colour were asked about."""
    by_run = [
        {
            mark: scored
            for mark, scored in scores.by_mark.get((number, key), {}).items()
            if MIXED not in mark
        }
        for number, _ in having
    ]
    everywhere = [mark for marks in by_run for mark in marks]
    shapes = _ordered({shape for shape, _ in everywhere}, "shape")
    colors = _ordered({color for _, color in everywhere}, "color")
    for (number, _), marks in zip(having, by_run, strict=True):
        if marks:
            cells = [
                [_mark_number(marks.get((shape, color)), label, shape, color) for color in colors]
                for shape in shapes
            ]
            yield HeatMap(number, shapes, colors, cells)


def _mark_number(
    scored: Sequence[Scored] | None, label: str, shape: str, color: str
) -> Number | None:
    if not scored:
        return None
    estimate = clustered_mean([s.value for s in scored], [s.group for s in scored])
    return Number(
        mean=estimate.mean,
        low=estimate.ci_low,
        high=estimate.ci_high,
        n=estimate.n,
        n_clusters=estimate.n_clusters,
        link=browse(task=label, shape=shape, color=color),
        even=estimate.reliable or estimate.n_clusters < MIN_CLUSTERS,
    )


def _ordered(values: set[str], axis: str) -> list[str]:
    return sorted(values, key=lambda value: (rank(axis, value), value))


def _orders(
    having: Sequence[tuple[int, Run]], key: TaskKey, marked: Sequence[str], metric: str
) -> list[Order]:
    """Count, for each two runs, the styles under which one is ahead; both must have the style.

    Of more than `MOST_ORDERED` runs there are none: nobody reads so many pairs.
    """
    orders: list[Order] = []
    if len(having) > MOST_ORDERED:
        return orders
    for (number_a, run_a), (number_b, run_b) in itertools.combinations(having, 2):
        leads = {}
        for style in marked:
            a, b = run_a.row(key, style, metric), run_b.row(key, style, metric)
            if a and b and a.accuracy is not None and b.accuracy is not None:
                leads[style] = a.accuracy - b.accuracy
        if len(leads) < 2:
            continue
        wins_a = [style for style, lead in leads.items() if lead > 0]
        wins_b = [style for style, lead in leads.items() if lead < 0]
        n_ties = len(leads) - len(wins_a) - len(wins_b)
        if len(wins_b) > len(wins_a):
            orders.append(Order(number_b, number_a, len(wins_b), wins_a, n_ties, len(leads)))
        else:
            orders.append(Order(number_a, number_b, len(wins_a), wins_b, n_ties, len(leads)))
    return orders


def _control(
    fits: bool,
    run: Run,
    number: int,
    scores: Scores,
    key: TaskKey,
    label: str,
    metric: str,
    names: Sequence[str],
) -> Control:
    kinds = run.kinds(key)
    marked = [style for style, kind in kinds.items() if kind in MARKED]
    headline = run.manifest.tasks[key.name].headline
    if headline not in marked:  # a control is compared with marks, or with nothing
        headline = next(iter(marked), "")
    none = next((style for style, kind in kinds.items() if kind == "none"), None)
    gain = None
    if none is not None and headline:
        change = _paired(scores, (number, key, none), (number, key, headline))
        gain = None if change is None else change.number
    return Control(
        run=number,
        headline=_number(fits, run.row(key, headline, metric), label),
        controls={name: _number(fits, run.row(key, name, metric), label) for name in names},
        gain=gain,
    )


def _differences(
    numbers: Sequence[int], scores: Scores, key: TaskKey, label: str, styles: Sequence[str]
) -> Iterator[Difference]:
    """Compare each run with the first one that has the task."""
    base = numbers[0]
    for style, new in itertools.product(styles, numbers[1:]):
        change = _paired(scores, (base, key, style), (new, key, style))
        if change is None:
            continue
        links = [
            browse(task=label, style=style, between=f"{one + 1}-{two + 1}")
            for one, two in ((new, base), (base, new))
        ]
        yield Difference(style, base, new, *change, *links)


def with_holm(parts: Sequence[TaskPart]) -> list[TaskPart]:
    """Adjust the p-values for their number: those of the headline styles, and all others."""
    adjusted: dict[tuple[TaskKey, str, int], float] = {}
    for is_headline in (True, False):
        family = [
            (part.task, difference)
            for part in parts
            for difference in part.differences
            if (difference.style in part.headlines) == is_headline
        ]
        p_values = holm([difference.p for _, difference in family])
        for (key, difference), p in zip(family, p_values, strict=True):
            adjusted[key, difference.style, difference.new] = p
    return [
        part._replace(
            differences=[
                difference._replace(p=adjusted[part.task, difference.style, difference.new])
                for difference in part.differences
            ]
        )
        for part in parts
    ]


class _Change(NamedTuple):
    number: Number
    gained: int
    lost: int
    p: float


def _paired(
    scores: Scores, base: tuple[int, TaskKey, str], new: tuple[int, TaskKey, str]
) -> _Change | None:
    """Compare two sets of answers on the samples that both have; None where there are none."""
    before, after = scores.by_style.get(base, {}), scores.by_style.get(new, {})
    shared = [id_ for id_ in before if id_ in after]
    if not shared:
        return None
    change = paired(
        [before[id_].value for id_ in shared],
        [after[id_].value for id_ in shared],
        [before[id_].group for id_ in shared],
    )
    n_all = len(before.keys() | after.keys())
    low, high = change.bounds()
    number = Number(
        mean=change.difference,
        low=low,
        high=high,
        n=change.n,
        n_clusters=change.n_clusters,
        whole=n_all if n_all > len(shared) else 0,
        even=change.reliable or change.n_clusters < MIN_CLUSTERS,
    )
    return _Change(number, change.n_gained, change.n_lost, change.p_two_sided())


def slugs(labels: Sequence[str]) -> list[str]:
    """Return names for files and anchors: of plain letters, all different."""
    names: list[str] = []
    for label in labels:
        kept = (c if (c.isascii() and c.isalnum()) or c in "_-" else "-" for c in label)
        slug = "".join(kept)[:60]
        while slug in names:
            slug += "-"
        names.append(slug)
    return names
