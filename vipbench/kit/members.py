"""What an archive holds: names, limits, and the records that are its own."""

from typing import Any

from vipbench.digests import digest
from vipbench.kit.plan import Machine
from vipbench.runfolder.folder import JUDGE, MANIFEST, SCORES, SUMMARY
from vipbench.runfolder.lines import ResponseLine
from vipbench.runfolder.manifest import Written
from vipbench.schema import Record, Request, Trial

FORMAT = 1
RUN = "run"
CONTENTS = "kit.json"
ANSWERS = "answers.jsonl"
CERTIFICATE = "certificate.json"
BENCH = "bench.json"
VERDICTS = "reproduce.json"
RUN_MANIFEST, RUN_ANSWERS, RUN_SCORES, RUN_SUMMARY, RUN_JUDGE = (
    f"{RUN}/{name}" for name in (MANIFEST, ANSWERS, SCORES, SUMMARY, JUDGE)
)
REQUIRED = (RUN_MANIFEST, RUN_ANSWERS, RUN_SCORES, RUN_SUMMARY, VERDICTS)
OPTIONAL = (RUN_JUDGE, CERTIFICATE, BENCH)
MEMBERS = (*REQUIRED, *OPTIONAL)
"""All that an archive may hold beside its contents."""
TIME = (1980, 1, 1, 0, 0, 0)
"""Of every member: the first that a zip archive can name."""
MODE = 0o644 << 16
"""Of every member, in the upper half of its attributes: a plain file."""
LARGEST = 1 << 31
"""Bytes of a member, unpacked: the whole suite under one style has a tenth of it."""


class PackedAnswer(Record):
    """One line of `answers.jsonl`: what scoring needs of a trial and its answer."""

    trial: Trial
    """Without its request, which holds the question."""
    key: str | None
    """Of the request: a digest of all that the model could see; None where it was not asked."""
    options: tuple[str, ...]
    """Letters that answer a choice; their texts are not packed."""
    answer: ResponseLine | None
    """None where the sample was not asked."""

    def whole_trial(self) -> Trial:
        """Return the trial with a request that has the key and the letters, and no question."""
        if self.key is None:
            return self.trial
        request = Request(
            task=self.trial.task,
            style=self.trial.style,
            id=self.trial.id,
            turns=("",),
            image="",
            fit="pad",
            max_new_tokens=1,
            options=self.options,
            key=self.key,
        )
        return self.trial.model_copy(update={"request": request})


class PlanFacts(Record):
    """What the numbers are of: which part of the suite was asked, and why not all."""

    tasks: tuple[str, ...]
    limit: int | None
    hours: float | None
    seconds: dict[str, float]
    """Task -> seconds a sample by the probe."""
    left_out: tuple[str, ...]


class Contents(Record):
    """`kit.json`: what is in an archive, and what binds it."""

    format: int = FORMAT
    vipbench: str
    """Version that packed it."""
    run_id: str
    plan: PlanFacts
    machine: Machine
    missing: dict[str, str]
    """Optional member -> why it is not there."""
    run_files: dict[str, Written]
    """The files of the run folder that was packed, with the questions in them."""
    registry: str
    """Digest of the published numbers that the verdicts are about."""
    members: dict[str, Written]
    digest: str = ""
    """sha256 of all above as canonical JSON: one digest over the whole archive."""

    def computed_digest(self) -> str:
        """Return the digest that the contents should have."""
        plain: dict[str, Any] = self.model_dump(mode="json", exclude={"digest"})
        return digest(plain)
