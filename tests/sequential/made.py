"""A task that a model is known to answer with any accuracy, and runs of it."""

import hashlib
import json
import os
import signal
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from vipbench.run.settings import RunSettings
from vipbench.runfolder.manifest import Blocks
from vipbench.schema import Request, Response
from vipbench.validation import checked

KILL_AT = "VIPBENCH_TEST_KILL_ANSWERS"
"""Batch at which `Known` kills its own process."""
RUNNER = "tests.sequential.made:Known"


class Known:
    """Is right but for a share of the samples: `--model 0.3`, or `demo=0.3,none=0.5` by style.

    A model that is wrong more often is wrong where one that is so less often is, under each style.
    """

    image_size = None
    reads_images = False

    def __init__(self, model: str | None) -> None:
        self.model, self.batches = model or "0", 0

    def generate(self, requests: Sequence[Request], images: object) -> list[Response]:
        if str(self.batches) == os.environ.get(KILL_AT):
            os.kill(os.getpid(), signal.SIGKILL)
        self.batches += 1
        return [Response(text="B" if self.is_wrong(each) else "A") for each in requests]

    def is_wrong(self, request: Request) -> bool:
        shares = dict(part.rpartition("=")[::2] for part in self.model.split(","))
        text = shares.get(request.style, shares.get("", "0"))
        return share_of(request.style, request.id) < float(text)


def share_of(style: str, id_: str) -> float:
    """Return a number from 0 to 1 that is a sample's own, under a style."""
    return int.from_bytes(hashlib.sha256(f"{style} {id_}".encode()).digest()[:4], "big") / 2**32


def make_known(folder: Path, n: int = 240, name: str = "known", n_images: int = 4) -> Path:
    """Write a task whose every answer is A."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(n_images):
        Image.new("RGB", (24, 24), (40 * number, 90, 90)).save(folder / f"{number}.png")
    lines = [
        {
            "id": f"q{number}",
            "image": f"{number % n_images}.png",
            "question": "What is <r0>?",
            "box": [4, 4, 14, 20],
            "tags": {"parity": "even" if number % 2 == 0 else "odd"},
            "choices": ["a cat", "a dog"],
            "answer": "A",
        }
        for number in range(n)
    ]
    (folder / f"{name}.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    (folder / f"{name}.yaml").write_text(
        f"name: {name}\nversion: 1\ntitle: Made up\nkind: choice\ndata: {name}.jsonl\n"
        "reader: jsonl\nstyles: [demo, none, blind]\nbreakdown: [parity]\n"
    )
    return folder


def known(folder: Path, wrong: str, **fields: object) -> RunSettings:
    """Ask the task of a folder; `wrong` says how much is answered wrongly."""
    given: dict[str, object] = {
        "tasks": ("known",),
        "styles": "demo",
        "include": (folder,),
        "runner": RUNNER,
        "model": wrong,
        "batch_size": 16,
        "blocks": Blocks(size=20),
    }
    return checked(RunSettings, given | fields, "test")
