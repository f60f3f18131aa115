"""What a style does: its accuracy, and its difference from the headline style."""

from vipbench.analysis.sweep.scores import Scores
from vipbench.schema import Record, StyleKind
from vipbench.stats.comparisons import holm, paired
from vipbench.stats.intervals import clustered_mean


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
    """Samples that this style and the headline style, if there is one, have a score for."""
    n_clusters: int
    accuracy: float
    ci_low: float
    ci_high: float
    difference: float | None
    """This style minus the headline style on the same samples, -1 to 1; like the three below None
    where no style shows marks, so that there is nothing to compare with."""
    difference_low: float | None
    difference_high: float | None
    p: float | None
    """Two-sided, of no difference; adjusted by Holm over the styles of the task."""
    name: str
    """What the run is called; `model` is that, with what tells others of the name apart."""
    step: int | None
    """Training step of the checkpoint; None: it is not known."""
    weights: str | None
    """Short digest of the weights; None for a baseline."""


def style_rows(scores: Scores) -> list[StyleRow]:
    """Compare all styles with the headline style, which comes first, on the samples of both.

    A control is never the headline: where no style shows marks, nothing is compared.
    """
    names = [name for name in scores.styles if name in scores.lines]
    rows = []
    for name in sorted(names, key=lambda name: name != scores.headline):
        row = _style_row(scores, name)
        if row is not None:
            rows.append(row)
    adjusted = iter(holm([row.p for row in rows if not row.headline and row.p is not None]))
    return [
        row if row.headline or row.p is None else row.model_copy(update={"p": next(adjusted)})
        for row in rows
    ]


def _style_row(scores: Scores, name: str) -> StyleRow | None:
    base = scores.headline
    ids = scores.common([name] if base is None else [base, name])
    if not ids:
        return None
    values, groups = scores.values(name, ids), scores.groups(ids)
    mean = clustered_mean(values, groups)
    headline = name == base
    change = None if base is None else paired(scores.values(base, ids), values, groups)
    low, high = (None, None) if change is None else (0.0, 0.0) if headline else change.bounds()
    return StyleRow(
        run=scores.run,
        model=scores.model,
        task=scores.task,
        style=name,
        headline=headline,
        kind=scores.styles[name].kind,
        n=len(ids),
        n_clusters=mean.n_clusters,
        accuracy=mean.mean,
        ci_low=mean.ci_low,
        ci_high=mean.ci_high,
        difference=None if change is None else change.difference,
        difference_low=low,
        difference_high=high,
        p=None if change is None else 1.0 if headline else change.p_two_sided(),
        name=scores.called.name,
        step=scores.called.step,
        weights=scores.weights,
    )
