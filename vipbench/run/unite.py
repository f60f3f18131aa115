"""Runs of one model that were made separately, put together: one run, with the segments of all."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from vipbench.errors import RunError
from vipbench.files import RawLine, parse_line
from vipbench.run.extend import added
from vipbench.run.resume import segment_digest
from vipbench.runfolder import answers_file, trials_file
from vipbench.runfolder import manifest as manifests
from vipbench.runfolder.answers_file import WrittenBatch
from vipbench.runfolder.differing import told
from vipbench.runfolder.folder import REQUESTS, RESPONSES, RUN_ADVICE
from vipbench.runfolder.lines import ResponseLine, TrialId, trial_id
from vipbench.runfolder.manifest import Identity, Manifest, Segment, TaskRun, trial_facts
from vipbench.runfolder.trials_file import Trials
from vipbench.schema import PromptStyle, Trial
from vipbench.trials.make import n_drawn_from_box

READ_AT_ONCE = 256
"""Trials that are in memory at a time."""


class Part(NamedTuple):
    """A finished run, and what of it no run before it holds."""

    folder: Path
    manifest: Manifest
    trials: Trials
    own: dict[TrialId, int]
    """What it brings -> the place among its trials."""
    first_segment: int
    """What its own first one becomes in the united run."""
    batches: tuple[WrittenBatch, ...]
    """In the order of its plan."""

    def answers(self) -> Iterator[tuple[int, TrialId, ResponseLine]]:
        """Yield the answers batch by batch, each with the place of its batch and its trial."""
        path = self.folder / RESPONSES
        with path.open("rb") as file:
            for place, (indices, span) in enumerate(self.batches):
                file.seek(span.begin)
                for index in indices:
                    raw = RawLine(index + 1, file.tell(), file.readline())
                    line = parse_line(ResponseLine, raw, path, RUN_ADVICE)
                    yield place, self.trials.entries[index].name, line

    def own_trials(self, task: str, style: str) -> Iterator[Trial]:
        """Yield what it brings of a task under a style, with the segments of the united run."""
        indices = [i for name, i in self.own.items() if (name.task, name.style) == (task, style)]
        for begin in range(0, len(indices), READ_AT_ONCE):
            for trial in self.trials.read(indices[begin : begin + READ_AT_ONCE]):
                yield trial.model_copy(update={"segment": self.first_segment + trial.segment})


def read_parts(folders: Sequence[Path], known: Sequence[Manifest]) -> tuple[Part, ...]:
    """Read runs that can be put together; one that brings nothing is left out.

    Args:
        folders: of finished runs.
        known: their manifests.

    Raises:
        RunError: Two of them differ in more than tasks and styles, or answer differently.
    """
    seen: dict[TrialId, tuple[bytes, Path]] = {}
    twice: set[TrialId] = set()
    parts: list[Part] = []
    n_segments = 0
    for folder, manifest in zip(folders, known, strict=True):
        _check_same(folders[0], known[0], folder, manifest)
        trials = trials_file.open_trials(folder / REQUESTS)
        own = {}
        for index, trial in enumerate(trials):
            name, facts = trial_id(trial), manifests.trial_digest(trial)
            earlier, whose = seen.setdefault(name, (facts, folder))
            if earlier != facts:
                raise RunError(
                    f"{folder}: {' '.join(name)} was asked or scored otherwise than in {whose} · "
                    "expected runs of the same data · leave one out"
                )
            if whose == folder:
                own[name] = index
            else:
                twice.add(name)
        written = answers_file.written_batches(folder / RESPONSES, trials)
        batches = tuple(written[number] for number in sorted(written))
        parts.append(Part(folder, manifest, trials, own, n_segments, batches))
        n_segments += len(manifest.all_segments) if own else 0
    _check_answers(parts, twice)
    return tuple(part for part in parts if part.own)


def unite(parts: Sequence[Part], described: Manifest) -> Manifest:
    """Describe the run that several make together.

    Args:
        parts: the runs.
        described: the first one's manifest, with the times, devices and notes of all.
    """
    segments: list[Segment] = []
    previous: Identity | None = None
    for n, part in enumerate(parts, 1):
        identity = _identity(parts[:n])
        if previous is None:
            segments += part.manifest.all_segments
        else:
            segments += _segments(parts, part, previous, identity, segments[-1])
        previous = identity
    assert previous is not None
    return described.model_copy(
        update={
            "identity": previous,
            "segments": tuple(segments),
            "tasks": _tasks(parts, previous),
            "n_requests": sum(len(part.own) for part in parts),
            "metrics": tuple(dict.fromkeys(m for part in parts for m in part.manifest.metrics)),
            "n_shards": parts[0].manifest.n_shards,
        }
    )


def requests(parts: Sequence[Part]) -> Iterator[Trial]:
    """Yield all trials in request order: tasks and styles as the runs bring them."""
    for task, styles in _styles(parts).items():
        for style in styles:
            for part in parts:
                yield from part.own_trials(task, style.name)


def responses(parts: Sequence[Part]) -> Iterator[ResponseLine]:
    """Yield all answers, their batches numbered through all runs."""
    number = -1
    for part in parts:
        previous = -1
        for place, name, line in part.answers():
            if name in part.own:
                number += place != previous
                previous = place
                yield line.model_copy(update={"batch": number})


def _check_same(first_folder: Path, first: Manifest, folder: Path, manifest: Manifest) -> None:
    """Refuse a run that cannot be part of the same run as another; say what forbids it."""
    if manifest.finished is None:
        raise RunError(
            f"{folder}: is not finished · give the command that began it, then merge them"
        )
    found = manifests.conflicts(first.identity, manifest.identity, ("suite",), may_lack=True)
    pairs: list[tuple[str, str | None, str | None]] = [
        ("path", first.path, manifest.path),
        ("replay", first.replay, manifest.replay),
    ]
    pairs += [
        (f"rule of {task}", first.tasks[task].rule, manifest.tasks[task].rule)
        for task in first.tasks
        if task in manifest.tasks
    ]
    found += [f"{what}: {then} → {now}" for what, then, now in pairs if then != now]
    if found:
        raise RunError(
            f"{folder}: cannot be put together with {first_folder} ({told(found)}) · expected "
            "runs that differ in tasks and styles only"
        )


def _check_answers(parts: Sequence[Part], twice: set[TrialId]) -> None:
    """Refuse two answers to what several runs have asked."""
    known: dict[TrialId, tuple[str | None, Path]] = {}
    for part in parts if twice else ():
        for _, name, line in part.answers():
            if name in twice:
                text, whose = known.setdefault(name, (line.text, part.folder))
                if text != line.text:
                    raise RunError(
                        f"{part.folder}: answers {' '.join(name)} differently from {whose} · "
                        "expected the same answers where two runs ask the same · leave one out"
                    )


def _styles(parts: Sequence[Part]) -> dict[str, tuple[PromptStyle, ...]]:
    """Return the styles of each task that is asked, in the order in which runs bring them."""
    found: dict[str, dict[str, PromptStyle]] = {}
    for part in parts:
        for task, styles in part.manifest.identity.styles.items():
            for style in styles:
                found.setdefault(task, {}).setdefault(style.name, style)
    return {task: tuple(styles.values()) for task, styles in found.items()}


def _identity(parts: Sequence[Part]) -> Identity:
    """Return the identity of the run that all of them make."""
    styles = _styles(parts)
    digests = {task: hashlib.sha256() for task in styles}
    for trial in requests(parts):
        digests[trial.task].update(trial_facts(trial))
    all_of = [part.manifest.identity for part in reversed(parts)]
    versions = {task: v for part in parts for task, v in part.manifest.identity.tasks.items()}
    joints = {task: version for task, version in versions.items() if task not in styles}
    return parts[0].manifest.identity.model_copy(
        update={
            "tasks": {task: versions[task] for task in styles} | joints,
            "styles": styles,
            "fits": {t: next(i.fits[t] for i in all_of if t in i.fits) for t in styles},
            "requests": {task: digest.hexdigest() for task, digest in digests.items()},
            "exif": {task: rule for identity in all_of for task, rule in identity.exif.items()},
        }
    )


def _segments(
    parts: Sequence[Part], part: Part, previous: Identity, identity: Identity, before: Segment
) -> Iterator[Segment]:
    """Yield the segments that a run becomes behind others."""
    entries = [
        other.trials.entries[index]._replace(segment=other.first_segment + entry_segment)
        for other, index, entry_segment in _placed(parts, identity)
    ]
    trials = Trials(part.trials.path, entries)
    number = {entry.name: index for index, entry in enumerate(entries)}
    first_batch = before.first_batch + before.n_batches
    for n, segment in enumerate(part.manifest.all_segments):
        batches = []
        for indices, _ in part.batches:
            kept = [part.trials.entries[i] for i in indices]
            own = [number[each.name] for each in kept if each.name in part.own]
            if own and kept[0].segment == n:
                batches.append(tuple(own))
        index = part.first_segment + n
        yield segment.model_copy(
            update={
                "identity": manifests.identity_digest(identity),
                "added": added(previous, identity, has_samples=False),
                "n_requests": sum(entry.segment == index for entry in entries),
                "first_batch": first_batch,
                "n_batches": len(batches),
                "plan_digest": segment_digest(trials, batches, index),
            }
        )
        first_batch += len(batches)


def _placed(parts: Sequence[Part], identity: Identity) -> Iterator[tuple[Part, int, int]]:
    """Yield what `requests` yields, as the run, the place there, and its segment there."""
    for task, styles in identity.styles.items():
        for style in styles:
            for part in parts:
                for name, index in part.own.items():
                    if (name.task, name.style) == (task, style.name):
                        yield part, index, part.trials.entries[index].segment


def _tasks(parts: Sequence[Part], identity: Identity) -> dict[str, TaskRun]:
    """Describe each task as the first run does that holds it, with what others add."""
    drawn = dict.fromkeys(identity.tasks, 0)
    for trial in requests(parts):
        if trial.request is not None:
            drawn[trial.task] += n_drawn_from_box(trial.request)
    tasks = {}
    for name in identity.tasks:
        runs = [p.manifest.tasks[name] for p in parts if name in p.manifest.tasks]
        problems: dict[str, int] = {}
        for run in runs:
            for code, n in run.problems.items():
                problems[code] = max(n, problems.get(code, 0))
        tasks[name] = runs[0].model_copy(
            update={
                "breakdown": tuple(dict.fromkeys(axis for run in runs for axis in run.breakdown)),
                "problems": dict(sorted(problems.items())),
                "boxes_for_polygons": drawn[name],
            }
        )
    return tasks
