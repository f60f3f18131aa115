"""Scores -> rows of metrics, by task, style and group, and their spread over seeds."""

import math
import re
import statistics
from array import array
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from vipbench.prompts.variants import rank
from vipbench.runfolder.lines import ScoreLine
from vipbench.runfolder.manifest import Manifest
from vipbench.runfolder.summary import ALL, WHOLE, Group, Row, SeedRow
from vipbench.schema import Tags
from vipbench.stats.intervals import clustered_mean, kish


def summarise(manifest: Manifest, scores: Iterable[ScoreLine]) -> list[Row]:
    """Sum scores up by task, style, metric and group: `all`, then each value of each axis."""
    summary = Summary(manifest)
    for line in scores:
        summary.add(line)
    return summary.rows()


class Summary:
    """The rows of a run, summed up from one line after another."""

    def __init__(self, manifest: Manifest) -> None:
        """Take the manifest of the run."""
        self._manifest = manifest
        self._parts: dict[tuple[str, str, str], _Part] = {}
        self._images: dict[str, int] = {}

    def add(self, line: ScoreLine) -> None:
        """Take a line of `scores.jsonl`."""
        name = line.task, line.style, line.metric
        part = self._parts.get(name)
        if part is None:
            part = self._parts[name] = _Part()
        index = part.add(line, self._images.setdefault(line.group, len(self._images)))
        for group in part.groups_of(line.tags, self._manifest.tasks[line.task].breakdown):
            group.append(index)

    def extend(self, later: Self) -> None:
        """Take the lines that another one has taken, behind one's own.

        The rows are then the same as if all had been taken here.
        """
        images = [self._images.setdefault(image, len(self._images)) for image in later._images]
        for name, part in later._parts.items():
            self._parts.setdefault(name, _Part()).extend(part, np.asarray(images))

    def rows(self) -> list[Row]:
        """Return a row for each task, style, metric and group."""
        return [
            _row(self._manifest, name, group.name, part.take(part.groups[group]))
            for name, part in self._parts.items()
            for group in sorted(part.groups, key=partial(group_order, axes=self._axes(name[0])))
        ]

    def _axes(self, task: str) -> Sequence[str]:
        return self._manifest.tasks[task].breakdown


class _Part:
    """What rows need of the lines of one task, style and metric: some 30 bytes a line."""

    def __init__(self) -> None:
        self.values, self.margins = array("d"), array("d")
        """nan where there is none."""
        self.images = array("l")
        self.flags = array("H")
        self.groups: dict[Group, array[int]] = defaultdict(partial(array, "l"))
        """Indices of the lines in each group."""
        self._by_values: dict[tuple[str, tuple[str, ...]], list[array[int]]] = {}

    def __getstate__(self) -> dict[str, object]:
        """Leave out, on the way to another process, what is only remembered."""
        return vars(self) | {"_by_values": {}}

    def groups_of(self, tags: Tags, axes: Sequence[str]) -> "Iterator[array[int]]":
        """Yield the groups of a line with some tags; an axis with its values is looked up once."""
        yield self.groups[WHOLE]
        for axis in axes:
            if values := tags.get(axis):
                found = self._by_values.get((axis, values))
                if found is None:
                    found = [self.groups[Group(axis, value)] for value in values]
                    self._by_values[axis, values] = found
                yield from found

    def add(self, line: ScoreLine, image: int) -> int:
        """Take a line and return its index."""
        self.values.append(math.nan if line.value is None else line.value)
        self.margins.append(math.nan if line.margin is None else line.margin)
        self.images.append(image)
        self.flags.append(_flags(line))
        return len(self.values) - 1

    def extend(self, later: "_Part", images: npt.NDArray[np.int64]) -> None:
        """Take the lines of another part, whose images have other numbers here."""
        n = len(self.values)
        self.values.extend(later.values)
        self.margins.extend(later.margins)
        self.images.extend(images[np.asarray(later.images)].tolist())
        self.flags.extend(later.flags)
        for group, indices in later.groups.items():
            self.groups[group].extend((np.asarray(indices) + n).tolist())

    def take(self, indices: "array[int]") -> "_Lines":
        """Return the lines at some indices."""
        chosen = np.asarray(indices)
        return _Lines(
            values=np.asarray(self.values)[chosen],
            margins=np.asarray(self.margins)[chosen],
            images=np.asarray(self.images)[chosen],
            flags=np.asarray(self.flags)[chosen],
        )


_ERROR, _UNPARSED, _TRUNCATED, _UNGRADED, _LOST, _CUT, _COMPARED, _AGREES, _REFUSED, _FILTERED = (
    1 << bit for bit in range(10)
)
_EXTRACTOR_ASKED, _EXTRACTOR_READ = 1 << 10, 1 << 11


