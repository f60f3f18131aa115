"""Shards of a run, or runs of one model, put together: one ordinary run folder."""

import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from vipbench import environment, files
from vipbench.endpoints.dialect import Dialect
from vipbench.errors import RunError
from vipbench.run.score import Results, check_errors, score
from vipbench.run.settings import MAX_ERRORS
from vipbench.run.unite import read_parts, requests, responses, unite
from vipbench.runfolder import answers_file, bound, trials_file
from vipbench.runfolder import manifest as manifests
from vipbench.runfolder.answers_file import WrittenBatch
from vipbench.runfolder.differing import told
from vipbench.runfolder.endpoint_use import Usage
from vipbench.runfolder.folder import (
    FILES,
    MANIFEST,
    REQUESTS,
    RESPONSES,
    check_own,
    remove_run,
)
from vipbench.runfolder.manifest import FORMAT, Manifest, Times
from vipbench.runfolder.name_file import read_name, write_name
from vipbench.runfolder.opened import open_run
from vipbench.runfolder.plan import plan_digest
from vipbench.runfolder.sharing import Readings, Sharing
from vipbench.runfolder.trials_file import Trials

SHOWN_BATCHES = 8


class _Part(NamedTuple):
    """One shard of the run: its folder, and its manifest, which says which batches are its own."""

    folder: Path
    manifest: Manifest

    @property
    def responses(self) -> Path:
        return self.folder / RESPONSES


class _Made(NamedTuple):
    """What is written of the run: it is not finished yet."""

    manifest: Manifest
    requests: Iterator[bytes]
    responses: Iterator[bytes]


class _Found(NamedTuple):
    """Where the answers of one batch lie."""

    part: _Part
    batch: WrittenBatch


def merge(
    folders: Sequence[Path], out: Path, *, fresh: bool = False, max_errors: float = MAX_ERRORS
) -> Results:
    """Write the run that shards are parts of, or whole runs together, and score it.

    What is put together stays as it is. Grades stay in the ledgers of their runs.

    Args:
        folders: of all shards, in any order. One that was run twice may be among them twice.
            Or of finished runs of one model that differ in tasks and styles. No folder twice.
        out: of the run.
        fresh: replace a run that is there.
        max_errors: share of a task's samples that may fail, 0-1.

    Raises:
        RunError: A folder is given twice, they are not shards of one run, one is missing or
            unfinished, two answers to the same request differ, or `out` holds something.
        TooManyErrors: All is written, and too many samples have failed.
    """
    _check_once(folders)
    parts = [_Part(folder, open_run(folder)) for folder in folders]
    made = _of_runs(parts) if all(p.manifest.shard is None for p in parts) else _of_shards(parts)
    with files.locked(out):
        check_own(out)
        there = [name for name in FILES if (out / name).exists()]
        if fresh:
            remove_run(out)
        elif there and not _is_left_of(out, made.manifest):
            raise RunError(
                f"{out}: holds {there[0]} already · give another -o, or --fresh to replace it"
            )
        manifests.write(out, made.manifest)
        _copy_name(folders, out)
        files.write_bytes(out / REQUESTS, made.requests)
        files.write_bytes(out / RESPONSES, made.responses)
        manifests.write(out, bound.bind(out, made.manifest, (REQUESTS, RESPONSES)))
    results = score(out)
    manifest = results.manifest.model_copy(update={"finished": environment.now()})
    manifests.write(out, manifest)
    results = results._replace(manifest=manifest)
    check_errors(results, max_errors)
    return results


def _check_once(folders: Sequence[Path]) -> None:
    """Refuse a folder that is given twice, by whatever paths."""
    known: dict[Path, Path] = {}
    for folder in folders:
        place = folder.resolve()
        if place in known:
            also = f", first as {known[place]}" if known[place] != folder else ""
            raise RunError(
                f"{folder}: is given twice{also} · expected each run once · leave one out"
            )
        known[place] = folder


