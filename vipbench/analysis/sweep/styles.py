"""How answers depend on the style: against the headline, by factor, and for the order of models.

Reads finished runs; asks nothing and opens no image.
"""

import hashlib
import itertools
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from rich.table import Table
from rich.text import Text

from vipbench.runfolder import manifest as manifests
from vipbench.runfolder import folder as store
from vipbench.runfolder.manifest import Manifest
from vipbench.report.leaderboard import read_summary
from vipbench.schema import PromptStyle, Record, StyleKind
from vipbench.stats import clustered_mean, contrast, holm, paired
from vipbench.runfolder.folder import ScoreLine

MARKED: tuple[StyleKind, ...] = ("marks", "given")
"""Kinds of styles under which the model sees the marks that the text is about."""
FACTORS = ("shape", "color", "width", "alpha")
N_INTERACTIONS = 5
"""The largest ones that are listed."""
N_RESAMPLES = 1000
"""Draws of images for the stability of the order."""
AS_HEADLINE = "as headline"
"""Level of a width or an opacity that the style leaves to the headline style."""

Floats = npt.NDArray[np.float64]


class StyleRow(Record):
    """One style of one task in one run."""

    run: str
    model: str
    task: str
    style: str
    headline: bool
    kind: StyleKind
    """All but `marks` and `given` are controls, which show what marks are worth."""
    n: int
    """Samples that this style and the headline style both have a score for."""
    n_clusters: int
    accuracy: float
    ci_low: float
    ci_high: float
    difference: float
    """This style minus the headline style on the same samples, -1 to 1; like the bounds below."""
    difference_low: float
    difference_high: float
    p: float
    """Two-sided, of no difference; adjusted by Holm over the styles of the task."""


class EffectRow(Record):
    """What one level of a factor, or two levels together, add to the accuracy."""

    run: str
    model: str
    task: str
    kind: str
    """`main` or `interaction`."""
    factor: str
    """Such as `shape`, or `shape x color`."""
    level: str
    n_styles: int
    """Styles that have the level."""
    n: int
    effect: float
    """Deviation from the mean of the factor's levels, the others being equal; for an interaction
    from what its two levels add by themselves. -1 to 1, like the bounds."""
    ci_low: float
    ci_high: float
    p: float
    """Adjusted by Holm over the rows of the task and kind."""


class OrderRow(Record):
    """How stable it is that one model is better than another."""

    task: str
    first: str
    second: str
    n_styles: int
    n_first: int
    """Styles under which the first has the higher accuracy."""
    n_second: int
    n_first_clear: int
    """Those among them whose 95 % interval of the paired difference leaves 0 out."""
    n_second_clear: int
    resampled: float
    """Share of styles x draws of images in which the first is ahead; ties count half."""
    sentence: str


class RankRow(Record):
    """The ranks that a model takes over styles and draws of images."""

    task: str
    model: str
    n_styles: int
    mean: float
    """1 is the best; ties share the mean of their ranks."""
    low: float
    high: float
    """2.5 and 97.5 percentiles."""
    tau: float | None
    """Kendall's tau-b between the orders of all models under two styles, over all pairs of styles;
    the same in each row of a task. None for fewer than two styles, or where all are tied."""


class Sweep(Record):
    """All that several runs tell about styles."""

    styles: tuple[StyleRow, ...]
    effects: tuple[EffectRow, ...]
    orders: tuple[OrderRow, ...]
    ranks: tuple[RankRow, ...]
    notes: tuple[str, ...]


