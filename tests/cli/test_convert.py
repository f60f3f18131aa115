"""`vipbench convert`: from the official layout to a checkpoint that `vipbench run` takes."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Vipbench
from tests.originals import save_original, save_tower
from vipbench.demo.embedded import CHECKPOINT


@pytest.fixture
def original(tmp_path: Path) -> Path:
    save_tower(tmp_path / "clip", statistics=None)
    return save_original(tmp_path / "vip-llava-7b-base-vcr-ft", "bin", n_files=2, tower=False)


def test_a_converted_checkpoint_runs(original: Path, vipbench: Vipbench, data: list[str]) -> None:
    done = vipbench("convert", original, "converted", "--vision-tower", "clip")
    assert done.code == 0, done.err
    first, tower, hints, following = done.out.splitlines()
    assert first.startswith("converted: 125 tensors, 0.00 GB, converted from vip-llava-7b-base-vcr")
    assert tower == "vision tower: clip"
    assert hints == "prompt format: llava_v1, fit: squash (vipbench.json)"
    assert following.startswith("next: vipbench run --model converted")
    options = ("--tasks", "vip_bench_bbox", "--limit", "2", *data)
    ran = vipbench("run", "--model", "converted", *options, "-o", "new")
    assert ran.code == 0, ran.err
    same = ("--model", CHECKPOINT, "--prompt-format", "llava_v1")
    assert vipbench("run", *same, *options, "-o", "old").code == 0
    new, old = (
        [json.loads(line)["text"] for line in Path(run, "responses.jsonl").read_text().splitlines()]
        for run in ("new", "old")
    )
    assert new == old
    assert any(new)


def test_mistakes_end_with_one_line(original: Path, vipbench: Vipbench) -> None:
    for arguments, message in (
        ((original, original), "is not empty"),
        (("clip", "out"), "there is no mm_vision_tower"),
        ((original, "out", "--vision-tower", "clpi"), "vision tower: model clpi: does not exist"),
        ((CHECKPOINT, "out"), "is a VipLlava checkpoint already"),
    ):
        done = vipbench("convert", *arguments)
        assert done.code == 2
        assert message in done.err
        assert len([line for line in done.err.splitlines() if line.startswith("error:")]) == 1
        assert not Path("out").exists()
    assert vipbench("convert", original, "out", "--dtype", "int8").code == 2


def test_run_says_to_convert_first(original: Path, vipbench: Vipbench) -> None:
    done = vipbench("run", "--model", original)
    assert done.code == 2
    assert "official ViP-LLaVA code" in done.err
    assert "vipbench convert ORIGINAL OUT" in done.err
