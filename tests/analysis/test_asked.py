"""Whether two runs asked the same, and what of their requests differs."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.runs import make_task, settings
from vipbench.analysis.asked import Asked, asked_otherwise
from vipbench.analysis.differences import tell_apart
from vipbench.analysis.pairs import read_side
from vipbench.run.loop import run


def asked(folder: Path, change: Callable[[Path], object] | None = None, **fields: object) -> str:
    """Run the task `own` of a folder that is made anew, and changed; returns the run folder."""
    make_task(folder, n=4)
    if change is not None:
        change(folder)
    given: dict[str, object] = {
        "runner": "oracle",
        "batch_size": "auto",
        "styles": "demo,none,blind",
    }
    run(settings(folder, **given | fields))
    return str(folder / "run")


def found(one: str, two: str) -> list[Asked]:
    return asked_otherwise(read_side(one), read_side(two))


def edit(folder: Path, key: str, value: object) -> None:
    """Give the first question another value."""
    path = folder / "own.jsonl"
    questions = [json.loads(line) for line in path.read_text().splitlines()]
    questions[0][key] = value
    path.write_text("".join(json.dumps(question) + "\n" for question in questions))


def limit_tokens(folder: Path) -> None:
    path = folder / "own.yaml"
    path.write_text(path.read_text() + "max_new_tokens: 3\n")


@pytest.mark.parametrize(
    ("change", "n", "what"),
    [
        (lambda folder: edit(folder, "question", "Which one is <r0>?"), 1, "text"),
        (lambda folder: edit(folder, "box", [1, 1, 9, 9]), 1, "marks"),
        (lambda folder: Image.new("RGB", (48, 32)).save(folder / "0.png"), 1, "image"),
        (limit_tokens, 4, "token limit"),
    ],
    ids=["text", "marks", "image", "token limit"],
)
def test_other_requests_under_the_same_ids_are_a_difference(
    tmp_path: Path, change: Callable[[Path], object], n: int, what: str
) -> None:
    base, new = asked(tmp_path / "a"), asked(tmp_path / "b", change)
    assert found(base, new) == [Asked("own", n, 4, "q0", (what,))]
    apart = tell_apart(read_side(base), read_side(new))
    [difference] = apart.differences
    words = f"own → own with other {what} in {n} of 4 samples, such as q0"
    assert difference.words == f"requests: {words}"
    blind = found(f"{base}@blind", f"{new}@blind")
    assert blind == ([] if what in ("marks", "image") else [Asked("own", n, 4, "q0", (what,))])


def test_requests_that_are_the_same_or_explained_are_none(tmp_path: Path) -> None:
    base = asked(tmp_path / "a")
    explained: list[dict[str, Any]] = [
        {"styles": "demo"},
        {"limit": 3},
        {"seed": 1},
        {"fit": "crop"},
    ]
    for number, fields in enumerate(explained):
        assert found(base, asked(tmp_path / f"b{number}", None, **fields)) == []
    tagged = asked(tmp_path / "c", lambda folder: edit(folder, "tags", {"parity": "none"}))
    assert found(base, tagged) == []
    assert found(base, f"{base}@none") == []
