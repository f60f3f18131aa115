"""What shape, colour, width and opacity of the marks add to the accuracy, others being equal."""

import itertools
from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from vipbench.analysis.sweep.scores import Floats, Scores
from vipbench.prompts.parts import part_names
from vipbench.prompts.variants import variant
from vipbench.schema import PromptStyle, Record
from vipbench.stats.comparisons import Contrast, contrast, holm

FACTORS = ("shape", "color", "width", "alpha", "words", "drawn")
"""What styles are told apart by, beside what they say of markers, tags and other settings.

`words`: what the text says of the marks; `drawn`: whether they are in the image. These two are
varied apart where the styles `named` and `none` stand beside one style of marks, with its words or
without."""
N_INTERACTIONS = 5
"""The largest ones that are listed."""
AS_HEADLINE = "as headline"
"""Level of a width or an opacity that the style leaves to the headline style."""
SMALLEST_WEIGHT = 1e-9
"""Of a style in an interaction; smaller ones are 0 apart from rounding, and are left out."""


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
    name: str
    """What the run is called; `model` is that, with what tells others of the name apart."""
    step: int | None
    """Training step of the checkpoint; None: it is not known."""
    weights: str | None
    """Short digest of the weights; None for a baseline."""


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
        "shape": part_names(style, shape),
        "color": color,
        "width": AS_HEADLINE if width == usual else f"{width:g}" if width else "drawn",
        "alpha": AS_HEADLINE if style.alpha == headline.alpha else str(style.alpha),
        "words": style.words,
        "drawn": "yes",
        **variant(style, shape),
    }


def _undrawn(
    styles: Mapping[str, PromptStyle], drawn: Sequence[Mapping[str, str]], headline: PromptStyle
) -> dict[str, dict[str, str]]:
    """Return the levels of styles that draw nothing, where all others draw the same marks.

    `named` is one of them where these are the marks that it names: those of the headline style that
    it was parsed with, which is not always the one that is compared with.
    """
    marks = [_marks_of(row) for row in drawn]
    if any(each != marks[0] for each in marks):
        return {}
    words = {"named": "full", "none": "none"}
    found = {}
    for name, style in styles.items():
        named = levels(style.model_copy(update={"kind": "marks"}), headline) or {}
        if style.kind == "none" or (style.kind == "named" and _marks_of(named) == marks[0]):
            found[name] = {**drawn[0], "words": words[style.kind], "drawn": "no"}
    return found


def _marks_of(row: Mapping[str, str]) -> dict[str, str]:
    """Return the levels that say what is drawn where there is something."""
    return {factor: level for factor, level in row.items() if factor not in ("words", "drawn")}


