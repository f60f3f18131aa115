"""Finished runs as results: one run, or several that differ by their seed only, averaged."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

from vipbench import digests, files
from vipbench.report.names import Called, called, named, run_labels
from vipbench.runfolder import manifest as manifests
from vipbench.runfolder import summary
from vipbench.runfolder.folder import SCORES
from vipbench.runfolder.judge_file import GradedBy, read_graded_by
from vipbench.runfolder.lines import ScoreLine
from vipbench.runfolder.manifest import Manifest
from vipbench.runfolder.summary import Row
from vipbench.scoring.summary import summarise

LineName = tuple[str, str, str, str]
"""Task, style, metric and id of a line of `scores.jsonl`."""


class FinishedRun(NamedTuple):
    """One run folder."""

    folder: Path
    manifest: Manifest
    rows: tuple[Row, ...]

    @property
    def called(self) -> Called:
        """Read what people call the run."""
        return called(self.folder, self.manifest)

    @property
    def seed(self) -> int:
        """The seed of the run."""
        return self.manifest.identity.seed


class Result(NamedTuple):
    """What is held against published numbers."""

    runs: tuple[FinishedRun, ...]
    rows: tuple[Row, ...]
    """Of the only run, or of the samples' means over all."""
    model: str
    """The name of the model for readers; where several results are of one, with what tells them
    apart."""

    @property
    def named(self) -> dict[str, Any]:
        """What the first run is called, its step and its weights: keys of tables."""
        return named(self.runs[0].called)

    @property
    def manifest(self) -> Manifest:
        """That of the first run; they differ by their seed only."""
        return self.runs[0].manifest

    @property
    def folders(self) -> tuple[str, ...]:
        """The run folders."""
        return tuple(str(run.folder) for run in self.runs)


def find_row(rows: Iterable[Row], task: str, style: str, metric: str, group: str) -> Row | None:
    """Return the row of a task, style, metric and group; None where there is none."""
    wanted = (task, style, metric, group)
    for row in rows:
        if (row.task, row.style, row.metric, row.group) == wanted:
            return row
    return None


def read_results(folders: Sequence[Path]) -> list[Result]:
    """Read runs, each once, and put those together that differ by their seed only.

    No two results have one name. Runs that different judges have graded are not put together.

    Raises:
        RunError: A run has not ended, or is broken.
    """
    unique: dict[Path, Path] = {}
    for folder in folders:
        unique.setdefault(folder.resolve(), folder)
    alike: dict[tuple[str, GradedBy | None], list[FinishedRun]] = {}
    for folder in unique.values():
        run = FinishedRun(folder, manifests.read(folder), tuple(summary.read_summary(folder)))
        seedless = run.manifest.identity.model_copy(update={"seed": 0, "requests": {}})
        key = manifests.identity_digest(seedless), read_graded_by(folder)
        alike.setdefault(key, []).append(run)
    averaged = [result for runs in alike.values() for result in _by_samples(runs)]
    labels = run_labels([members[0].called for members, _ in averaged])
    return [Result(*result, label) for result, label in zip(averaged, labels, strict=True)]


class _SeedScores(NamedTuple):
    """What is kept in memory of a `scores.jsonl`."""

    values: dict[LineName, float]
    lacking: dict[LineName, ScoreLine]
    """Lines without a value."""
    samples: str
    """Digest of all names, targets and clusters."""


_Averaged = tuple[tuple[FinishedRun, ...], tuple[Row, ...]]
"""Runs, and the rows of the samples' means over them."""


def _by_samples(runs: Sequence[FinishedRun]) -> list[_Averaged]:
    """Put the runs together that have the same samples under different seeds."""
    if len({run.seed for run in runs}) == 1:  # repetitions: nothing to average
        return [((run,), run.rows) for run in runs]
    sets: list[list[tuple[FinishedRun, _SeedScores]]] = []
    for run in runs:
        scores = _read_scores(run.folder)
        for members in sets:
            is_new = run.seed not in {member.seed for member, _ in members}
            if is_new and members[0][1].samples == scores.samples:
                members.append((run, scores))
                break
        else:
            sets.append([(run, scores)])
    return [_averaged(members) for members in sets]


def _averaged(members: Sequence[tuple[FinishedRun, _SeedScores]]) -> _Averaged:
    first = members[0][0]
    rows = first.rows
    if len(members) > 1:
        means = _means(first.folder, [scores for _, scores in members])
        rows = tuple(summarise(first.manifest, means))
    return tuple(run for run, _ in members), rows


def _line_name(line: ScoreLine) -> LineName:
    return line.task, line.style, line.metric, line.id


def _read_scores(folder: Path) -> _SeedScores:
    values: dict[LineName, float] = {}
    lacking: dict[LineName, ScoreLine] = {}
    facts: list[tuple[str, ...]] = []
    for line in files.read_lines(folder / SCORES, ScoreLine):
        name = _line_name(line)
        facts.append((*name, line.target, line.group))
        if line.value is None:
            lacking[name] = line
        else:
            values[name] = line.value
    return _SeedScores(values, lacking, digests.digest(sorted(facts)))


def _means(folder: Path, seeds: Sequence[_SeedScores]) -> Iterable[ScoreLine]:
    """Yield all samples with their means over the seeds; without one where a seed has no value."""
    for line in files.read_lines(folder / SCORES, ScoreLine):
        name = _line_name(line)
        lacking = next((scores.lacking[name] for scores in seeds if name in scores.lacking), None)
        if lacking is not None:
            yield lacking
        else:
            value = fmean(scores.values[name] for scores in seeds)
            yield line.model_copy(update={"value": value})
