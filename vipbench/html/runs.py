"""The runs of a report, how it names them, and the scores that its tables are made of."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from vipbench.report.names import Called, called, display_names, protocol, run_labels
from vipbench.runfolder import manifest as manifests
from vipbench.runfolder import summary
from vipbench.runfolder.judge_file import JUDGE_METRICS, judge_labels, read_graded_by
from vipbench.runfolder.lines import ScoreLine
from vipbench.runfolder.manifest import Manifest, TaskRun
from vipbench.runfolder.summary import ALL, Row
from vipbench.schema import StyleKind
from vipbench.scoring.scorers import metric_name

MARKED: tuple[StyleKind, ...] = ("marks", "given")
"""Kinds of styles under which the model sees marks where they belong; the others are controls."""
SIZE = 336
"""Side in px of the square where no run says what its model sees: the published checkpoints'."""
_HIDDEN = (
    r"\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff"
    "\ud800-\udfff\U000e0000-\U000e007f"
)
_HIDDEN_ANYWHERE = re.compile(f"[{_HIDDEN}]")
_HIDDEN_IN_A_LINE = re.compile(f"[\t\n{_HIDDEN}]")


def reveal_hidden(text: str, *, lines: bool = False) -> str:
    """Replace characters that a page hides or obeys by their numbers, as `⟨U+202E⟩`.

    They are control characters, those that turn the direction of text, and those without a width.
    `lines` keeps line breaks and tabs.
    """
    if text.isprintable():  # then it holds none of them
        return text
    hidden = _HIDDEN_ANYWHERE if lines else _HIDDEN_IN_A_LINE
    return hidden.sub(lambda match: f"⟨U+{ord(match[0]):04X}⟩", text)


class TaskKey(NamedTuple):
    """What makes tasks of two runs the same; only numbers of the same task share a column."""

    name: str
    version: int
    synthetic: bool


class Run(NamedTuple):
    """A finished run."""

    folder: Path
    manifest: Manifest
    rows: list[Row]
    name: str
    """The model; different weights have different names."""
    label: str
    """The model; where several runs have the same, with what distinguishes them."""
    called: Called
    """What somebody calls it, and its training step."""
    judge: str
    """Who gave the grades of metric `judge`; empty where all runs with grades have the same
    judge."""
    protocol: str
    """Prompt format, decoding, dtype and seed."""
    by_name: dict[tuple[str, str, str, str], Row]
    """Task, style, metric, group -> row."""

    def task(self, key: TaskKey) -> TaskRun | None:
        """Return a task as it was run here; None where it was not."""
        task = self.manifest.tasks.get(key.name)
        return task if task is not None and task_key(key.name, task) == key else None

    def metric_name(self, metric: str) -> str:
        """Name a metric so that grades of different judges have different names."""
        return f"{metric} {self.judge}" if metric in JUDGE_METRICS and self.judge else metric

    def row(self, key: TaskKey, style: str, metric: str, group: str = ALL) -> Row | None:
        """Return one row of the summary; None where there is none."""
        if self.task(key) is None:
            return None
        return self.by_name.get((key.name, style, metric, group))

    def kinds(self, key: TaskKey) -> dict[str, StyleKind]:
        """Return the kind of each style of a task, in the order of the run."""
        task = self.manifest.tasks[key.name]
        asked = (task.parts or (key.name,))[0]
        return {style.name: style.kind for style in self.manifest.identity.styles.get(asked, ())}


class Scored(NamedTuple):
    """One scored answer."""

    value: float
    group: str
    """The image."""


class Scores(NamedTuple):
    """All scored answers of the headline metrics, by the number of the run."""

    by_style: dict[tuple[int, TaskKey, str], dict[str, Scored]]
    """Run, task, style -> sample id -> score."""
    by_mark: dict[tuple[int, TaskKey], dict[tuple[str, str], list[Scored]]]
    """Run, task -> shape, colour -> scores, over all styles under which marks are seen."""


def task_key(name: str, task: TaskRun) -> TaskKey:
    """Return what a task is compared by."""
    return TaskKey(name, task.version, task.synthetic)


def headline_metric(task: TaskRun) -> str:
    """Return the name of a task's headline metric."""
    return metric_name(task.kind, task.rule)


def read_runs(folders: Sequence[Path]) -> list[Run]:
    """Read manifests and summaries; a folder that is named twice is read once.

    Raises:
        RunError: A run has not ended, or is broken.
    """
    unique = list(dict.fromkeys(folder.resolve() for folder in folders))
    read = [(folder, manifests.read(folder), summary.read_summary(folder)) for folder in unique]
    found = [called(folder, manifest) for folder, manifest, _ in read]
    texts = zip(display_names(found), run_labels(found), _judges(read), strict=True)
    return [
        Run(
            folder=folder,
            manifest=manifest,
            rows=rows,
            name=name,
            label=label,
            called=each,
            judge=judge,
            protocol=protocol(manifest),
            by_name={(row.task, row.style, row.metric, row.group): row for row in rows},
        )
        for (folder, manifest, rows), (name, label, judge), each in zip(
            read, texts, found, strict=True
        )
    ]


def _judges(read: Sequence[tuple[Path, Manifest, list[Row]]]) -> list[str]:
    """Name the judge of each run that was graded, where there are several; else nobody."""
    graded = {
        number: read_graded_by(folder)
        for number, (folder, _, rows) in enumerate(read)
        if any(row.metric in JUDGE_METRICS for row in rows)
    }
    labels = judge_labels(graded.values())
    several = len(labels) > 1
    return [
        labels[graded[number]] if several and number in graded else ""
        for number, _ in enumerate(read)
    ]


def image_size(runs: Iterable[Run]) -> int:
    """Return the side in px of the square that models see: the largest of the runs, else SIZE."""
    return max((run.manifest.image_size or 0 for run in runs), default=0) or SIZE


def task_keys(runs: Sequence[Run]) -> list[TaskKey]:
    """Return all tasks of some runs, in their order."""
    return list(
        dict.fromkeys(
            task_key(name, task) for run in runs for name, task in run.manifest.tasks.items()
        )
    )


def task_labels(keys: Sequence[TaskKey]) -> dict[TaskKey, str]:
    """Name each task; with its version and data only where the name alone is not unique."""
    names = Counter(key.name for key in keys)
    return {
        key: key.name
        if names[key.name] == 1
        else f"{key.name} v{key.version}" + (" synthetic" if key.synthetic else "")
        for key in keys
    }


def add_score(
    scores: Scores, number: int, key: TaskKey, kind: StyleKind | None, line: ScoreLine, group: str
) -> None:
    """Add a line of the headline metric to `scores`, if it has one.

    `kind` is that of its style; `group` is the line's own, one text for all lines of an image.
    """
    if line.value is None:
        return
    scored = Scored(line.value, group)
    scores.by_style[number, key, line.style][line.id] = scored
    shape, color = line.tags.get("shape", ()), line.tags.get("color", ())
    if shape and color and kind in MARKED:
        scores.by_mark[number, key][shape[0], color[0]].append(scored)


def empty_scores() -> Scores:
    """Return scores that hold nothing yet."""
    return Scores(defaultdict(dict), defaultdict(lambda: defaultdict(list)))
