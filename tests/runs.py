"""Small tasks of one's own, and a runner that looks at pixels: for the tests of whole runs."""

import json
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random

import numpy as np
from PIL import Image

from vipbench.run.settings import RunSettings
from vipbench.runfolder import bound
from vipbench.runfolder import manifest as manifests
from vipbench.schema import DataSource, Request, Response
from vipbench.validation import checked

KILL_AT = "VIPBENCH_TEST_KILL_AT"
"""Batch at which `Brightness` kills its own process."""
INTERRUPT_AT = "VIPBENCH_TEST_INTERRUPT_AT"
"""Batch at which it acts as if Ctrl-C were pressed."""
FATES = "VIPBENCH_TEST_FATES"
"""Folder of what is to befall the processes of `Fated`."""
N_IMAGES = 5


class Brightness:
    """Answers with the option that the brightness of the marked, fitted image falls on."""

    image_size = 24

    def __init__(self, model: str | None) -> None:
        self.batches = 0

    def generate(self, requests: Sequence[Request], images: Sequence[np.ndarray]) -> list[Response]:
        if str(self.batches) == os.environ.get(KILL_AT):
            os.kill(os.getpid(), signal.SIGKILL)
        if str(self.batches) == os.environ.get(INTERRUPT_AT):
            raise KeyboardInterrupt
        self.batches += 1
        return [
            Response(text=(request.options or tuple("0123"))[int(image.sum()) % 4 % 3])
            for request, image in zip(requests, images, strict=True)
        ]


class Fated(Brightness):
    """Meets what lies in the folder `FATES`: each file `<id>.*` kills the process that is asked
    this sample, `load.*` one that loads, and is gone; with `stall`, each waits without an end
    after its first batch."""

    def __init__(self, model: str | None) -> None:
        super().__init__(model)
        self.fates = Path(os.environ[FATES])
        self._meet("load")

    def generate(self, requests: Sequence[Request], images: Sequence[np.ndarray]) -> list[Response]:
        for request in requests:
            self._meet(request.id)
        if (self.fates / "stall").exists() and self.batches:
            (self.fates / f"pid-{os.getpid()}").touch()
            time.sleep(600)
        return super().generate(requests, images)

    def _meet(self, what: str) -> None:
        for fate in sorted(self.fates.glob(f"{what}.*")):
            fate.unlink()
            os.kill(os.getpid(), signal.SIGKILL)


class Waiting(Fated):
    """Waits before its second batch for as long as there is a file `wait`, and says so."""

    def generate(self, requests: Sequence[Request], images: Sequence[np.ndarray]) -> list[Response]:
        while self.batches and (self.fates / "wait").exists():
            (self.fates / f"pid-{os.getpid()}").touch()
            time.sleep(0.05)
        return super().generate(requests, images)


class Splitting(Brightness):
    """Says that it split every batch in two."""

    n_splits = 0

    def generate(self, requests: Sequence[Request], images: Sequence[np.ndarray]) -> list[Response]:
        self.n_splits += 1
        return super().generate(requests, images)


class Surroundings(Splitting):
    """Answers with what its process was started with, and says that it split every batch."""

    def generate(self, requests: Sequence[Request], images: Sequence[np.ndarray]) -> list[Response]:
        self.n_splits += 1
        names = ("VIPBENCH_WORKER", "OMP_WAIT_POLICY", "OMP_NUM_THREADS")
        told = " ".join(os.environ.get(name, "-") for name in names)
        return [Response(text=f"{os.getpid()} {told}") for _ in requests]


class Likely(Brightness):
    """Knows the probabilities of options too, but for requests whose id ends with 0."""

    def generate(self, requests: Sequence[Request], images: Sequence[np.ndarray]) -> list[Response]:
        return [
            response
            if request.id.endswith("0")
            else response.model_copy(
                update={"option_logprobs": tuple(-1.5 - i for i in range(len(request.options)))}
            )
            for request, response in zip(requests, super().generate(requests, images), strict=True)
        ]


def make_task(
    folder: Path,
    name: str = "own",
    n: int = 20,
    *,
    kind: str = "choice",
    styles: str = "[demo, none, blind]",
    version: int = 1,
    seed: int = 0,
) -> Path:
    """Write a task file, its questions, and images that all tasks of the folder share."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = Random(seed)
    for number in range(N_IMAGES):
        path = folder / f"{number}.png"
        if not path.exists():
            color = (20 * number, 255 - 30 * number, 90)
            Image.new("RGB", (48, 32 + number), color).save(path)
    questions = []
    for number in range(n):
        question: dict[str, object] = {
            "id": f"q{number}",
            "image": f"{number % N_IMAGES}.png",
            "question": f"What is <r0>{'?' * rng.randint(1, 30)}",
            "box": [4, 4, 14 + rng.randint(0, 9), 20],
            "tags": {"parity": "even" if number % 2 == 0 else "odd"},
        }
        if kind == "choice":
            question |= {"choices": ["a cat", "a dog", "a cup"], "answer": rng.choice("ABC")}
        else:
            question |= {"answer": str(rng.randint(0, 3))}
        questions.append(question)
    (folder / f"{name}.jsonl").write_text("".join(json.dumps(each) + "\n" for each in questions))
    (folder / f"{name}.yaml").write_text(
        f"name: {name}\nversion: {version}\ntitle: Made up\nkind: {kind}\ndata: {name}.jsonl\n"
        f"reader: jsonl\nstyles: {styles}\nbreakdown: [parity]\n"
    )
    return folder


def make_pairs(folder: Path) -> Path:
    """Write a task about two images of different sizes, the marks now in one, now in the other."""
    make_task(folder, n=4, styles="[demo]")
    Image.new("RGB", (40, 70), (9, 99, 9)).save(folder / "tall.png")
    lines = [
        {
            "id": f"pair-{n}",
            "images": ["0.png", "tall.png"],
            "question": "Are <r0> and <r1> alike?",
            "choices": ["yes", "no"],
            "answer": "no",
            "boxes": [[2, 2, 12, 12], [3, 4, 20, 21]],
            "region_images": [n % 2, 1 - n % 2],
        }
        for n in range(4)
    ]
    (folder / "own.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return folder


def make_joint(folder: Path, n: int = 12, n_second: int | None = None) -> Path:
    """Write two tasks of the same ids and the joint task `both`."""
    make_task(folder, "first", n, seed=1)
    make_task(folder, "second", n if n_second is None else n_second, seed=2)
    (folder / "both.yaml").write_text(
        "name: both\nversion: 1\ntitle: Both\nkind: joint\ndata: [first, second]\n"
        "styles: [demo]\nbreakdown: [parity]\n"
    )
    return folder


def settings(folder: Path, **fields: object) -> RunSettings:
    """Ask the task `own` of a folder with the runner above, four at a time."""
    given: dict[str, object] = {
        "tasks": ("own",),
        "include": (folder,),
        "runner": "tests.runs:Brightness",
        "batch_size": 4,
        "out": folder / "run",
    }
    return checked(RunSettings, given | fields, "test")


def bind_again(folder: Path) -> Path:
    """Make the files of a run folder, as a test has edited them, those that the run has written."""
    manifest = manifests.read(folder).model_copy(update={"format": manifests.FORMAT})
    manifests.write(folder, bound.bind(folder, manifest, bound.BOUND))
    return folder


def unbind(folder: Path) -> None:
    """Make the files of a run folder those of a run that was killed: nothing binds them."""
    manifests.write(folder, bound.without(manifests.read(folder), bound.BOUND))


def source(folder: Path) -> DataSource:
    return DataSource(folder, folder)
