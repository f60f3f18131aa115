"""What tests of trials choose from, and what stands for worker processes there."""

import json
import pickle
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from vipbench.trials import by_image
from vipbench.trials.selection import Selection, select

Question = dict[str, object]


def question(id_: str, image: str, **others: object) -> Question:
    fields: Question = {"id": id_, "image": image, "question": "What is <r0>?", "answer": "A"}
    return {**fields, "box": [5, 5, 30, 30], "choices": ["cat", "dog"], **others}


def pair(id_: str, first: str, second: str, boxes: object, **others: object) -> Question:
    """Ask about two images: the first region lies in the second one, the other in the first."""
    own = {"images": [first, second], "boxes": boxes, "region_images": [1, 0]}
    asked = question(id_, first) | {"question": "Are <r0> and <r1> alike?"} | own | others
    return {key: value for key, value in asked.items() if key not in ("image", "box")}


def write(folder: Path, *questions: Question) -> None:
    (folder / "own.jsonl").write_text("\n".join(map(json.dumps, questions)))


def choose(folder: Path, *tasks: str, styles: str | None = None, suite: str = "") -> Selection:
    return select(tasks=tasks, styles=styles, suite=suite or None, data={}, include=[folder])


def suite(folder: Path, text: str) -> None:
    (folder / "suites").mkdir()
    (folder / "suites" / "mine.yaml").write_text(f"name: mine\n{text}")


class PicklingPool:
    """Stands for a pool of processes: work, arguments and results are pickled as on the way."""

    def __init__(self, *arguments: object) -> None:
        pass

    def map(
        self, work: Callable[[object], object], jobs: Sequence[object], chunksize: int
    ) -> Iterator[Any]:
        for job in jobs:
            work_there, job_there = pickle.loads(pickle.dumps((work, job)))
            yield pickle.loads(pickle.dumps(work_there(job_there)))

    def shutdown(self, *, cancel_futures: bool) -> None:
        assert cancel_futures


def use_pickling_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(by_image, "SERIAL", 0)
    monkeypatch.setattr(by_image, "ProcessPoolExecutor", PicklingPool)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
