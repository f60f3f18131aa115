"""What can be checked of a kit's archive without questions, images and the model."""

import hashlib
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from vipbench import files
from vipbench.analysis.reproduce.records import Reproduction
from vipbench.analysis.reproduce.text import summary as verdict_summary
from vipbench.certify import Certificate
from vipbench.errors import CheckFailed, VipbenchError
from vipbench.kit.archive import Tampered, opened
from vipbench.kit.members import (
    BENCH,
    CERTIFICATE,
    RUN,
    RUN_ANSWERS,
    RUN_MANIFEST,
    RUN_SCORES,
    RUN_SUMMARY,
    VERDICTS,
    Contents,
    PackedAnswer,
)
from vipbench.kit.pack import registry_digest, verdicts_of
from vipbench.kit.rescore import Rescored, rescore
from vipbench.report.names import called
from vipbench.report.text import counted
from vipbench.runfolder import manifest as manifests
from vipbench.runfolder.lines import ScoreLine
from vipbench.runfolder.manifest import Manifest
from vipbench.runfolder.summary import Row, read_summary
from vipbench.scoring.summary import summarise


class Verification(NamedTuple):
    """What is known of an archive in which nothing is wrong."""

    contents: Contents
    about: str
    """Model, device and versions, in a line."""
    confirmed: tuple[str, ...]
    unchecked: tuple[str, ...]
    """What cannot be checked, and why."""
    verdict: str
    """What its rows say of the published numbers, as computed here."""


def verify(path: Path, digest: str | None = None) -> Verification:
    """Check an archive as far as is possible without questions, images and the model.

    Args:
        path: of the archive.
        digest: what it should be over all members, from whoever sent it; None: nobody said.

    Raises:
        Tampered: A member is not what was packed, or does not follow from the others.
        RunError: It is no archive of a kit, or cannot be read.
    """
    with opened(path) as (contents, folder):
        if digest is not None and digest != contents.digest:
            raise CheckFailed(
                f"{path}: its digest is {contents.digest} · expected {digest} · it is another "
                "archive than the one that was sent"
            )
        return _Checks(path, contents, folder).all()


