"""Whether the lines of a run folder can be those of its run: what no digest is needed to see."""

import hashlib
from collections import Counter
from collections.abc import Collection
from pathlib import Path

from vipbench.errors import RunError
from vipbench.files import Advice, RawLine, parse_line, raw_lines
from vipbench.runfolder.bound import advice
from vipbench.runfolder.folder import MANIFEST, REQUESTS, SCORES
from vipbench.runfolder.lines import ScoreLine, TrialId, trial_id
from vipbench.runfolder.manifest import Manifest, trial_facts
from vipbench.schema import Trial


def check_requests(folder: Path, manifest: Manifest) -> dict[TrialId, int]:
    """Hold `requests.jsonl` against the manifest, which has a digest of what scoring needs of it.

    Returns:
        For each trial, a number that stands for its target, cluster and tags.

    Raises:
        RunError: A line is broken, stands twice or is of no task or style of the run; or lines
            are missing or changed.
    """
    path, advised = folder / REQUESTS, Advice(broken=advice(folder, REQUESTS))
    styles = {t: {s.name for s in listed} for t, listed in manifest.identity.styles.items()}
    digests = {task: hashlib.sha256() for task in styles}
    facts: dict[TrialId, int] = {}
    for raw in raw_lines(path, advised):
        trial = parse_line(Trial, raw, path, advised)
        name = trial_id(trial)
        if fault := _unknown("task", trial.task, styles) or _unknown(
            "style", trial.style, styles[trial.task]
        ):
            raise _fault(folder, REQUESTS, raw, fault)
        if name in facts:
            raise _fault(folder, REQUESTS, raw, f"{_words(name)} stands here for the second time")
        facts[name] = _number(trial)
        digests[trial.task].update(trial_facts(trial))
    if len(facts) != manifest.n_requests:
        raise RunError(
            f"{path}: does not hold the {manifest.n_requests:,} requests that {MANIFEST} tells of, "
            f"but {len(facts):,} · {advised.broken}"
        )
    for task, known in manifest.identity.requests.items():
        if task in digests and digests[task].hexdigest() != known:
            raise RunError(
                f"{path}: its requests of {task} are not those that the run has asked, by their "
                f"digest in {MANIFEST} · {advised.broken}"
            )
    return facts


def check_scores(folder: Path, manifest: Manifest, asked: dict[TrialId, int]) -> None:
    """Hold `scores.jsonl` against the requests.

    Args:
        folder: of the run.
        manifest: of the run.
        asked: as `check_requests` returns it.

    Raises:
        RunError: A line is broken, has a score outside of 0-1 or none without a reason, stands
            twice, or is of no request; or a request has no score, though the run is whole.
    """
    path, advised = folder / SCORES, Advice(broken=advice(folder, SCORES))
    seen: set[tuple[TrialId, str]] = set()
    counts: Counter[tuple[str, str, str]] = Counter()
    for raw in raw_lines(path, advised):
        line = parse_line(ScoreLine, raw, path, advised)
        name = trial_id(line)
        if fault := _unknown("task", line.task, manifest.tasks):
            raise _fault(folder, SCORES, raw, fault)
        parts = manifest.tasks[line.task].parts
        if not any(name._replace(task=part) in asked for part in parts or (line.task,)):
            raise _fault(folder, SCORES, raw, f"{_words(name)} is not in {REQUESTS}")
        if not parts and asked[name] != _number(line):
            what = f"target, group or tags of {_words(name)} are not those in {REQUESTS}"
            raise _fault(folder, SCORES, raw, what)
        if (name, line.metric) in seen:
            raise _fault(folder, SCORES, raw, f"{_words(name)} is scored for the second time")
        if line.value is None and line.error is None and line.ungraded is None:
            raise _fault(folder, SCORES, raw, f"{_words(name)} has no score, and no reason why")
        seen.add((name, line.metric))
        counts[line.task, line.style, line.metric] += 1
    if manifest.state is not None:  # which samples were asked is not known here
        return
    wanted = Counter((name.task, name.style) for name in asked)
    scored = {(task, style) for task, style, _ in counts}
    short = [(*each, "any metric", 0) for each in wanted if each not in scored]
    short += [(*key, n) for key, n in counts.items() if 0 < n < wanted[key[:2]]]
    for task, style, metric, n in short:
        raise RunError(
            f"{path}: holds {n:,} scores of {task} under {style} by {metric}, but {REQUESTS} has "
            f"{wanted[task, style]:,} samples · {advised.broken}"
        )


def _number(line: Trial | ScoreLine) -> int:
    """Return a number, of this process only, that stands for what scores repeat of a trial."""
    return hash((line.target, line.group, tuple(sorted(line.tags.items()))))


def _unknown(what: str, name: str, known: Collection[str]) -> str | None:
    """Say that a task or style is not of the run; None: it is."""
    if name in known:
        return None
    return f"{what} {name!r} is not in {MANIFEST} · expected one of {', '.join(sorted(known))}"


def _words(name: TrialId) -> str:
    return " ".join(name)


def _fault(folder: Path, name: str, raw: RawLine, what: str) -> RunError:
    return RunError(f"{folder / name}:{raw.number}: {what} · {advice(folder, name)}")