def _of_shards(parts: Sequence[_Part]) -> _Made:
    """Put shards together; RunError where they are not all of one run."""
    _check_same(parts)
    first = parts[0]
    trials = trials_file.open_trials(first.folder / REQUESTS)
    found = _find(parts, trials)
    n_batches = first.manifest.n_batches
    _check_complete(parts, found, n_batches)
    if plan_digest(found[i].batch.indices for i in range(n_batches)) != first.manifest.plan_digest:
        raise RunError(
            f"{first.folder}: the answers are not in the batches that were planned · expected the "
            "files of one run as it has written them"
        )
    manifest = _merged([part.manifest for part in parts], "shards")
    batches = (_read(found[batch]) for batch in range(n_batches))
    return _Made(manifest, _content(trials.path), batches)


def _of_runs(parts: Sequence[_Part]) -> _Made:
    """Put finished runs together; RunError where they are not of one model asked alike."""
    if len(parts) < 2:
        raise RunError(
            f"{parts[0].folder}: is a whole run · expected what `vipbench run --shard` wrote, or "
            "several runs of one model"
        )
    known = [part.manifest for part in parts]
    united = read_parts([part.folder for part in parts], known)
    manifest = unite(united, _merged(known, "runs"))
    return _Made(
        manifest,
        (trial.model_dump_json().encode() + b"\n" for trial in requests(united)),
        (line.model_dump_json().encode() + b"\n" for line in responses(united)),
    )


def _copy_name(folders: Sequence[Path], out: Path) -> None:
    """Call the run what its parts are called; that of the first which somebody has named."""
    for given in map(read_name, folders):
        known = read_name(out)
        write_name(
            out,
            given.name if known.name is None else None,
            given.step if known.step is None else None,
        )


def _is_left_of(out: Path, manifest: Manifest) -> bool:
    """Say whether a folder was left by a merge of the same shards that was killed."""
    if not (out / MANIFEST).exists():
        return False
    return manifests.read(out).model_copy(update={"files": {}}) == manifest


def _check_same(parts: Sequence[_Part]) -> None:
    """Refuse what are not shards of one run."""
    first = parts[0].manifest
    known = _dialect(part.manifest for part in parts)
    for folder, manifest in parts:
        if manifest.shard is None:
            raise RunError(
                f"{folder}: is a whole run, among shards · expected what `vipbench run --shard` "
                "wrote, or whole runs alone"
            )
        found = manifests.differences(first.identity, manifest.identity)
        for what, then, now in (
            ("shards", first.shard and first.shard.count, manifest.shard.count),
            ("batch size", str(first.batch_limit), str(manifest.batch_limit)),
            ("batches", first.plan_digest[:8], manifest.plan_digest[:8]),
            ("metrics", first.metrics, manifest.metrics),
            ("path", first.path, manifest.path),
            ("parameters that the server took", _taken(known), _taken(manifest.dialect or known)),
        ):
            found += [f"{what}: {then} → {now}"] if then != now else []
        if found:
            raise RunError(
                f"{folder}: is a shard of another run than {parts[0].folder} ({told(found)}) · "
                "expected shards of one command"
            )


def _find(parts: Sequence[_Part], trials: Trials) -> dict[int, _Found]:
    """Return where the batches of finished shards lie; RunError where two answer differently."""
    found: dict[int, _Found] = {}
    for part in parts:
        if part.manifest.finished is None:
            continue
        for batch, written in answers_file.written_batches(part.responses, trials).items():
            here = _Found(part, written)
            there = found.setdefault(batch, here)
            if there is not here and _read(there) != _read(here):
                raise RunError(
                    f"{part.folder}: answers batch {batch} differently from {there.part.folder} · "
                    "expected each shard once, or twice the same answers · leave one out"
                )
    return found


