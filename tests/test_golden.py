"""Exact prompts, and the rule that a golden changes only with the version of its task.

The pixels are compared in test_draw.py.
"""

import functools
import json
import runpy
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

HERE = Path(__file__).resolve().parent
GOLDEN = HERE / "golden"
SEVERAL_IMAGES = {"vpbench_semantic"}
MAKE: dict[str, Any] = runpy.run_path(str(HERE / "make_goldens.py"))


@functools.cache
def prompts() -> dict[str, str]:
    """Build them in the first test that looks, so that a fault in the wording fails by name."""
    made: dict[str, str] = MAKE["prompts"]()
    return made


@pytest.mark.parametrize("name", sorted(path.name for path in (GOLDEN / "prompts").iterdir()))
def test_prompts_equal_their_golden(name: str) -> None:
    golden = (GOLDEN / "prompts" / name).read_text(encoding="utf-8")
    assert name in prompts(), f"{name} is left over: delete it"
    assert prompts()[name] == golden, f"{name} differs: see tests/make_goldens.py"


def test_no_golden_is_missing() -> None:
    assert set(prompts()) == {path.name for path in (GOLDEN / "prompts").iterdir()}


def test_every_task_has_goldens_under_its_styles_and_all_controls() -> None:
    tasks = {name.partition(".")[0] for name in prompts()}
    joint = {"vcr_q2ar"}
    assert tasks | joint == set(MAKE["find_tasks"]((MAKE["OWN"],)))
    for task in tasks:
        styles = {name.split(".")[1] for name in prompts() if name.startswith(f"{task}.")}
        marked, controls = {"given", "blind"}, {"demo", "none", "coordinates", "blind"}
        if task in SEVERAL_IMAGES:
            controls -= {"coordinates"}
        assert styles == marked or styles >= controls
        for style in styles:
            assert len(MAKE["by_sample"](prompts()[f"{task}.{style}.txt"])) >= 3


def test_the_versions_are_those_at_which_the_goldens_were_written() -> None:
    recorded = json.loads((GOLDEN / "versions.json").read_text(encoding="utf-8"))
    assert recorded == MAKE["versions"](), "a raised version needs `make goldens`"


# --- what `make goldens` refuses


@pytest.fixture
def golden(tmp_path: Path) -> Path:
    return Path(shutil.copytree(GOLDEN, tmp_path / "golden"))


def refusals(golden: Path, text: dict[str, str]) -> list[str]:
    found: list[str] = MAKE["refusals"](golden, text, MAKE["pixels"]())
    return found


def test_what_has_not_changed_is_not_refused(golden: Path) -> None:
    assert refusals(golden, prompts()) == []


def test_a_changed_prompt_needs_a_raised_version(golden: Path) -> None:
    name = "vcr_qa.none.txt"
    changed = {**prompts(), name: prompts()[name].replace("Person 2", "The person 2")}
    assert refusals(golden, changed) == [f"{name}: 2 prompts changed: raise the version of vcr_qa"]
    recorded = json.loads((golden / "versions.json").read_text(encoding="utf-8"))
    older = json.dumps({**recorded, "vcr_qa": 0})
    (golden / "versions.json").write_text(older, encoding="utf-8")
    assert refusals(golden, changed) == []


def test_a_sample_more_or_less_needs_none(golden: Path) -> None:
    name = "vcr_qa.none.txt"
    head, first, *_ = prompts()[name].split("\n=== raw ")
    more = prompts()[name] + "\n=== raw val-99 | no marks ===\nNew?\n"
    assert refusals(golden, {**prompts(), name: more}) == []
    less = head + "\n=== raw " + first
    assert refusals(golden, {**prompts(), name: less}) == []


def test_changed_pixels_need_the_versions_of_all_tasks_that_draw(golden: Path) -> None:
    Image.new("RGB", (240, 180)).save(golden / "pixels" / "arrow.png")
    (refused,) = refusals(golden, prompts())
    assert refused.startswith("arrow.png changed: raise the version of ")
    for task in ("visual7w_pointing", "pointqa_looktwice", "vcr_qa", "vip_bench_drawn"):
        assert task in refused
    assert "vip_bench_bbox" not in refused
    (golden / "versions.json").write_text("{}", encoding="utf-8")
    assert refusals(golden, prompts()) == []


def test_the_script_writes_nothing_where_it_refuses(
    golden: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = runpy.run_path(str(HERE / "make_goldens.py"))
    scope = make["main"].__globals__
    monkeypatch.setitem(scope, "GOLDEN", golden)
    path = golden / "prompts" / "vcr_qa.none.txt"
    tampered = path.read_text(encoding="utf-8").replace("Person", "Persona")
    path.write_text(tampered, encoding="utf-8")
    with pytest.raises(SystemExit, match=r"raise the version of vcr_qa\nnothing is written"):
        make["main"]()
    assert path.read_text(encoding="utf-8") == tampered


def test_the_script_writes_what_is_committed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = runpy.run_path(str(HERE / "make_goldens.py"))
    monkeypatch.setitem(make["main"].__globals__, "GOLDEN", tmp_path / "new")
    make["main"]()
    for path in (tmp_path / "new").rglob("*"):
        if path.suffix in (".txt", ".json"):
            assert path.read_bytes() == (GOLDEN / path.relative_to(tmp_path / "new")).read_bytes()
