"""A baseline in one file, and that a gate finds in it what it finds in the run folder."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.analysis.test_gate import answers
from tests.analysis.test_pairs import HEADLINE, V7W, VCR, run
from tests.results import line, lines
from tests.runs import make_task, settings
from vipbench.analysis import gate as gates
from vipbench.analysis.baselines import read_baseline, write_baseline
from vipbench.analysis.differences import NAMES
from vipbench.analysis.gate_text import junit
from vipbench.errors import RunError
from vipbench.run import loop

DEFAULTS = gates.Thresholds()


def same_gate(base: str, new: str, out: Path, **options: Any) -> gates.Gate:
    """Gate by the folder and by the baseline; return the one, having found the other the same."""
    write_baseline(Path(base), out)
    by_folder = gates.gate(base, new, DEFAULTS, **options)
    by_file = gates.gate(read_baseline(out), new, DEFAULTS, **options)
    for found, expected in zip(by_file[3:], by_folder[3:], strict=True):
        told = repr(found).replace(str(out), base)
        assert told == repr(expected)
    assert by_file.failures == by_folder.failures
    assert junit(by_file) == junit(by_folder)
    return by_file


def tagged(lost: int = 0) -> list[Any]:
    shapes = ("ellipse", "arrow", "point")
    return [
        line(
            V7W,
            f"q{i}",
            [None, 0.0 if i <= lost else 1.0][i > 0],
            group=f"image{i // 2}",
            tags={"shape": (shapes[i % 3],)},
            error="/data/a.png is broken" if i == 0 else None,
        )
        for i in range(90)
    ]


@pytest.mark.parametrize("name", ["base.jsonl", "base.jsonl.gz"])
def test_a_gate_by_a_baseline_is_that_by_the_run(tmp_path: Path, name: str) -> None:
    base = run(tmp_path / "a", tagged())
    new = run(tmp_path / "b", tagged(30), model="new")
    found = same_gate(base, new, tmp_path / name, by=("shape",))
    assert [row.group for row in found.rows] == [
        "all",
        "shape=arrow",
        "shape=ellipse",
        "shape=point",
    ]
    assert found.rows[0].failed
    assert len(found.rows[0].lost) == 30
    raw = (tmp_path / name).read_bytes()
    assert raw.startswith(b"\x1f\x8b") == name.endswith(".gz")
    text = gzip.decompress(raw) if name.endswith(".gz") else raw
    assert b"/data/a.png" not in text


def test_a_baseline_of_a_run_passes_against_it(tmp_path: Path) -> None:
    base = run(tmp_path / "a", answers(200), settings={"dtype": "float32"})
    assert not same_gate(base, base, tmp_path / "base.jsonl").failures


@pytest.mark.parametrize(
    "changes",
    [
        {"settings": {"prompt_format": "hf"}},
        {"settings": {"dtype": "bfloat16"}},
        {"task": {"fit": "crop"}},
        {"parts": {"tokenizer": "d" * 64, "weights": "a" * 64}},
        {"path": "reference"},
    ],
    ids=lambda changes: "-".join(changes),
)
def test_what_is_not_the_checkpoint_fails_by_a_baseline_too(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    base = run(tmp_path / "a", answers(50))
    new = run(tmp_path / "b", answers(50), **changes)
    found = same_gate(base, new, tmp_path / "base.jsonl")
    assert bool(found.failures) == ("parts" not in changes)
    same_gate(base, new, tmp_path / "base.jsonl", allow=NAMES)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"task": {"version": 7}}, f"{V7W} is version .* in one, 7 in the other"),
        ({"scores": lines(V7W, [1, 1], target="B")}, "another right answer"),
        ({"task": {"headline": "other"}, "style": "other"}, "the headline style of"),
    ],
)
def test_a_baseline_of_another_protocol_is_refused(
    tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    write_baseline(Path(run(tmp_path / "a", lines(V7W, [1, 1]))), tmp_path / "base.jsonl")
    style = changes.pop("style", HEADLINE)
    scores = changes.pop("scores", lines(V7W, [1, 1], style=style)) + changes.pop("more", [])
    new = run(tmp_path / "b", scores, **changes)
    with pytest.raises(RunError, match=reason):
        gates.gate(read_baseline(tmp_path / "base.jsonl"), new, DEFAULTS, allow=NAMES)


@pytest.mark.parametrize(
    ("changes", "left_out", "new_only"),
    [
        ({"tasks": (V7W, VCR), "more": lines(VCR, [1, 1])}, [], (VCR,)),
        ({"scores": lines(V7W, [1, 1, 1])}, ["on the 2 samples that both runs have; 1 more"], ()),
    ],
)
def test_of_a_run_that_has_more_what_both_have_is_compared(
    tmp_path: Path, changes: dict[str, Any], left_out: list[str], new_only: tuple[str, ...]
) -> None:
    write_baseline(Path(run(tmp_path / "a", lines(V7W, [1, 1]))), tmp_path / "base.jsonl")
    scores = changes.pop("scores", lines(V7W, [1, 1])) + changes.pop("more", [])
    new = run(tmp_path / "b", scores, **changes)
    found = gates.gate(read_baseline(tmp_path / "base.jsonl"), new, DEFAULTS, allow=NAMES)
    assert [row.n for row in found.rows] == [2]
    assert found.new_only == new_only
    assert len(found.left_out) == len(left_out)
    assert all(part in said for part, said in zip(left_out, found.left_out, strict=True))


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Two runs of a task of one's own, of which the second has another first question."""
    folders = []
    for name in "ab":
        folder = tmp_path_factory.mktemp(name)
        make_task(folder, n=4)
        if name == "b":
            path = folder / "own.jsonl"
            first, *others = path.read_text().splitlines()
            question = json.loads(first) | {"question": "Which one is <r0>?"}
            path.write_text("\n".join([json.dumps(question), *others]) + "\n")
        loop.run(settings(folder, runner="oracle", styles="demo,none"))
        folders.append(str(folder / "run"))
    return folders[0], folders[1]


