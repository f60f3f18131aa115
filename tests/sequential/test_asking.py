"""Blocks in which prompts of several styles are read once."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.deaths import deaths
from tests.run.asking import files
from vipbench.console import QUIET
from vipbench.demo.embedded import CHECKPOINT, benchmark
from vipbench.run.loop import run
from vipbench.run.score import Results
from vipbench.run.settings import RunSettings
from vipbench.runfolder.folder import RESPONSES, SCORES, SUMMARY
from vipbench.runfolder.manifest import Blocks
from vipbench.runners.vipllava.runner import VipLlavaRunner
from vipbench.sequential.asking import Arm, BlockRun

TASK = "visual7w_pointing"
PLAIN, WORDLESS = "rectangle:red:words=plain", "rectangle:red:words=none"
STYLES = ("rectangle:red", PLAIN, WORDLESS, "ellipse:blue", "blind")
LEFT = (STYLES, STYLES, (PLAIN, WORDLESS, "blind"), (WORDLESS,))
"""Who is asked in each block of four; the last of the blocks is not asked at all."""


def settings(folder: Path, **fields: Any) -> RunSettings:
    given: dict[str, Any] = {
        "model": str(CHECKPOINT),
        "data": benchmark(),
        "tasks": (TASK,),
        "styles": ";".join(STYLES),
        "limit": 20,
        "metrics": ("option_argmax",),
        "device": "cpu",
        "blocks": Blocks(size=4),
        "out": folder,
    }
    return RunSettings(**(given | fields))


def ask(
    folder: Path, left: Sequence[Sequence[str]] = LEFT, **fields: Any
) -> tuple[Results, list[int]]:
    """Ask who is left in each block; return how many requests went through the model as one too."""
    sizes: list[int] = []
    generate = VipLlavaRunner.generate

    def watched(runner: VipLlavaRunner, requests: Any, images: Any) -> Any:
        sizes.append(len(requests))
        return generate(runner, requests, images)

    with pytest.MonkeyPatch.context() as patch, BlockRun(settings(folder, **fields), QUIET) as run:
        patch.setattr(VipLlavaRunner, "generate", watched)
        for block, styles in enumerate(left):
            run.ask(block, [Arm(TASK, style) for style in styles])
        return run.end(), sizes


def answers(folder: Path) -> dict[tuple[str, str], Mapping[str, Any]]:
    lines = map(json.loads, (folder / RESPONSES).read_text().splitlines())
    return {(line["style"], line["id"]): line for line in lines}


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ask(tmp_path_factory.mktemp("alone") / "run", no_share=True)[0].path


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Results, list[int]]:
    return ask(tmp_path_factory.mktemp("shared") / "run")


def test_a_block_reads_once_what_its_styles_have_in_common(
    shared: tuple[Results, list[int]], alone: Path
) -> None:
    results, sizes = shared
    sharing = results.manifest.sharing
    assert sharing is not None
    assert sharing.across
    assert results.manifest.state == "sequential"
    assert results.n_answered == 4 * sum(map(len, LEFT))
    assert 0 <= sharing.asked.images - results.n_answered <= 2  # those that are asked again
    # A picture for each of three styles, one for another, one for all questions without any.
    n_pictures = 2 * (4 + 4 + 1) + (4 + 1) + 4
    assert n_pictures <= sharing.read.images <= n_pictures + 2  # and a few that are asked again
    assert sizes == [20, 20, 12, 4]  # a block is one batch, whoever is left
    assert files(results.path) == files(alone)
    assert {name: line["text"] for name, line in answers(alone).items()} == {
        name: line["text"] for name, line in answers(results.path).items()
    }


def test_no_batch_of_the_plan_holds_two_styles(shared: tuple[Results, list[int]]) -> None:
    styles: dict[int, set[str]] = {}
    for (style, _), line in answers(shared[0].path).items():
        styles.setdefault(line["batch"], set()).add(style)
    assert {len(found) for found in styles.values()} == {1}


def test_whatever_is_left_is_asked_by_a_run(tmp_path: Path) -> None:
    ask(tmp_path / "run")
    whole = run(settings(tmp_path / "run", blocks=None))
    assert whole.manifest.state is None
    run(settings(tmp_path / "whole", blocks=None, no_share=True))
    for name in (SCORES, SUMMARY):
        one, other = ((tmp_path / folder / name).read_bytes() for folder in ("run", "whole"))
        assert one == other


def test_a_death_between_two_batches_that_were_read_as_one_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left, n_deaths, n_answers = LEFT[:2], 0, set()
    once = ask(tmp_path / "once", left)[0]

    def work() -> None:
        ask(tmp_path / "run", left)

    for _ in deaths(monkeypatch, work):
        n_deaths += 1
        if (tmp_path / "run" / RESPONSES).exists():
            n_answers.add(len(answers(tmp_path / "run")))
    assert 4 in n_answers  # of the 20 that were read as one
    assert n_deaths > 4
    assert files(tmp_path / "run") == files(once.path)
    assert (tmp_path / "run" / RESPONSES).read_bytes() == (once.path / RESPONSES).read_bytes()


def test_workers_read_as_one_what_one_process_does(
    shared: tuple[Results, list[int]], tmp_path: Path
) -> None:
    two = ask(tmp_path / "run", workers=2)[0]
    assert files(two.path) == files(shared[0].path)
    assert answers(two.path) == answers(shared[0].path)
    assert two.manifest.sharing == shared[0].manifest.sharing


def test_in_16_bit_an_answer_does_not_depend_on_who_else_is_left(tmp_path: Path) -> None:
    fields = {"dtype": "bfloat16", "styles": "rectangle:red;rectangle:red:words=plain;blind"}
    arms = ("rectangle:red", PLAIN, "blind")
    all_ = ask(tmp_path / "all", [arms, arms], **fields)[0]
    some = ask(tmp_path / "some", [arms, arms[1:]], **fields)[0]
    sharing = some.manifest.sharing
    assert sharing is not None
    assert not sharing.across
    assert sharing.read.images < sharing.asked.images  # of questions without a picture
    whole = answers(all_.path)
    for name, line in answers(some.path).items():
        assert line == whole[name]


def test_batches_of_one_share_nothing_in_blocks(tmp_path: Path) -> None:
    for name, fields in (("one", {"batch_size": 1}), ("path", {"path": "reference"})):
        results = ask(tmp_path / name, LEFT[2:3], **fields)[0]
        assert results.manifest.sharing is None
