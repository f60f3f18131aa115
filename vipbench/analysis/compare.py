"""Compare runs on the same samples: differences with intervals, and flips. Runs no model."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from vipbench.analysis.differences import Apart, Difference, tell_apart
from vipbench.analysis.pairs import (
    Pair,
    Pairing,
    Side,
    change,
    is_unparsed,
    pair_runs,
    read_side,
    rounding_of,
)
from vipbench.errors import RunError
from vipbench.report.names import display_names, short_weights
from vipbench.runfolder.summary import ALL, HEADLINE_METRIC, WHOLE
from vipbench.schema import Record
from vipbench.stats.comparisons import holm
from vipbench.stats.intervals import bootstrap_mean

LEVEL = 0.05
"""Adjusted p-values below count as findings in tables and plots."""


class CompareRow(Record):
    """One task, metric and group in two runs: an entry of `compare.json`. Fractions."""

    base: str
    """The first run, as it was named."""
    new: str
    task: str
    task_version: int
    metric: str
    style_base: str
    style_new: str
    group: str
    """`all`, or one value of a breakdown axis that both runs share: `shape=ellipse`."""
    n: int
    """Samples that have a score in both runs."""
    n_clusters: int
    accuracy_base: float | None
    """Of these samples; like all down to `n_gained` None where there is none."""
    accuracy_new: float | None
    difference: float | None
    """New minus base."""
    stderr: float | None
    """Clustered by image; None also for fewer than two images."""
    ci_low: float | None
    ci_high: float | None
    """95 % interval, paired and clustered: see `paired`."""
    boot_low: float | None
    boot_high: float | None
    """The same by a cluster bootstrap, as a check; only for the group `all`."""
    p: float | None
    """Two-sided, of the clustered difference."""
    p_holm: float | None
    """Adjusted for all rows of the table: those of the group `all`, or all others."""
    p_mcnemar: float | None
    """Exact; takes samples for independent."""
    n_gained: int
    """Samples with a higher score in the new run (wrong to right)."""
    n_lost: int
    n_errors_base: int
    n_errors_new: int
    n_unparsed_base: int
    n_unparsed_new: int
    n_ungraded_base: int
    n_ungraded_new: int
    n_base_only: int
    """Samples that only one run has; 0 unless overlap in part was asked for."""
    n_new_only: int
    reliable: bool
    """Whether there are ten clusters or more; below, an interval is not to be relied on."""
    synthetic: bool
    model_base: str
    """Names of the models; different weights have different names."""
    model_new: str
    differences: tuple[Difference, ...]
    """What differs between the two runs beside the checkpoint."""
    same_weights: bool
    """Whether both runs have the same weights, as far as is known."""
    name_base: str
    """What the runs are called; `model_base` is that, with what tells others of the name apart."""
    name_new: str
    step_base: int | None
    """Training steps of the checkpoints; None: not known."""
    step_new: int | None
    weights_base: str | None
    """Short digests of the weights; None for a baseline."""
    weights_new: str | None

    @property
    def label(self) -> str:
        """The task, with its metric and group where they are not the usual ones."""
        metric = "" if self.metric == HEADLINE_METRIC else f" ({self.metric})"
        return f"{self.task}{metric}" + ("" if self.group == ALL else f": {self.group}")

    @property
    def title(self) -> str:
        """The two runs, and what their models are called."""
        models = dict.fromkeys((self.model_base, self.model_new))
        return f"{self.base} → {self.new} ({' → '.join(models)})"


class Flip(NamedTuple):
    """A sample that is scored otherwise in the new run: a line of `flips.csv`."""

    base: str
    new: str
    task: str
    metric: str
    style_base: str
    style_new: str
    id: str
    image: str
    flip: str
    """`gained` (wrong to right) or `lost`."""
    value_base: float
    value_new: float
    target: str
    answer_base: str
    answer_new: str
    model_base: str
    model_new: str
    name_base: str
    name_new: str
    step_base: int | None
    step_new: int | None
    weights_base: str | None
    weights_new: str | None


class Comparison(NamedTuple):
    """Several runs compared with the first one."""

    sides: tuple[Side, ...]
    rows: tuple[CompareRow, ...]
    flips: tuple[Flip, ...]
    differences: tuple[str, ...]
    """What differs between the runs beside the checkpoint: to be read first."""
    notes: tuple[str, ...]
    """What else differs, and what could not be compared."""


def compare(runs: Sequence[str], *, metric: str | None = None, partial: bool = False) -> Comparison:
    """Compare each run with the first one, on the samples that they share.

    Args:
        runs: Two or more run folders, each under its headline styles or as `RUN@STYLE`.
        metric: None: the headline metric of each task.
        partial: Leave out what only one run has, instead of refusing.

    Raises:
        RunError: A run cannot be read, or two cannot be paired; the message says how they differ.
    """
    if len(runs) < 2:
        raise RunError(f"{', '.join(runs) or 'no run'}: expected two runs or more")
    sides = [read_side(run) for run in runs]
    names = [side.name for side in sides]
    if len(set(names)) < len(names):
        raise RunError(f"{' '.join(names)}: one run twice · name its styles as RUN@STYLE")
    base, *others = sides
    rows: list[CompareRow] = []
    flips: list[Flip] = []
    roundings = [rounding_of(side, LEVEL) for side in sides]
    first: list[str] = []
    notes = [f"rounding: {known.words}" for known in roundings if known.certificate is not None]
    models = display_names([side.called for side in sides])
    for new, model in zip(others, models[1:], strict=True):
        apart = tell_apart(base, new, (models[0], model))
        title = f"{base.name} → {new.name}"
        first += [f"{title}: differs: {difference.words}" for difference in apart.differences]
        first += [f"{title}: {note}" for note in apart.notes]
        pairings = pair_runs(base, new, metric=metric, overlap="any" if partial else "all")
        settled = "the same run" if not apart.differences else "nothing else differs"
        notes.append(f"{title}: {'; '.join(apart.others) or settled}")
        left_out = sorted({*base.manifest.tasks} - {pairing.task for pairing in pairings})
        if left_out:
            notes.append(f"{new.name}: not compared: {', '.join(left_out)}")
        for pairing in pairings:
            rows += _rows(pairing, apart)
            flips += _flips(pairing, apart.models)
    adjusted = tuple(_adjusted(rows))
    return Comparison(tuple(sides), adjusted, tuple(flips), tuple(first), tuple(notes))


def _rows(pairing: Pairing, apart: Apart) -> Iterator[CompareRow]:
    for group, pairs in ((WHOLE, pairing.pairs), *pairing.by_group()):
        yield _row(pairing, group.name, pairs, apart)


def _row(pairing: Pairing, group: str, pairs: Sequence[Pair], apart: Apart) -> CompareRow:
    paired = change(pairs)
    values = [pair.values for pair in pairs if pair.values is not None]
    low, high = paired.bounds() if paired else (None, None)
    boot = _bootstrap(pairing, pairs) if paired and group == ALL else (None, None)
    style_base, style_new = pairing.styles
    spec = pairing.base.manifest.tasks[pairing.task]
    return CompareRow(
        base=pairing.base.name,
        new=pairing.new.name,
        task=pairing.task,
        task_version=spec.version,
        metric=pairing.metric,
        style_base=style_base,
        style_new=style_new,
        group=group,
        n=len(values),
        n_clusters=paired.n_clusters if paired else 0,
        accuracy_base=sum(base for base, _ in values) / len(values) if values else None,
        accuracy_new=sum(new for _, new in values) / len(values) if values else None,
        difference=paired.difference if paired else None,
        stderr=paired.stderr if paired else None,
        ci_low=low,
        ci_high=high,
        boot_low=boot[0],
        boot_high=boot[1],
        p=paired.p_two_sided() if paired else None,
        p_holm=None,
        p_mcnemar=paired.p_mcnemar() if paired else None,
        n_gained=paired.n_gained if paired else 0,
        n_lost=paired.n_lost if paired else 0,
        n_errors_base=sum(pair.base.error is not None for pair in pairs),
        n_errors_new=sum(pair.new.error is not None for pair in pairs),
        n_unparsed_base=sum(is_unparsed(pair.base) for pair in pairs),
        n_unparsed_new=sum(is_unparsed(pair.new) for pair in pairs),
        n_ungraded_base=sum(pair.base.ungraded is not None for pair in pairs),
        n_ungraded_new=sum(pair.new.ungraded is not None for pair in pairs),
        n_base_only=pairing.n_base_only if group == ALL else 0,
        n_new_only=pairing.n_new_only if group == ALL else 0,
        reliable=paired.reliable if paired else False,
        synthetic=spec.synthetic,
        model_base=apart.models[0],
        model_new=apart.models[1],
        differences=apart.differences,
        same_weights=apart.same_weights,
        **_named(pairing),
    )


def _bootstrap(pairing: Pairing, pairs: Iterable[Pair]) -> tuple[float, float]:
    scored = [(pair.values, pair.base.group) for pair in pairs if pair.values is not None]
    return bootstrap_mean(
        [values[1] - values[0] for values, _ in scored if values is not None],
        [cluster for _, cluster in scored],
        key=f"{pairing.task} {pairing.metric}",
    )


def _adjusted(rows: Sequence[CompareRow]) -> list[CompareRow]:
    """Adjust p-values: whole tasks for their number, groups for theirs."""
    adjusted = list(rows)
    for whole in (True, False):
        family = [
            (index, row.p)
            for index, row in enumerate(rows)
            if (row.group == ALL) is whole and row.p is not None
        ]
        p_values = holm([p for _, p in family])
        for (index, _), p in zip(family, p_values, strict=True):
            adjusted[index] = rows[index].model_copy(update={"p_holm": p})
    return adjusted


def _named(pairing: Pairing) -> dict[str, Any]:
    """Return what the two runs of a row are called, and which weights they have."""
    base, new = pairing.base.called, pairing.new.called
    weights = short_weights([base.manifest, new.manifest])
    return {
        "name_base": base.name,
        "name_new": new.name,
        "step_base": base.step,
        "step_new": new.step,
        "weights_base": weights[0],
        "weights_new": weights[1],
    }


def _flips(pairing: Pairing, models: tuple[str, str]) -> Iterator[Flip]:
    named = _named(pairing)
    for pair in pairing.pairs:
        values = pair.values
        if values is None or values[0] == values[1]:
            continue
        style_base, style_new = pairing.styles
        yield Flip(
            base=pairing.base.name,
            new=pairing.new.name,
            task=pairing.task,
            metric=pairing.metric,
            style_base=style_base,
            style_new=style_new,
            id=pair.base.id,
            image=pair.base.group,
            flip="gained" if values[1] > values[0] else "lost",
            value_base=values[0],
            value_new=values[1],
            target=pair.new.target,
            answer_base=pair.base.answer or "",
            answer_new=pair.new.answer or "",
            model_base=models[0],
            model_new=models[1],
            **named,
        )