def _flags(line: ScoreLine) -> int:
    return (
        _ERROR * (line.state == "failed")
        | _UNPARSED * (line.answer is None)
        | _TRUNCATED * (line.state == "cut_off")
        | _UNGRADED * (line.ungraded is not None)
        | _LOST * bool(line.n_marks_lost)
        | _CUT * bool(line.n_marks_cut)
        | _COMPARED * (line.agrees is not None)
        | _AGREES * bool(line.agrees)
        | _REFUSED * (line.state == "refused")
        | _FILTERED * (line.state == "filtered")
        | _EXTRACTOR_ASKED * (line.extracted is not None)
        | _EXTRACTOR_READ * (line.extracted == "read")
    )


class _Lines(NamedTuple):
    """Lines of one group, as arrays (n,)."""

    values: npt.NDArray[np.float64]
    margins: npt.NDArray[np.float64]
    images: npt.NDArray[np.int64]
    flags: npt.NDArray[np.uint16]

    def scored(self) -> "_Lines":
        """Return those that have a value."""
        keep = ~np.isnan(self.values)
        return _Lines(self.values[keep], self.margins[keep], self.images[keep], self.flags[keep])

    def count(self, flag: int) -> int:
        """Return how many have a flag."""
        return int(np.count_nonzero(self.flags & flag))


def _row(manifest: Manifest, name: tuple[str, str, str], group: str, lines: _Lines) -> Row:
    task, style, metric = name
    identity, spec = manifest.identity, manifest.tasks[task]
    scored = lines.scored()
    values = scored.values.tolist()
    estimate = clustered_mean(values, scored.images.tolist()) if values else None
    n_compared = scored.count(_COMPARED)
    margins = scored.margins[~np.isnan(scored.margins)].tolist()
    row = Row(
        task=task,
        task_version=spec.version,
        style=style,
        model=identity.model,
        prompt_format=identity.settings.prompt_format,
        fit=spec.fit,
        decoding=identity.settings.decoding,
        dtype=identity.settings.numbers,
        seed=identity.seed,
        metric=metric,
        group=group,
        n=len(values),
        n_expected=spec.n_samples if group == ALL else len(lines.values),
        n_clusters=estimate.n_clusters if estimate else 0,
        n_errors=lines.count(_ERROR),
        n_unparsed=scored.count(_UNPARSED),
        n_truncated=scored.count(_TRUNCATED),
        n_ungraded=lines.count(_UNGRADED),
        n_refused=scored.count(_REFUSED),
        n_filtered=lines.count(_FILTERED),
        n_extractor_asked=lines.count(_EXTRACTOR_ASKED),
        n_extractor_read=lines.count(_EXTRACTOR_READ),
        agreement=scored.count(_AGREES) / n_compared if n_compared else None,
        margin=statistics.median(margins) if margins else None,
        n_marks_lost=lines.count(_LOST),
        n_marks_cut=lines.count(_CUT),
        accuracy=estimate.mean if estimate else None,
        stderr=estimate.stderr if estimate else None,
        ci_low=estimate.ci_low if estimate else None,
        ci_high=estimate.ci_high if estimate else None,
        synthetic=spec.synthetic,
        state=manifest.state,
    )
    if not values:
        return row
    return row.with_even_clusters(kish(np.unique(scored.images, return_counts=True)[1]))


def group_order(group: Group, axes: Sequence[str]) -> tuple[int, int, list[tuple[int, str]]]:
    """Sort `all` first, then by axis, then values as they are listed elsewhere, numbers by size."""
    axis, value = group
    natural = [
        (int(part), "") if part.isdecimal() else (0, part) for part in re.split(r"(\d+)", value)
    ]
    place = -1 if axis is None else axes.index(axis)
    return place, rank(axis, value), natural


def over_seeds(runs: Sequence[Sequence[Row]]) -> list[SeedRow]:
    """Sum up runs that differ only by their seed; groups other than `all` are left out."""
    alike: dict[tuple[str, str, str], list[Row]] = defaultdict(list)
    for row in (row for rows in runs for row in rows if row.group == ALL):
        alike[row.task, row.style, row.metric].append(row)
    return [_seed_row(rows) for rows in alike.values()]


def _seed_row(rows: Sequence[Row]) -> SeedRow:
    first = rows[0]
    known = [row.accuracy for row in rows if row.accuracy is not None]
    return SeedRow(
        task=first.task,
        task_version=first.task_version,
        style=first.style,
        model=first.model,
        metric=first.metric,
        seeds=tuple(row.seed for row in rows),
        accuracies=tuple(row.accuracy for row in rows),
        mean=statistics.fmean(known) if known else None,
        sd=statistics.stdev(known) if len(known) > 1 else None,
        lowest=min(known, default=None),
        highest=max(known, default=None),
    )
