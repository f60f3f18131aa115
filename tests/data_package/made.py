"""Tasks that are written for a test, and what their readers yield."""

from collections.abc import Callable
from pathlib import Path

from vipbench.data.samples import load_samples
from vipbench.data.tasks import load_task
from vipbench.schema import DataSource, Problem, Sample

TASK = {
    "name": "own",
    "version": "1",
    "title": "Own",
    "kind": "choice",
    "data": "questions.jsonl",
    "reader": "own.py:read",
    "styles": "[demo]",
}
READER = """
from vipbench.schema import Problem, Region, Sample

def read(source):
    yield from RECORDS
"""

Make = Callable[..., Path]


def records(folder: Path, *yielded: str) -> list[Sample | Problem]:
    """Load the task in a folder with a reader that yields the given records."""
    reader = READER.replace("RECORDS", f"[{', '.join(yielded)}]")
    name = f"reader_{len(list(folder.iterdir()))}.py"  # a module is imported once
    (folder / name).write_text(reader, encoding="utf-8")
    path = folder / "own.yaml"
    path.write_text(
        path.read_text(encoding="utf-8").replace("own.py:read", f"{name}:read"), encoding="utf-8"
    )
    return list(load_samples(load_task("own", (folder,)), DataSource(folder, folder)))


def record(**fields: object) -> str:
    known = {"id": "1", "image": "1.png", "question": "?", "choices": ("a", "b"), "target": "A"}
    given = {**known, "group": "1", **fields}
    return f"Sample({', '.join(f'{key}={value!r}' for key, value in given.items())})"