def effect_rows(scores: Scores, notes: list[str]) -> list[EffectRow]:
    """Fit a sum of the factors' effects to the accuracies of the styles, by least squares.

    Effects are linear in the scores, so that each is the mean of a weighted sum of every sample's
    scores, and has the clustered interval of such a mean.

    Args:
        scores: One task in one run.
        notes: Takes a line where the styles cannot separate the factors.
    """
    if scores.headline is None:
        return []
    headline = scores.styles[scores.headline]
    by_style = {name: levels(style, headline) for name, style in scores.styles.items()}
    drawn = [row for name, row in by_style.items() if row and name in scores.lines]
    if any(row["words"] != "full" for row in drawn):
        by_style |= _undrawn(scores.styles, drawn, headline)
    design = {name: row for name, row in by_style.items() if row and name in scores.lines}
    names = list(design)
    factors = _told_apart(list(design.values()))
    if not factors:
        return []
    design, factors = _joined(design, factors)
    matrix, columns = _design_matrix([design[name] for name in names], factors)
    if _deficiency(matrix):
        notes.append(
            f"{scores.task} ({scores.model}): effects of {', '.join(factors)} cannot be told apart "
            "by these styles · use a product, such as 'rectangle,ellipse x red,blue'"
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
            n_styles = sum(row.get(factor) == level for row in design.values())
            estimate = _weighted(values, weight, groups)
            main.append(_effect(scores, "main", factor, level, n_styles, len(ids), estimate))
    interactions = []
    residual = np.eye(len(names)) - matrix @ weights
    for a, b in itertools.combinations(factors, 2):
        for (level_a, level_b), rows in _cells(list(design.values()), a, b).items():
            weight = residual[rows].mean(0)
            if np.abs(weight).max() > SMALLEST_WEIGHT:
                factor, level = f"{a} x {b}", f"{level_a} x {level_b}"
                estimate = _weighted(values, weight, groups)
                interactions.append(
                    _effect(scores, "interaction", factor, level, len(rows), len(ids), estimate)
                )
    largest = sorted(_adjusted(interactions), key=lambda row: -abs(row.effect))[:N_INTERACTIONS]
    return [*_adjusted(main), *largest]


def _told_apart(design: Sequence[Mapping[str, str]]) -> list[str]:
    """Return the factors that have more than one level."""
    known = dict.fromkeys([*FACTORS, *(factor for row in design for factor in row)])
    return [f for f in known if len({row[f] for row in design if f in row}) > 1]


def _joined(
    design: dict[str, dict[str, str]], factors: Sequence[str]
) -> tuple[dict[str, dict[str, str]], list[str]]:
    """Join settings that vary together, as size and offset of a tag may, to one: `a & b`.

    So the others keep their effects. Shape, colour and the other FACTORS are never joined.
    """
    missing = _deficiency(_design_matrix(list(design.values()), factors)[0])
    settings = [factor for factor in factors if factor not in FACTORS]
    for a, b in itertools.combinations(settings, 2) if missing else ():
        both = f"{a} & {b}"
        joined = {
            name: row | {both: f"{row[a]} & {row[b]}"} if a in row and b in row else row
            for name, row in design.items()
        }
        left = [both if factor == a else factor for factor in factors if factor != b]
        if _deficiency(_design_matrix(list(joined.values()), left)[0]) < missing:
            return _joined(joined, left)
    return design, list(factors)


def _deficiency(matrix: Floats) -> int:
    """Return how many columns are sums of others."""
    return int(matrix.shape[1] - np.linalg.matrix_rank(matrix))


def _cells(design: Sequence[Mapping[str, str]], a: str, b: str) -> dict[tuple[str, str], list[int]]:
    """Return, for the levels of two factors that occur together, the indices of their styles."""
    cells: dict[tuple[str, str], list[int]] = defaultdict(list)
    for index, row in enumerate(design):
        if a in row and b in row:
            cells[row[a], row[b]].append(index)
    return cells


def _design_matrix(
    styles: Sequence[Mapping[str, str]], factors: Sequence[str]
) -> tuple[Floats, dict[str, list[str]]]:
    """Code levels so that the effects of each factor sum to 0; also return its levels in order.

    A style without the factor, such as a rectangle without a tag where tags vary, has none of its
    effects.
    """
    columns = {
        factor: list(dict.fromkeys(s[factor] for s in styles if factor in s)) for factor in factors
    }
    blocks = [np.ones((len(styles), 1))]
    for factor, known in columns.items():
        n = len(known) - 1
        code = np.vstack([np.eye(n), -np.ones(n), np.zeros(n)])
        has = (known.index(style[factor]) if factor in style else -1 for style in styles)
        blocks.append(code[list(has)])
    return np.hstack(blocks), columns


def _level_weights(
    weights: Floats, columns: Mapping[str, Sequence[str]], factor: str, level: str
) -> Floats:
    """Return the weights (styles,) whose sum over the scores is the effect of a level."""
    start = 1
    for name, known in columns.items():
        if name == factor:
            block = weights[start : start + len(known) - 1]
            index = known.index(level)
            return np.asarray(block[index] if index < len(block) else -block.sum(0))
        start += len(known) - 1
    raise KeyError(factor)


def _weighted(values: Floats, weight: Floats, groups: Sequence[str]) -> Contrast:
    """Return the effect that the weights (styles,) make of scores (samples, styles)."""
    largest = max(np.maximum(weight, 0).sum(), np.maximum(-weight, 0).sum())  # scores are 0-1
    return contrast((values @ weight).tolist(), groups, float(largest))


def _effect(
    scores: Scores,
    kind: str,
    factor: str,
    level: str,
    n_styles: int,
    n: int,
    estimate: Contrast,
) -> EffectRow:
    return EffectRow(
        run=scores.run,
        model=scores.model,
        task=scores.task,
        kind=kind,
        factor=factor,
        level=level,
        n_styles=n_styles,
        n=n,
        effect=estimate.mean,
        ci_low=max(-1.0, estimate.ci_low),
        ci_high=min(1.0, estimate.ci_high),
        p=estimate.p,
        name=scores.called.name,
        step=scores.called.step,
        weights=scores.weights,
    )


def _adjusted(rows: Sequence[EffectRow]) -> list[EffectRow]:
    adjusted = holm([row.p for row in rows])
    return [row.model_copy(update={"p": p}) for row, p in zip(rows, adjusted, strict=True)]