class _Scores(NamedTuple):
    """The scores of one task in one run, by its headline metric."""

    run: str
    model: str
    manifest: Manifest
    task: str
    metric: str
    styles: Mapping[str, PromptStyle]
    headline: str
    lines: Mapping[str, Mapping[str, ScoreLine]]
    """Style -> sample id -> score."""

    def marked(self) -> list[str]:
        """Return the styles that show marks, the headline style first."""
        names = [name for name, style in self.styles.items() if style.kind in MARKED]
        return sorted((name for name in names if name in self.lines), key=self._order)

    def _order(self, name: str) -> tuple[bool, int]:
        return name != self.headline, list(self.styles).index(name)

    def common(self, styles: Sequence[str]) -> list[str]:
        """Return the ids of the samples that have a score under each of some styles."""
        first, *others = (self.lines[style] for style in styles)
        return [
            id_
            for id_, line in first.items()
            if line.value is not None
            and all((found := other.get(id_)) and found.value is not None for other in others)
        ]

    def values(self, style: str, ids: Sequence[str]) -> list[float]:
        """Return the scores of samples that have one."""
        found = (self.lines[style][id_].value for id_ in ids)
        return [value for value in found if value is not None]

    def groups(self, ids: Sequence[str]) -> list[str]:
        """Return the clusters of samples."""
        lines = self.lines[self.headline]
        return [lines[id_].group for id_ in ids]


def sweep(folders: Sequence[Path]) -> Sweep:
    """Sum up what the styles of finished runs do, task by task.

    The order of several models is looked at where their runs hold the same samples, under the
    styles that all of them have; where they do not, a note says why.

    Raises:
        RunError: A run has not ended, or is broken.
    """
    scores = [each for folder in dict.fromkeys(folders) for each in _read(folder)]
    notes: list[str] = []
    orders: list[OrderRow] = []
    ranks: list[RankRow] = []
    for task in dict.fromkeys(each.task for each in scores):
        mine = [each for each in scores if each.task == task]
        if len(mine) < 2:
            continue
        unlike = _unlike(mine)
        if unlike:
            notes.append(f"{task}: the order of the models is not told, since {unlike}")
            continue
        found = _order_rows(mine)
        orders += found[0]
        ranks += found[1]
    effects = [row for each in scores for row in _effect_rows(each, notes)]
    return Sweep(
        styles=tuple(row for each in scores for row in _style_rows(each)),
        effects=tuple(effects),
        orders=tuple(orders),
        ranks=tuple(ranks),
        notes=tuple(notes),
    )


def _read(folder: Path) -> Iterator[_Scores]:
    """Yield the scores of each task of a run under all of its styles."""
    manifest = manifests.read(folder)
    metrics = {row.task: row.metric for row in reversed(read_summary(folder))}
    lines: dict[str, dict[str, dict[str, ScoreLine]]] = defaultdict(lambda: defaultdict(dict))
    for line in store.read_lines(folder / store.SCORES, ScoreLine):
        if line.metric == metrics.get(line.task):
            lines[line.task][line.style][line.id] = line
    for task, by_style in lines.items():
        run = manifest.tasks[task]
        styles = manifest.identity.styles[run.parts[0] if run.parts else task]
        yield _Scores(
            run=str(folder),
            model=manifest.identity.model,
            manifest=manifest,
            task=task,
            metric=metrics[task],
            styles={style.name: style for style in styles},
            headline=run.headline,
            lines=by_style,
        )


def _unlike(runs: Sequence[_Scores]) -> str:
    """Say why runs cannot stand side by side; empty where they can."""
    first = runs[0]
    for other in runs[1:]:
        what = ""
        if other.model in {each.model for each in runs if each is not other}:
            what = f"are both of model {other.model}"
        elif other.manifest.tasks[first.task].version != first.manifest.tasks[first.task].version:
            what = "have different versions of the task"
        elif other.metric != first.metric:
            what = f"report {first.metric} and {other.metric}"
        elif other.lines[other.headline].keys() != first.lines[first.headline].keys():
            what = "hold different samples"
        if what:
            return f"{first.run} and {other.run} {what}"
    return ""


# --- each style against the headline style


