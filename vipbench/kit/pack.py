"""A finished kit as one archive: members without questions and paths, bound by digests."""

import json
import os
import shutil
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from vipbench import files
from vipbench._version import __version__
from vipbench.analysis.reproduce.published import read_registry, reference_folder
from vipbench.analysis.reproduce.records import Reproduction
from vipbench.analysis.reproduce.verdicts import reproduce
from vipbench.digests import digest, file_digest
from vipbench.errors import RunError
from vipbench.kit.members import (
    BENCH,
    CERTIFICATE,
    CONTENTS,
    LARGEST,
    MEMBERS,
    MODE,
    RUN,
    RUN_ANSWERS,
    RUN_JUDGE,
    RUN_MANIFEST,
    RUN_SCORES,
    RUN_SUMMARY,
    TIME,
    VERDICTS,
    Contents,
    PackedAnswer,
    PlanFacts,
)
from vipbench.kit.plan import Plan
from vipbench.kit.scrub import Scrubber
from vipbench.kit.submission import DRAFT, draft_of
from vipbench.runfolder import bound
from vipbench.runfolder.answers_file import Answered
from vipbench.runfolder.folder import JUDGE, MANIFEST, REQUESTS, RESPONSES, SCORES, SUMMARY
from vipbench.runfolder.lines import ScoreLine
from vipbench.runfolder.manifest import Manifest, Written
from vipbench.runfolder.opened import open_run
from vipbench.runfolder.trials_file import open_trials
from vipbench.schema import Record

STAGE = "archive"
"""Folder of the members as they are packed, for who wants to read them first."""
ARCHIVE = "kit.zip"
SUBMISSION = DRAFT
UNIX = 3
_FREE_TEXT = ("notes", "name", "prompt_format_from", "converted_from")
"""Keys of a manifest that may name the machine or its user."""


class Packed(NamedTuple):
    """An archive as it was written."""

    path: Path
    contents: Contents
    outcome: Reproduction
    """What its rows say of the published numbers."""


def pack(
    folder: Path,
    plan: Plan,
    missing: Mapping[str, str],
    scrubber: Scrubber,
) -> Packed:
    """Write the members of a finished kit, and the archive of them.

    The same kit gives the same members and the same digests.

    Args:
        folder: of the kit, with its run in `run`.
        plan: what was asked.
        missing: part -> why it could not be made.
        scrubber: takes out what is the machine's own.

    Raises:
        RunError: A path of the machine would be packed, a member is too large, or the disk is full.
    """
    stage = folder / STAGE
    shutil.rmtree(stage, ignore_errors=True)
    manifest = open_run(folder / RUN)
    write_run(folder / RUN, stage, scrubber)
    outcome, verdicts = verdicts_of(stage)
    _write_plain(stage, VERDICTS, verdicts, scrubber)
    for name in (CERTIFICATE, BENCH):
        if (folder / name).exists():
            plain = scrubber.plain(files.read_json(folder / name))
            _write_plain(stage, name, plain, scrubber)
    present = [name for name in MEMBERS if (stage / name).exists()]
    contents = Contents(
        vipbench=__version__,
        run_id=manifest.run_id,
        plan=_plan_facts(plan),
        machine=plan.machine,
        missing={name: scrubber.text(why) for name, why in missing.items()},
        run_files=manifest.files,
        registry=registry_digest(),
        members={name: bound.written(stage / name) for name in present},
    )
    contents = contents.model_copy(update={"digest": contents.computed_digest()})
    _write_plain(stage, CONTENTS, contents.model_dump(mode="json"), scrubber)
    return Packed(zipped(stage, folder / ARCHIVE, (CONTENTS, *present)), contents, outcome)


def verdicts_of(folder: Path) -> tuple[Reproduction, Any]:
    """Hold the run in a folder of members against published numbers.

    Returns:
        The verdicts, and the same as plain data in which no folder is named.
    """
    outcome = reproduce([folder / RUN])
    return outcome, _without(f"{folder}{os.sep}", outcome.model_dump(mode="json"))


def _without(folder: str, value: Any) -> Any:
    """Return plain data without the name of a folder in its texts."""
    if isinstance(value, dict):
        return {name: _without(folder, child) for name, child in value.items()}
    if isinstance(value, list):
        return [_without(folder, child) for child in value]
    return value.replace(folder, "") if isinstance(value, str) else value


def registry_digest() -> str:
    """Return a digest of the published numbers that this vipbench knows."""
    read_registry()  # a broken one is an error
    paths = sorted(reference_folder().glob("*.yaml"))
    return digest({path.name: file_digest(path) for path in paths})