def test_other_requests_are_found_by_a_baseline_too(asked: tuple[str, str], tmp_path: Path) -> None:
    found = same_gate(*asked, tmp_path / "base.jsonl")
    assert "other text in 1 of 4 samples" in found.failures[0]


def test_a_baseline_holds_no_place_of_the_machine(asked: tuple[str, str], tmp_path: Path) -> None:
    write_baseline(Path(asked[0]), tmp_path / "base.jsonl")
    text = (tmp_path / "base.jsonl").read_text()
    assert str(Path(asked[0]).parent) not in text
    again = tmp_path / "again.jsonl"
    write_baseline(Path(asked[0]), again)
    assert again.read_text() == text


def test_ends_of_lines_of_windows_are_read(tmp_path: Path) -> None:
    base = run(tmp_path / "a", answers(20))
    path = tmp_path / "base.jsonl"
    write_baseline(Path(base), path)
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert read_baseline(path).manifest.run_id == read_baseline(path).manifest.run_id


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda raw: raw.replace(b'"value":1.0', b'"value":0.0', 1), "sha256 differs"),
        (lambda raw: raw[: len(raw) // 2], "sha256 differs"),
        (lambda raw: raw.splitlines(keepends=True)[0], "holds nothing of a run"),
        (lambda _: b"", "is not a baseline"),
        (lambda _: b'{"run_id": "a"}\n', "is not a baseline"),
        (lambda _: b"\x1f\x8bnonsense", "is a broken archive"),
        (lambda raw: gzip.compress(raw)[:-20], "is a broken archive"),
        (lambda raw: raw.replace(b"baseline 1", b"baseline 9", 1), "'vipbench baseline 9' is unk"),
    ],
    ids=["edited", "cut", "first alone", "empty", "other", "no gzip", "cut gzip", "newer"],
)
def test_what_is_no_baseline_is_refused(
    tmp_path: Path, change: Callable[[bytes], bytes], reason: str
) -> None:
    path = tmp_path / "base.jsonl"
    write_baseline(Path(run(tmp_path / "a", answers(20))), path)
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(RunError, match=reason):
        read_baseline(path)


def test_a_folder_or_nothing_is_no_baseline(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is a folder · give a run as BASE"):
        read_baseline(tmp_path)
    with pytest.raises(RunError, match="does not exist"):
        read_baseline(tmp_path / "none.jsonl")
