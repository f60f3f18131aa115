"""Kits of a made-up task and of the embedded checkpoint, and archives that somebody has forged."""

import json
import shutil
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tests.runs import Brightness, make_task
from vipbench.kit.make import Kit, make_kit
from vipbench.kit.members import CONTENTS, RUN_MANIFEST, Contents
from vipbench.kit.pack import zipped
from vipbench.kit.settings import KitSettings
from vipbench.runfolder import bound
from vipbench.schema import Request, Response
from vipbench.validation import checked

ASKED: list[str] = []
"""Keys of the requests that `Counting` was asked, in order."""


class Counting(Brightness):
    """Notes what it is asked."""

    def generate(self, requests: Sequence[Request], images: Sequence[np.ndarray]) -> list[Response]:
        ASKED.extend(request.key for request in requests)
        return super().generate(requests, images)


def settings(folder: Path, **fields: object) -> KitSettings:
    """Ask the made-up task of a folder with the runner above, without certificate and bench."""
    given: dict[str, object] = {
        "suite": "paper",
        "tasks": ("own",),
        "include": (folder,),
        "runner": "tests.kit.made:Counting",
        "batch_size": 4,
        "n_certificate": 0,
        "n_bench": 0,
        "out": folder / "kit",
    }
    return checked(KitSettings, given | fields, "test")


def small_kit(folder: Path, n: int = 6, **fields: object) -> Kit:
    make_task(folder, n=n)
    return make_kit(settings(folder, **fields))


def content(archive: Path) -> dict[str, bytes]:
    """Return the members of an archive, in its order."""
    with zipfile.ZipFile(archive) as file:
        return {name: file.read(name) for name in file.namelist()}


Change = Callable[[bytes], bytes]


def forged(archive: Path, changes: Mapping[str, Change], *, bind: bool = True) -> Path:
    """Write an archive anew with members changed; `bind`: with all digests as they should be."""
    stage = archive.with_name("forged")
    shutil.rmtree(stage, ignore_errors=True)
    members = content(archive)
    for name, change in changes.items():
        members[name] = change(members.get(name, b""))
    for name, data in members.items():
        (stage / name).parent.mkdir(parents=True, exist_ok=True)
        (stage / name).write_bytes(data)
    if bind:
        _bind(stage)
    return zipped(stage, archive.with_name("forged.zip"), tuple(members))


def _bind(stage: Path) -> None:
    manifest = json.loads((stage / RUN_MANIFEST).read_text(encoding="utf-8"))
    for name in manifest["files"]:
        manifest["files"][name] = bound.written(stage / "run" / name).model_dump()
    (stage / RUN_MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    contents = Contents.model_validate_json((stage / CONTENTS).read_text(encoding="utf-8"))
    members = {name: bound.written(stage / name) for name in contents.members}
    contents = contents.model_copy(update={"members": members})
    contents = contents.model_copy(update={"digest": contents.computed_digest()})
    (stage / CONTENTS).write_text(contents.model_dump_json(), encoding="utf-8")


def in_json(**changes: Any) -> Change:
    """Return what sets keys of a JSON file."""
    return lambda data: json.dumps({**json.loads(data), **changes}).encode()


def in_line(number: int, change: Callable[[dict[str, Any]], None]) -> Change:
    """Return what changes one line of a JSON-lines file, or one item of a JSON list."""

    def changed(data: bytes) -> bytes:
        if data.startswith(b"["):
            items = json.loads(data)
            change(items[number])
            return json.dumps(items).encode()
        lines = data.splitlines()
        line = json.loads(lines[number])
        change(line)
        lines[number] = json.dumps(line).encode()
        return b"\n".join(lines) + b"\n"

    return changed