def _style_rows(scores: _Scores) -> list[StyleRow]:
    names = [name for name in scores.styles if name in scores.lines]
    rows = []
    for name in sorted(names, key=lambda name: name != scores.headline):
        ids = scores.common([scores.headline, name])
        if not ids:
            continue
        values, groups = scores.values(name, ids), scores.groups(ids)
        mean = clustered_mean(values, groups)
        change = paired(scores.values(scores.headline, ids), values, groups)
        low, high = (0.0, 0.0) if name == scores.headline else change.bounds()
        rows.append(
            StyleRow(
                run=scores.run,
                model=scores.model,
                task=scores.task,
                style=name,
                headline=name == scores.headline,
                kind=scores.styles[name].kind,
                n=len(ids),
                n_clusters=mean.n_clusters,
                accuracy=mean.mean,
                ci_low=mean.ci_low,
                ci_high=mean.ci_high,
                difference=change.difference,
                difference_low=low,
                difference_high=high,
                p=1.0 if name == scores.headline else change.p_two_sided(),
            )
        )
    tested = [row for row in rows if not row.headline]
    adjusted = iter(holm([row.p for row in tested]))
    return [row if row.headline else row.model_copy(update={"p": next(adjusted)}) for row in rows]


# --- factors


def levels(style: PromptStyle, headline: PromptStyle) -> dict[str, str] | None:
    """Return the level of each factor that a style of one shape and one colour has, else None.

    Width and opacity that are those of the headline style are the level AS_HEADLINE, whatever the
    numbers: shapes may have widths of their own.
    """
    if style.kind != "marks" or len(style.shapes) != 1 or len(style.colors) != 1:
        return None
    [shape], [color] = style.shapes, style.colors
    width, usual = style.width.get(shape), headline.width.get(shape)
    return {
        "shape": shape,
        "color": color,
        "width": AS_HEADLINE if width == usual else f"{width:g}" if width else "drawn",
        "alpha": AS_HEADLINE if style.alpha == headline.alpha else str(style.alpha),
    }


def _effect_rows(scores: _Scores, notes: list[str]) -> list[EffectRow]:
    """Fit a sum of the factors' effects to the accuracies of the styles, by least squares.

    Effects are linear in the scores, so that each is the mean of a weighted sum of every sample's
    scores, and has the clustered interval of such a mean.
    """
    headline = scores.styles[scores.headline]
    found = {name: levels(style, headline) for name, style in scores.styles.items()}
    design = {name: each for name, each in found.items() if each and name in scores.lines}
    names = list(design)
    factors = [f for f in FACTORS if len({design[name][f] for name in names}) > 1]
    if not factors:
        return []
    matrix, columns = _design_matrix([design[name] for name in names], factors)
    if np.linalg.matrix_rank(matrix) < matrix.shape[1]:
        notes.append(
            f"{scores.task} ({scores.model}): effects of {', '.join(factors)} cannot be told apart "
            "by these styles; use a product, such as 'rectangle,ellipse x red,blue'"
        )
        return []
    ids = scores.common(names)
    if not ids:
        return []
    values = np.array([scores.values(name, ids) for name in names]).T
    groups = scores.groups(ids)
    weights = np.asarray(np.linalg.pinv(matrix), dtype=np.float64)
    main = []
    for factor in factors:
        for level in columns[factor]:
            weight = _level_weights(weights, columns, factor, level)
            having = [name for name in names if design[name][factor] == level]
            main.append(_effect(scores, "main", factor, level, having, values @ weight, groups))
    left = np.eye(len(names)) - matrix @ weights
    pairs = []
    for a, b in itertools.combinations(factors, 2):
        cells: dict[tuple[str, str], list[int]] = defaultdict(list)
        for place, name in enumerate(names):
            cells[design[name][a], design[name][b]].append(place)
        for (u, v), places in cells.items():
            row = left[places].mean(0)
            if np.abs(row).max() > 1e-9:
                having = [names[place] for place in places]
                factor, level = f"{a} x {b}", f"{u} x {v}"
                pairs.append(
                    _effect(scores, "interaction", factor, level, having, values @ row, groups)
                )
    largest = sorted(_adjusted(pairs), key=lambda row: -abs(row.effect))[:N_INTERACTIONS]
    return [*_adjusted(main), *largest]


