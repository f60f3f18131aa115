"""Runs that read once what requests have in common, beside runs that do not."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.deaths import deaths
from vipbench.demo.embedded import CHECKPOINT, benchmark
from vipbench.errors import RunInterrupted
from vipbench.run.loop import run
from vipbench.run.merge import merge
from vipbench.run.score import Results
from vipbench.run.settings import RunSettings
from vipbench.runfolder.answers_file import read_responses
from vipbench.runfolder.folder import RESPONSES, SCORES, SUMMARY
from vipbench.runfolder.manifest import read
from vipbench.runfolder.shard import Shard
from vipbench.runners.vipllava.runner import VipLlavaRunner

STYLES = "demo,none,blind,wrong,permuted,rotated_1"
TASKS = ("visual7w_pointing", "vcr_qa", "vcr_qar")


def ask(folder: Path, **settings: Any) -> Results:
    given: dict[str, Any] = {
        "model": str(CHECKPOINT),
        "data": benchmark(),
        "tasks": TASKS,
        "styles": STYLES,
        "limit": 3,
        "metrics": ("option_argmax",),
        "device": "cpu",
        "out": folder,
    }
    return run(RunSettings(**(given | settings)))


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("alone") / "run"
    ask(folder, no_share=True)
    return folder


def assert_equal(folder: Path, other: Path) -> None:
    for name in (SCORES, SUMMARY):
        assert (folder / name).read_bytes() == (other / name).read_bytes(), name


@pytest.mark.parametrize("settings", [{}, {"batch_size": 5}, {"token_budget": 400, "loaders": 2}])
def test_scores_are_those_of_prompts_read_by_themselves(
    settings: dict[str, Any], alone: Path, tmp_path: Path
) -> None:
    manifest = ask(tmp_path / "run", **settings).manifest
    assert_equal(tmp_path / "run", alone)
    assert read(alone).sharing is None
    sharing = manifest.sharing
    assert sharing is not None
    assert sharing.arithmetic > 0.2
    assert sharing.tokens > 0.15
    assert sharing.read.operations < 0.9 * sharing.asked.operations
    assert 0 <= sharing.asked.images - manifest.n_requests <= 2  # those that are asked again
    one, other = (read_responses(each / RESPONSES) for each in (alone, tmp_path / "run"))
    assert {name: line.text for name, line in one.items()} == {
        name: line.text for name, line in other.items()
    }
    for name, line in one.items():
        assert line.pixels == other[name].pixels
        assert line.option_logprobs == pytest.approx(other[name].option_logprobs, abs=1e-4)


def test_the_reference_path_and_batches_of_one_share_nothing(alone: Path, tmp_path: Path) -> None:
    for name, settings in (
        ("path", {"path": "reference", "loaders": 1}),
        ("flag", {"path": "reference", "no_share": True, "limit": 1}),
        ("one", {"batch_size": 1}),
    ):
        assert ask(tmp_path / name, **settings).manifest.sharing is None
        if name == "flag":
            continue
        assert_equal(tmp_path / name, alone)


def test_a_run_of_one_style_has_the_plan_that_it_always_had(tmp_path: Path) -> None:
    tasks = ("pointqa_looktwice", "vip_bench_drawn")
    made = [
        ask(tmp_path / str(flag), tasks=tasks, styles="demo", no_share=flag).manifest
        for flag in (False, True)
    ]
    assert made[0].plan_digest == made[1].plan_digest
    assert made[0].sharing is None
    assert made[0].run_id == made[1].run_id


def test_a_run_that_was_stopped_within_a_group_goes_on_as_it_began(
    alone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    generate, n_calls = VipLlavaRunner.generate, 0

    def stop(runner: VipLlavaRunner, *args: Any) -> Any:
        nonlocal n_calls
        n_calls += 1
        if n_calls == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return generate(runner, *args)

    with monkeypatch.context() as patch:
        patch.setattr(VipLlavaRunner, "generate", stop)
        with pytest.raises(RunInterrupted):
            ask(tmp_path / "run", batch_size=4)
    begun = read(tmp_path / "run")
    manifest = ask(tmp_path / "run", batch_size=4, no_share=True).manifest
    assert begun.sharing is not None
    assert manifest.sharing is not None
    assert manifest.plan_digest == begun.plan_digest
    assert manifest.sharing.asked.images >= manifest.n_requests - 4
    assert_equal(tmp_path / "run", alone)


FEW = {"tasks": ("visual7w_pointing",), "limit": 3, "batch_size": 2}
"""The three questions without a picture are a group that is cut."""


def answers(folder: Path) -> list[str]:
    """Return the answers in an order that does not depend on which worker was first."""
    return sorted((folder / RESPONSES).read_text(encoding="utf-8").splitlines())


def test_death_at_any_write_and_workers_change_no_byte_even_in_16_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = FEW | {"dtype": "bfloat16"}
    once = ask(tmp_path / "once", **given).manifest
    n_answered = set()
    for _ in deaths(monkeypatch, lambda: ask(tmp_path / "killed", **given)):
        if (tmp_path / "killed" / RESPONSES).exists():
            n_answered.add(len(answers(tmp_path / "killed")))
    ask(tmp_path / "two", **given, workers=2)
    assert once.sharing is not None
    assert 2 in n_answered  # within a group
    for name in (RESPONSES, SCORES, SUMMARY):
        one, other = ((tmp_path / folder / name).read_bytes() for folder in ("once", "killed"))
        assert one == other
    assert answers(tmp_path / "two") == answers(tmp_path / "once")
    assert_equal(tmp_path / "two", tmp_path / "once")


def test_in_16_bit_the_manifest_tells_why_an_answer_is_rounded_otherwise(tmp_path: Path) -> None:
    given = FEW | {"dtype": "bfloat16", "limit": 2}
    shared = ask(tmp_path / "shared", **given).manifest
    alone = ask(tmp_path / "alone", **given, no_share=True).manifest
    assert shared.run_id == alone.run_id
    assert shared.plan_digest != alone.plan_digest
    assert (shared.sharing is None, alone.sharing is None) == (False, True)
    one, other = (read_responses(tmp_path / name / RESPONSES) for name in ("shared", "alone"))
    for name, line in one.items():
        assert line.pixels == other[name].pixels
        assert line.option_logprobs == pytest.approx(other[name].option_logprobs, abs=0.3)


def test_shards_share_and_are_merged(alone: Path, tmp_path: Path) -> None:
    parts = []
    for index in (1, 2):
        ask(tmp_path / "parts", shard=Shard(index=index, count=2))
        parts.append(tmp_path / "parts" / f"shard-{index}-of-2")
    merged = merge(parts, tmp_path / "merged").manifest
    assert_equal(tmp_path / "merged", alone)
    assert merged.sharing is not None
    assert 0 <= merged.sharing.asked.images - merged.n_requests <= 2


def test_a_segment_has_a_sharing_of_its_own(alone: Path, tmp_path: Path) -> None:
    styles = "demo,none,blind,wrong"
    first = ask(tmp_path / "run", styles=styles).manifest
    extended = ask(tmp_path / "run", extend=True).manifest
    assert_equal(tmp_path / "run", alone)
    assert extended.sharing == first.sharing
    before, added = extended.all_segments
    assert before.sharing == first.sharing
    assert added.sharing is not None
    assert 0 <= added.sharing.asked.images - added.n_requests <= 2
