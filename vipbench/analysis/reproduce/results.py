"""results: part of what was vipbench/analysis/reproduce/verdicts.py."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

from vipbench import digests, files
from vipbench.runfolder import manifest as manifests
from vipbench.runfolder import summary
from vipbench.runfolder.folder import SCORES
from vipbench.runfolder.lines import ScoreLine
from vipbench.runfolder.manifest import Manifest
from vipbench.runfolder.summary import Row
from vipbench.scoring.summary import summarise

# --- results: one run, or runs that differ by their seed only


class _Run(NamedTuple):
    folder: Path
    manifest: Manifest
    rows: tuple[Row, ...]


class Result(NamedTuple):
    runs: tuple[_Run, ...]
    rows: tuple[Row, ...]
    """Of the only run, or of the samples' means over all."""

    @property
    def manifest(self) -> Manifest:
        return self.runs[0].manifest

    @property
    def model(self) -> str:
        return self.manifest.identity.model

    @property
    def folders(self) -> tuple[str, ...]:
        return tuple(str(run.folder) for run in self.runs)


def find(rows: Iterable[Row], task: str, style: str, metric: str, group: str) -> Row | None:
    wanted = (task, style, metric, group)
    for row in rows:
        if (row.task, row.style, row.metric, row.group) == wanted:
            return row
    return None


def results(folders: Sequence[Path]) -> list[Result]:
    """Read runs, each once, and put those together that differ by their seed only."""
    unique: dict[Path, Path] = {}
    for folder in folders:
        unique.setdefault(folder.resolve(), folder)
    alike: dict[str, list[_Run]] = {}
    for folder in unique.values():
        run = _Run(folder, manifests.read(folder), tuple(summary.read_summary(folder)))
        seedless = run.manifest.identity.model_copy(update={"seed": 0, "requests": {}})
        alike.setdefault(manifests.identity_digest(seedless), []).append(run)
    return [result for runs in alike.values() for result in _by_samples(runs)]


class _Scores(NamedTuple):
    """What is kept in memory of a `scores.jsonl`; a line is named by task, style, metric, id."""

    values: dict[tuple[str, str, str, str], float]
    lacking: dict[tuple[str, str, str, str], ScoreLine]
    """Lines without a value."""
    samples: str
    """Digest of all names, targets and clusters."""


def _by_samples(runs: Sequence[_Run]) -> list[Result]:
    """Make one result of the runs with the same samples under different seeds."""
    if len({seed(run) for run in runs}) == 1:  # repetitions: nothing to average
        return [Result((run,), run.rows) for run in runs]
    sets: list[list[tuple[_Run, _Scores]]] = []
    for run in runs:
        scores = _read_scores(run.folder)
        for members in sets:
            is_new = seed(run) not in {seed(member) for member, _ in members}
            if is_new and members[0][1].samples == scores.samples:
                members.append((run, scores))
                break
        else:
            sets.append([(run, scores)])
    return [_merged(members) for members in sets]


def _merged(members: Sequence[tuple[_Run, _Scores]]) -> Result:
    first = members[0][0]
    rows = first.rows
    if len(members) > 1:
        means = _means(first.folder, [scores for _, scores in members])
        rows = tuple(summarise(first.manifest, means))
    return Result(tuple(run for run, _ in members), rows)


def seed(run: _Run) -> int:
    return run.manifest.identity.seed


def _name(line: ScoreLine) -> tuple[str, str, str, str]:
    return line.task, line.style, line.metric, line.id


def _read_scores(folder: Path) -> _Scores:
    values: dict[tuple[str, str, str, str], float] = {}
    lacking: dict[tuple[str, str, str, str], ScoreLine] = {}
    facts: list[tuple[str, ...]] = []
    for line in files.read_lines(folder / SCORES, ScoreLine):
        facts.append((*_name(line), line.target, line.group))
        if line.value is None:
            lacking[_name(line)] = line
        else:
            values[_name(line)] = line.value
    return _Scores(values, lacking, digests.digest(sorted(facts)))


def _means(folder: Path, scores: Sequence[_Scores]) -> Iterable[ScoreLine]:
    """Yield each sample with its mean over the seeds; one that lacks a value lacks the mean."""
    for line in files.read_lines(folder / SCORES, ScoreLine):
        name = _name(line)
        lacking = next((each.lacking[name] for each in scores if name in each.lacking), None)
        if lacking is not None:
            yield lacking
        else:
            value = fmean(each.values[name] for each in scores)
            yield line.model_copy(update={"value": value})