def _design_matrix(
    styles: Sequence[Mapping[str, str]], factors: Sequence[str]
) -> tuple[Floats, dict[str, list[str]]]:
    """Code levels so that the effects of each factor sum to 0; also return its levels in order."""
    columns = {factor: list(dict.fromkeys(s[factor] for s in styles)) for factor in factors}
    blocks = [np.ones((len(styles), 1))]
    for factor, known in columns.items():
        code = np.vstack([np.eye(len(known) - 1), -np.ones(len(known) - 1)])
        blocks.append(code[[known.index(style[factor]) for style in styles]])
    return np.hstack(blocks), columns


def _level_weights(
    weights: Floats, columns: Mapping[str, Sequence[str]], factor: str, level: str
) -> Floats:
    """Return the weights (styles,) whose sum over the scores is the effect of a level."""
    start = 1
    for name, known in columns.items():
        if name == factor:
            block = weights[start : start + len(known) - 1]
            place = known.index(level)
            return np.asarray(block[place] if place < len(block) else -block.sum(0))
        start += len(known) - 1
    raise KeyError(factor)


def _effect(
    scores: _Scores,
    kind: str,
    factor: str,
    level: str,
    having: Sequence[str],
    values: Floats,
    groups: Sequence[str],
) -> EffectRow:
    found = contrast(values.tolist(), groups)
    return EffectRow(
        run=scores.run,
        model=scores.model,
        task=scores.task,
        kind=kind,
        factor=factor,
        level=level,
        n_styles=len(having),
        n=len(values),
        effect=found.mean,
        ci_low=max(-1.0, found.ci_low),
        ci_high=min(1.0, found.ci_high),
        p=found.p,
    )


def _adjusted(rows: Sequence[EffectRow]) -> list[EffectRow]:
    adjusted = holm([row.p for row in rows])
    return [row.model_copy(update={"p": p}) for row, p in zip(rows, adjusted, strict=True)]


# --- the order of several models


def _order_rows(runs: Sequence[_Scores]) -> tuple[list[OrderRow], list[RankRow]]:
    """Return who is better under how many styles, and the ranks that each model takes."""
    first = runs[0]
    styles = [name for name in first.marked() if all(name in each.marked() for each in runs)]
    ids = {
        style: [id_ for id_ in first.common([style]) if all(id_ in set_ for set_ in others)]
        for style in styles
        for others in [[set(each.common([style])) for each in runs[1:]]]
    }
    styles = [style for style in styles if ids[style]]
    if not styles:
        return [], []
    accuracies = np.array(
        [[np.mean(each.values(style, ids[style])) for style in styles] for each in runs]
    )
    drawn = _resampled(runs, styles, ids)
    orders = []
    for a, b in itertools.combinations(range(len(runs)), 2):
        ahead = [
            place for place in range(len(styles)) if accuracies[a, place] > accuracies[b, place]
        ]
        if 2 * len(ahead) < sum(accuracies[a] != accuracies[b]):
            a, b = b, a
        orders.append(_order_row(runs[a], runs[b], styles, ids, drawn[:, a], drawn[:, b]))
    ranks = _ranks(drawn)
    tau = _mean_tau(accuracies)
    return orders, [
        RankRow(
            task=first.task,
            model=run.model,
            n_styles=len(styles),
            mean=float(ranks[:, place].mean()),
            low=float(np.quantile(ranks[:, place], 0.025)),
            high=float(np.quantile(ranks[:, place], 0.975)),
            tau=tau,
        )
        for place, run in enumerate(runs)
    ]


