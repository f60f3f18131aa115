"""Runs of which one holds more: what is another protocol, and the command that extends a run."""

from pathlib import Path

import pytest

from tests.small_runs import manifest, task
from vipbench.analysis.overlap import extend_samples, extend_tasks, listed, other_protocol
from vipbench.runfolder.manifest import IMPORTED, Manifest


def made(**identity: object) -> Manifest:
    known = manifest({"own": task(1)})
    changed = known.identity.model_copy(update={"runner": "hf", "model": "vip"} | identity)
    return known.model_copy(update={"identity": changed, "model_path": "/a b/vip"})


def test_another_checkpoint_and_more_samples_are_no_other_protocol() -> None:
    more = ["model: a → b", "settings.weights: a → b", "limit: 3 → 9", "tasks.x: none → 1"]
    other = ["seed: 0 → 1", "settings.dtype: a → b", "fits.own: pad → crop"]
    assert other_protocol([*more, *other, "fits.x: none → pad"], ["own"]) == other


def test_a_run_is_extended_by_the_samples_or_tasks_of_another() -> None:
    few, more, whole = made(limit=3), made(limit=9), made(limit=None)
    begin = "vipbench run --runner hf --model '/a b/vip' --extend"
    assert extend_samples(Path("r"), few, more, ["x"]) == f"{begin} --limit 9 … -o r"
    assert extend_samples(Path("r"), few, whole, ["x"]) == f"{begin} --limit all … -o r"
    assert extend_samples(Path("r"), whole, few, ["x"]) == ""
    ids = made(ids=("a",), limit=None)
    assert extend_samples(Path("r"), ids, few, ["b", "c"]) == f"{begin} --ids b,c … -o r"
    many = [f"s{n}" for n in range(9)]
    assert "s7… … -o r" in extend_samples(Path("r"), ids, few, many)
    assert extend_tasks(Path("r"), few, ["x", "y"]) == f"{begin} --tasks x,y … -o r"


@pytest.mark.parametrize("runner", [IMPORTED, "oracle"])
def test_imported_answers_cannot_be_extended_and_a_baseline_has_no_model(runner: str) -> None:
    run = made(runner=runner, limit=3).model_copy(update={"model_path": ""})
    settings = run.identity.settings.model_copy(update={"weights": None})
    identity = run.identity.model_copy(update={"settings": settings})
    command = extend_tasks(Path("r"), run.model_copy(update={"identity": identity}), ["x"])
    expected = "vipbench run --runner oracle --extend --tasks x … -o r"
    assert command == ("" if runner == IMPORTED else expected)


def test_tasks_are_named_unless_they_are_all() -> None:
    assert listed(["a"], ["a"]) == "a"
    assert listed(["a", "b"], ["a", "b"]) == "all tasks"
    assert listed(["a", "b"], ["a", "b", "c"]) == "a, b"
