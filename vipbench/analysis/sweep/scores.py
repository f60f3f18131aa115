"""The scores of one task in one run under all of its styles, read from the run folder."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from vipbench.environment import without_collection
from vipbench.report.names import Called, called, display_names, run_labels, short_weights
from vipbench.runfolder import manifest as manifests
from vipbench.runfolder.folder import SCORES
from vipbench.runfolder.judge_file import JUDGE_METRICS, GradedBy, read_graded_by
from vipbench.runfolder.lines import read_values
from vipbench.runfolder.manifest import Manifest
from vipbench.runfolder.summary import Row, read_summary
from vipbench.schema import PromptStyle, StyleKind

MARKED: tuple[StyleKind, ...] = ("marks", "given")
"""Kinds of styles under which the model sees the marks that the text is about."""

Floats = npt.NDArray[np.float64]
NOTHING_KNOWN: Mapping[Path, Sequence[Row]] = MappingProxyType({})


class Valued(NamedTuple):
    """What is kept in memory of a score."""

    value: float | None
    """0-1; None where there is none."""
    group: str
    """The cluster: the image."""


class Scores(NamedTuple):
    """The scores of one task in one run, by its headline metric."""

    run: str
    name: str
    """Of the model; different weights have different names."""
    model: str
    """The same; where several runs are of one model, with what tells them apart."""
    called: Called
    """What somebody calls it, and its training step."""
    weights: str | None
    """Short digest of the weights; None for a baseline."""
    manifest: Manifest
    task: str
    metric: str
    graded_by: GradedBy | None
    """Who gave the grades; None: not known, or another metric."""
    styles: Mapping[str, PromptStyle]
    headline: str | None
    """What styles are compared with: the headline style of the run, or its first style with marks
    where that is a control; None where all are controls."""
    lines: Mapping[str, Mapping[str, Valued]]
    """Style -> sample id -> score."""

    def marked(self) -> list[str]:
        """Return the styles that show marks, the headline style first."""
        names = [name for name, style in self.styles.items() if style.kind in MARKED]
        return sorted((name for name in names if name in self.lines), key=self._order)

    def _order(self, name: str) -> tuple[bool, int]:
        return name != self.headline, list(self.styles).index(name)

    def ids(self) -> set[str]:
        """Return the ids of all samples; every style has a line of each."""
        return set(next(iter(self.lines.values())))

    def common(self, styles: Sequence[str]) -> list[str]:
        """Return the ids of the samples that have a score under all of some styles."""
        first, *others = (self.lines[style] for style in styles)
        return [
            id_
            for id_, line in first.items()
            if line.value is not None
            and all(id_ in other and other[id_].value is not None for other in others)
        ]

    def values(self, style: str, ids: Sequence[str]) -> list[float]:
        """Return the scores of samples that have one."""
        values = (self.lines[style][id_].value for id_ in ids)
        return [value for value in values if value is not None]

    def groups(self, ids: Sequence[str]) -> list[str]:
        """Return the clusters of samples."""
        lines = next(iter(self.lines.values()))  # every style has a line of every sample
        return [lines[id_].group for id_ in ids]


def read_runs(
    folders: Sequence[Path], known: Mapping[Path, Sequence[Row]] = NOTHING_KNOWN
) -> list[Scores]:
    """Return the scores of all tasks of some finished runs, named so that no two have one name.

    Args:
        folders: of the runs.
        known: the rows of runs that were read just now and need not be checked again, by their
            resolved folders.

    Raises:
        RunError: A run has not ended, or is broken.
    """
    found = [called(folder, manifests.read(folder)) for folder in folders]
    weights = short_weights(run.manifest for run in found)
    names = zip(folders, display_names(found), run_labels(found), weights, strict=True)
    return [
        scores._replace(name=name, model=label, weights=digest)
        for folder, name, label, digest in names
        for scores in read_scores(folder, known.get(folder.resolve()))
    ]


def read_scores(folder: Path, rows: Sequence[Row] | None = None) -> Iterator[Scores]:
    """Yield the scores of all tasks of a finished run, whose rows may have been read just now.

    Raises:
        RunError: The run has not ended, or is broken.
    """
    manifest = manifests.read(folder)
    run_called = called(folder, manifest)
    rows = read_summary(folder) if rows is None else rows
    metrics = {row.task: row.metric for row in reversed(rows)}
    lines: dict[str, dict[str, dict[str, Valued]]] = defaultdict(lambda: defaultdict(dict))
    texts: dict[str, str] = {}  # each is kept once
    with without_collection():
        for line in read_values(folder / SCORES):
            if line["metric"] == metrics.get(line["task"]):
                id_ = texts.setdefault(line["id"], line["id"])
                group = texts.setdefault(line["group"], line["group"])
                lines[line["task"]][line["style"]][id_] = Valued(line["value"], group)
    for task, by_style in lines.items():
        run = manifest.tasks[task]
        styles = manifest.identity.styles[run.parts[0] if run.parts else task]
        marked = [s.name for s in styles if s.kind in MARKED and s.name in by_style]
        yield Scores(
            run=str(folder),
            name=run_called.name,
            model=run_called.name,
            called=run_called,
            weights=short_weights([manifest])[0],
            manifest=manifest,
            task=task,
            metric=metrics[task],
            graded_by=read_graded_by(folder) if metrics[task] in JUDGE_METRICS else None,
            styles={style.name: style for style in styles},
            headline=run.headline if run.headline in marked else next(iter(marked), None),
            lines=by_style,
        )