def _order_row(
    first: _Scores,
    second: _Scores,
    styles: Sequence[str],
    ids: Mapping[str, Sequence[str]],
    drawn_first: Floats,
    drawn_second: Floats,
) -> OrderRow:
    changes = [
        paired(
            second.values(style, ids[style]),
            first.values(style, ids[style]),
            first.groups(ids[style]),
        )
        for style in styles
    ]
    n_first = sum(change.difference > 0 for change in changes)
    n_second = sum(change.difference < 0 for change in changes)
    clear = [change.bounds() for change in changes]
    n_ties = len(styles) - n_first - n_second
    sentence = f"{first.model} beats {second.model} under {n_first} of {len(styles)} styles"
    if n_second or n_ties:
        rest = [f"loses under {n_second}" * bool(n_second), f"ties under {n_ties}" * bool(n_ties)]
        sentence += f", {' and '.join(part for part in rest if part)}"
    return OrderRow(
        task=first.task,
        first=first.model,
        second=second.model,
        n_styles=len(styles),
        n_first=n_first,
        n_second=n_second,
        n_first_clear=sum(low > 0 for low, _ in clear),
        n_second_clear=sum(high < 0 for _, high in clear),
        resampled=float(
            (drawn_first > drawn_second).mean() + (drawn_first == drawn_second).mean() / 2
        ),
        sentence=sentence,
    )


def _resampled(
    runs: Sequence[_Scores], styles: Sequence[str], ids: Mapping[str, Sequence[str]]
) -> Floats:
    """Return accuracies (draws, models, styles), images being drawn anew with replacement."""
    groups = list(dict.fromkeys(g for style in styles for g in runs[0].groups(ids[style])))
    places = {group: place for place, group in enumerate(groups)}
    sums = np.zeros((len(runs), len(styles), len(groups)))
    sizes = np.zeros((len(styles), len(groups)))
    for s, style in enumerate(styles):
        at = [places[group] for group in runs[0].groups(ids[style])]
        np.add.at(sizes[s], at, 1)
        for m, run in enumerate(runs):
            np.add.at(sums[m, s], at, run.values(style, ids[style]))
    key = hashlib.sha256(f"sweep {runs[0].task}".encode()).digest()
    rng = np.random.default_rng(int.from_bytes(key[:16]))
    shares = np.full(len(groups), 1 / len(groups))
    counts = rng.multinomial(len(groups), shares, N_RESAMPLES).astype(np.float64)
    totals = np.einsum("dg,msg->dms", counts, sums, optimize=True)
    n = np.einsum("dg,sg->ds", counts, sizes, optimize=True)[:, None]
    # A draw without any sample of a style says nothing about it.
    means: Floats = totals / np.where(n > 0, n, np.nan)
    return np.nan_to_num(means)


def _ranks(drawn: Floats) -> Floats:
    """Return ranks (draws x styles, models): 1 is the highest accuracy, ties share their mean."""
    flat = np.moveaxis(drawn, 1, 2).reshape(-1, drawn.shape[1])
    above = (flat[:, None, :] > flat[:, :, None]).sum(2)
    equal = (flat[:, None, :] == flat[:, :, None]).sum(2)
    ranks: Floats = above + (equal + 1) / 2
    return ranks


def _mean_tau(accuracies: Floats) -> float | None:
    """Return the mean of Kendall's tau-b over all pairs of styles; accuracies (models, styles)."""
    signs = np.sign(accuracies[:, None, :] - accuracies[None, :, :])
    taus = []
    for a, b in itertools.combinations(range(accuracies.shape[1]), 2):
        x, y = signs[..., a], signs[..., b]
        norm = np.sqrt((x**2).sum() * (y**2).sum())
        if norm > 0:
            taus.append(float((x * y).sum() / norm))
    return float(np.mean(taus)) if taus else None


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
    store.write_json(paths[0], found.model_dump(mode="json"))
    parts = ["# Styles"]
    for table in tables(found):
        parts.append(f"## {_escaped(str(table.title))}")
        cells = [[_escaped(str(cell)) for cell in column.cells] for column in table.columns]
        head = [_escaped(str(column.header)) for column in table.columns]
        lines = [head, ["---"] * len(head), *map(list, zip(*cells, strict=True))]
        parts.append("\n".join("| " + " | ".join(line) + " |" for line in lines))
    parts.append("\n".join(f"- {_escaped(sentence)}" for sentence in sentences(found)))
    store.write_text(paths[1], ["\n\n".join(part for part in parts if part), "\n"])
    return paths


def _escaped(text: str) -> str:
    return "".join(f"\\{c}" if c in "\\|<`*" else c for c in " ".join(text.split()))