def _check_complete(parts: Sequence[_Part], found: Mapping[int, _Found], n_batches: int) -> None:
    """Say which batches are missing, and whose they are."""
    missing = [batch for batch in range(n_batches) if batch not in found]
    if not missing:
        return
    count = parts[0].manifest.shard.count if parts[0].manifest.shard else 1
    given = {part.manifest.shard.index: part.folder for part in parts if part.manifest.shard}
    faults = []
    for index in sorted({batch % count + 1 for batch in missing}):
        advice = f"is unfinished ({given[index]})" if index in given else "is not given"
        faults.append(f"shard {index}/{count} {advice}")
    shown = ", ".join(map(str, missing[:SHOWN_BATCHES]))
    more = " …" if len(missing) > SHOWN_BATCHES else ""
    raise RunError(
        f"{len(missing)} of {n_batches} batches have no answers ({shown}{more}): "
        f"{'; '.join(faults)} · run what is missing, then merge all of them"
    )


def _merged(shards: Sequence[Manifest], what: str) -> Manifest:
    """Describe the run that shards, or other runs, are parts of; it is not finished yet."""
    first = shards[0]
    notes = dict.fromkeys(note for each in shards for note in each.notes)
    for name in first.versions:
        others = dict.fromkeys(each.versions.get(name, "none") for each in shards)
        if len(others) > 1:
            notes[f"{what} ran with different versions: {name} {', '.join(others)}"] = None
    if len(names := _answered_by(shards)) > 1:
        notes[f"several models of the endpoint answered: {', '.join(sorted(names))}"] = None
    return first.model_copy(
        update={
            "format": FORMAT,
            "files": {},
            "shard": None,
            "n_shards": len(shards),
            "workers": sum(each.workers for each in shards),
            "n_splits": sum(each.n_splits for each in shards),
            "n_worker_restarts": sum(each.n_worker_restarts for each in shards),
            "notes": tuple(notes),
            "device": ", ".join(dict.fromkeys(each.device for each in shards)),
            "started": min(each.started for each in shards),
            "finished": None,
            "n_starts": sum(each.n_starts for each in shards),
            "times": _total([each.times for each in shards]),
            "answered_by": _answered_by(shards),
            "dialect": _dialect(shards),
            "usage": _usage(shards),
            "sharing": first.sharing if what == "runs" else _sharing(shards),
            "peak_memory_mib": max(each.peak_memory_mib for each in shards),
        }
    )


def _taken(dialect: Dialect | None) -> str:
    """Say in words which parameters the endpoint of a shard took."""
    return ("; ".join(dialect.describe()) if dialect else "") or "the usual ones"


def _dialect(shards: Iterable[Manifest]) -> Dialect | None:
    """Return that of the first shard that has asked anything."""
    return next((each.dialect for each in shards if each.dialect is not None), None)


def _answered_by(shards: Sequence[Manifest]) -> dict[str, int]:
    """Add up which model of an endpoint answered how often."""
    names = dict.fromkeys(name for each in shards for name in each.answered_by)
    return {name: sum(each.answered_by.get(name, 0) for each in shards) for name in names}


def _usage(shards: Sequence[Manifest]) -> Usage | None:
    """Add up what calls have taken; None where no endpoint was asked."""
    known = [each.usage for each in shards if each.usage is not None]
    return functools.reduce(Usage.plus, known) if known else None


def _sharing(shards: Sequence[Manifest]) -> Sharing | None:
    """Add up what the shards have read; all share the same, since they have one plan."""
    known = [each.sharing for each in shards if each.sharing is not None]
    if not known:
        return None
    readings = [Readings(asked=each.asked, read=each.read) for each in known[1:]]
    return functools.reduce(Sharing.plus, readings, known[0])


def _total(times: Sequence[Times]) -> Times:
    return Times.model_validate(
        {name: round(sum(getattr(each, name) for each in times), 3) for name in Times.model_fields}
    )


def _read(found: _Found) -> bytes:
    """Read the lines of one batch."""
    with found.part.responses.open("rb") as file:
        file.seek(found.batch.span.begin)
        return file.read(found.batch.span.end - found.batch.span.begin)


def _content(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            yield block