def draft_submission(folder: Path, archive: Path, contents: Contents, scrubber: Scrubber) -> Path:
    """Write the form that goes with an archive, to be filled in by whoever sends it."""
    manifest = Manifest.model_validate(files.read_json(folder / STAGE / RUN_MANIFEST))
    draft = draft_of(archive.name, contents, manifest)
    draft["command"] = scrubber.text(draft["command"])
    path = folder / SUBMISSION
    files.write_text(path, [yaml.safe_dump(draft, sort_keys=False, allow_unicode=True, width=1000)])
    return path


def write_run(run: Path, stage: Path, scrubber: Scrubber) -> None:
    """Write what is packed of the run folder; the manifest binds what it is packed with."""
    _write_lines(stage, RUN_ANSWERS, _answers(run, scrubber), scrubber)
    _write_lines(stage, RUN_SCORES, _scores(run, scrubber), scrubber)
    _write_plain(stage, RUN_SUMMARY, files.read_json(run / SUMMARY), scrubber)
    names = [SCORES, SUMMARY]
    if (run / JUDGE).exists():
        plain = files.read_json(run / JUDGE)
        assert isinstance(plain, dict)
        judge = {**plain, "url": "", "prompt_source": "", "ledger": None}
        _write_plain(stage, RUN_JUDGE, scrubber.plain(judge), scrubber)
        names.append(JUDGE)
    entries = {name: bound.written(stage / RUN / name) for name in names}
    _write_plain(stage, RUN_MANIFEST, _manifest(run, entries, scrubber), scrubber)


def _answers(run: Path, scrubber: Scrubber) -> Iterator[PackedAnswer]:
    for trial, answer in Answered(open_trials(run / REQUESTS), run / RESPONSES):
        error = None if trial.error is None else scrubber.text(trial.error)
        if answer is not None and answer.error is not None:
            answer = answer.model_copy(update={"error": scrubber.text(answer.error)})
        request = trial.request
        yield PackedAnswer(
            trial=trial.model_copy(update={"request": None, "error": error}),
            key=None if request is None else request.key,
            options=() if request is None else request.options,
            answer=answer,
        )


def _scores(run: Path, scrubber: Scrubber) -> Iterator[ScoreLine]:
    for line in files.read_lines(run / SCORES, ScoreLine):
        texts = {"error": line.error, "ungraded": line.ungraded}
        changes = {name: scrubber.text(text) for name, text in texts.items() if text is not None}
        yield line.model_copy(update=changes) if changes else line


def _manifest(run: Path, entries: Mapping[str, Written], scrubber: Scrubber) -> dict[str, Any]:
    """Return a run's manifest as plain data, without paths and names of the machine.

    It binds the files that are packed, `entries`, in place of those of the run folder.
    """
    plain: dict[str, Any] = scrubber.plain(files.read_json(run / MANIFEST), keep=("identity",))
    plain["files"] = {name: entry.model_dump() for name, entry in entries.items()}
    for task in plain["tasks"].values():
        task["questions"], task["images"] = "", ""
    for name in _FREE_TEXT:
        value = plain.get(name)
        if isinstance(value, list):
            plain[name] = [scrubber.text(text) for text in value]
        elif isinstance(value, str):
            plain[name] = scrubber.text(value)
    return plain


def _plan_facts(plan: Plan) -> PlanFacts:
    return PlanFacts(
        tasks=plan.tasks,
        limit=plan.limit,
        hours=plan.hours,
        seconds={task: found.seconds for task, found in plan.measured.items()},
        left_out=plan.left_out,
    )


def _write_lines(stage: Path, name: str, records: Iterable[Record], scrubber: Scrubber) -> None:
    def checked() -> Iterator[str]:
        for record in records:
            text = record.model_dump_json()
            scrubber.check(name, json.loads(text))
            yield text + "\n"

    files.write_text(stage / name, checked())


def _write_plain(stage: Path, name: str, plain: Any, scrubber: Scrubber) -> None:
    scrubber.check(name, plain)
    files.write_json(stage / name, plain)


def zipped(stage: Path, path: Path, names: Iterable[str]) -> Path:
    """Write an archive with its members in a fixed order and at a fixed time, all or none."""
    draft = path.with_name(f".{path.name}.part")
    try:
        with zipfile.ZipFile(draft, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in names:
                size = (stage / name).stat().st_size
                if size > LARGEST:
                    raise RunError(
                        f"{stage / name}: has {size:,} bytes · expected at most {LARGEST:,} · pack "
                        "fewer --tasks"
                    )
                info = zipfile.ZipInfo(name, TIME)
                info.compress_type, info.external_attr = zipfile.ZIP_DEFLATED, MODE
                info.create_system, info.file_size = UNIX, size
                with (stage / name).open("rb") as source, archive.open(info, "w") as target:
                    shutil.copyfileobj(source, target)
        draft.replace(path)
    except OSError as error:
        raise files.write_error(path, error) from error
    finally:
        draft.unlink(missing_ok=True)
    return path
