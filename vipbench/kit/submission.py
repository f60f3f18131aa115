"""The form of a submission: which archive, whose, of which hardware; see results/community."""

import datetime
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from vipbench.kit.members import Contents
from vipbench.runfolder.manifest import Manifest
from vipbench.schema import Record
from vipbench.validation import checked, read_yaml

DRAFT = "submission.yaml"


class Submission(Record):
    """One file `results/community/*.yaml`."""

    archive: Annotated[str, Field(pattern=r"^https://\S+\.zip$")]
    """Where the archive lies, for everybody to fetch."""
    digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    """Over all members, as `vipbench kit` and `vipbench verify` print it."""
    who: Annotated[str, Field(min_length=1)]
    """Name or handle of whoever ran it, as it is to be shown."""
    hardware: Annotated[str, Field(min_length=1)]
    """Such as `1 x NVIDIA A100 80GB`."""
    date: datetime.date
    """UTC; when the run finished."""
    command: Annotated[str, Field(pattern=r"^vipbench kit\b")]
    """As it was given; paths may be left out."""
    remarks: str = ""


def read_submission(path: Path) -> Submission:
    """Read a submission; TaskError names every mistake in it."""
    return checked(Submission, read_yaml(path), str(path))


def draft_of(archive: str, contents: Contents, manifest: Manifest) -> dict[str, Any]:
    """Fill in what is known; an address and a name are left to whoever sends it."""
    tasks = ",".join(contents.plan.tasks)
    command = ["vipbench kit --model", manifest.identity.model, "--tasks", tasks]
    if contents.plan.limit is not None:
        command += ["--limit", str(contents.plan.limit)]
    if contents.plan.hours is not None:
        command += ["--hours", f"{contents.plan.hours:g}"]
    return {
        "archive": f"https://…/{archive}",
        "digest": contents.digest,
        "who": "",
        "hardware": f"{contents.machine.device}, {contents.machine.cpu}",
        "date": datetime.date.fromisoformat((manifest.finished or manifest.started)[:10]),
        "command": " ".join(command),
    }