class _Checks:
    """The checks of one archive, in the order in which each rests on the former."""

    def __init__(self, path: Path, contents: Contents, folder: Path) -> None:
        self.path, self.contents, self.folder = path, contents, folder
        self.confirmed: list[str] = []
        self.unchecked: list[str] = []

    def all(self) -> Verification:
        """Do all checks; Tampered where one fails."""
        n = len(self.contents.members)
        self.confirmed.append(f"{counted(n, 'member')} as packed, and nothing else in the archive")
        manifest = self._parsed(RUN_MANIFEST, lambda: manifests.read(self.folder / RUN))
        self._check_identity(manifest)
        self._check_requests(manifest)
        self._check_scores(manifest)
        self._check_rows(manifest)
        verdict = self._check_verdicts()
        self._check_certificate(manifest)
        self._say_what_is_left(manifest)
        versions = manifest.versions
        about = (
            f"{called(self.folder / RUN, manifest).name}, {self.contents.machine.device}, "
            f"vipbench {versions.get('vipbench')}, torch {versions.get('torch')}, "
            f"{manifest.finished or manifest.started}"
        )
        return Verification(
            self.contents, about, tuple(self.confirmed), tuple(self.unchecked), verdict
        )

    def _parsed(self, member: str, read: Any) -> Any:
        """Read a member; Tampered where its content is not of its kind."""
        try:
            return read()
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            key = ".".join(map(str, first["loc"]))
            raise self._tampered(member, f"{key}: {first['msg']}") from error
        except Tampered:
            raise
        except VipbenchError as error:
            said = str(error).replace(f"{self.folder / member}", "").lstrip(": ")
            raise self._tampered(member, said.replace(f"{self.folder}/", "")) from error
        except (ValueError, KeyError) as error:  # such as a kind that no answer has
            raise self._tampered(member, f"does not fit the others ({error})") from error

    def _tampered(self, member: str, what: str) -> Tampered:
        return Tampered(self.path, member, what)

    def _check_identity(self, manifest: Manifest) -> None:
        """See that the run's name follows from what it says of itself."""
        digest = manifests.settings_digest(manifest.identity.settings)
        if manifest.settings_digest != digest:
            raise self._tampered(RUN_MANIFEST, "settings_digest is not that of its settings")
        if manifest.run_id != self.contents.run_id:
            raise self._tampered(RUN_MANIFEST, f"is of another run than {self.contents.run_id}")
        self.confirmed.append(f"run {manifest.run_id}: its name follows from its settings")

    def _answers(self) -> Iterator[PackedAnswer]:
        return files.read_lines(self.folder / RUN_ANSWERS, PackedAnswer)

    def _check_requests(self, manifest: Manifest) -> None:
        """Hold keys, targets, images and tags against the digests in the run's identity."""

        def digests() -> dict[str, str]:
            found = {task: hashlib.sha256() for task in manifest.identity.requests}
            for packed in self._answers():
                task = packed.trial.task
                if task not in found or task not in manifest.tasks:
                    raise self._tampered(RUN_ANSWERS, f"task {task!r} is not one of the run")
                found[task].update(manifests.trial_facts(packed.whole_trial()))
            return {task: digest.hexdigest() for task, digest in found.items()}

        for task, found in self._parsed(RUN_ANSWERS, digests).items():
            if found != manifest.identity.requests[task]:
                raise self._tampered(
                    RUN_ANSWERS,
                    f"samples, keys or targets of {task} are not those of run {manifest.run_id}",
                )
        self.confirmed.append(
            "samples, keys and targets: those that the name of the run stands for"
        )

    def _check_scores(self, manifest: Manifest) -> None:
        """Score the answers again."""
        path = self.folder / RUN_SCORES
        lines = files.read_lines(path, ScoreLine)
        found: Rescored = self._parsed(RUN_SCORES, lambda: rescore(manifest, self._answers, lines))
        self.confirmed.append(f"{counted(found.n, 'score')}: as the answers are scored here")
        for why, n in found.unchecked.items():
            self.unchecked.append(f"{counted(n, 'score')}: {why}")

    def _check_rows(self, manifest: Manifest) -> None:
        """Sum the scores up again."""
        lines = files.read_lines(self.folder / RUN_SCORES, ScoreLine)
        computed: list[Row] = self._parsed(RUN_SCORES, lambda: summarise(manifest, lines))
        packed: list[Row] = self._parsed(RUN_SUMMARY, lambda: read_summary(self.folder / RUN))
        if len(computed) != len(packed):
            what = f"has {len(packed):,} rows, and the scores make {len(computed):,}"
            raise self._tampered(RUN_SUMMARY, what)
        for ours, theirs in zip(computed, packed, strict=True):
            if not close(ours.model_dump(mode="json"), theirs.model_dump(mode="json")):
                what = f"the row of {theirs.task}, {theirs.style}, {theirs.metric}, {theirs.group}"
                raise self._tampered(RUN_SUMMARY, f"{what} does not follow from the scores")
        self.confirmed.append(f"{counted(len(packed), 'row')}: as the scores are summed up here")

    def _check_verdicts(self) -> str:
        """Hold the rows against the published numbers again; return what comes out here."""
        outcome: Reproduction
        outcome, plain = self._parsed(RUN_SUMMARY, lambda: verdicts_of(self.folder))
        packed = files.read_json(self.folder / VERDICTS)
        if self.contents.registry != registry_digest():
            self.unchecked.append(
                f"{VERDICTS}: is about other published numbers than this vipbench knows; those "
                "below are computed here"
            )
        elif not close(plain, packed):
            raise self._tampered(VERDICTS, "does not follow from the rows")
        else:
            self.confirmed.append("verdicts: as the rows are held against published numbers here")
        return verdict_summary(outcome)

    def _check_certificate(self, manifest: Manifest) -> None:
        """See that the certificate is of the same settings, and agrees with itself."""
        if CERTIFICATE not in self.contents.members:
            return
        content = json.dumps(files.read_json(self.folder / CERTIFICATE))
        found: Certificate = self._parsed(
            CERTIFICATE, lambda: Certificate.model_validate_json(content)
        )
        if found.settings_digest != manifest.settings_digest:
            raise self._tampered(CERTIFICATE, "is of other settings than the run")
        rescored = sum(flip.value != flip.value_reference for flip in found.flips)
        if (found.n_flipped, found.n_rescored) != (len(found.flips), rescored):
            raise self._tampered(CERTIFICATE, "its counts are not those of the answers it lists")
        self.confirmed.append(
            f"certificate: of the same settings; {found.n_flipped:,} of {found.n:,} answers differ "
            "from float32"
        )

    def _say_what_is_left(self, manifest: Manifest) -> None:
        """Say what nobody can see in an archive."""
        seeds = f"`--seed {manifest.identity.seed}`"
        self.unchecked += [
            "questions and images: are not in the archive; with the same data, suite, tasks, limit "
            f"and {seeds}, `vipbench run --dry-run` names the run {manifest.run_id}",
            "answers: that the model has given them shows only where it is asked again",
        ]
        if BENCH in self.contents.members:
            self.unchecked.append(f"{BENCH}: was measured on that machine")
        for name, why in self.contents.missing.items():
            self.unchecked.append(f"{name}: is not there: {why}")


def close(ours: Any, theirs: Any) -> bool:
    """Say whether plain data are equal, but for the last digits of numbers."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return ours.keys() == theirs.keys() and all(close(ours[k], theirs[k]) for k in ours)
    if isinstance(ours, list) and isinstance(theirs, list):
        return len(ours) == len(theirs) and all(map(close, ours, theirs))
    if isinstance(ours, float) and isinstance(theirs, float | int):
        return math.isclose(ours, theirs, rel_tol=1e-9, abs_tol=1e-9)
    return bool(ours == theirs)
