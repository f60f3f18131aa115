"""The embedded benchmark and checkpoints: found, made once, small, and as good as they are said."""

import json
from pathlib import Path

import pytest
from safetensors import safe_open

from tests.demo.test_generate import digests
from vipbench.demo import embedded
from vipbench.runners.checkpoints.checkpoint import check_checkpoint

REPO = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "folder", [embedded.CHECKPOINT, embedded.CHECKPOINT_EARLY], ids=lambda f: f.name
)
def test_a_checkpoint_is_a_small_vipllava_in_fp16(folder: Path) -> None:
    check_checkpoint(folder)
    with safe_open(folder / "model.safetensors", "np") as weights:
        names = list(weights.keys())
        parameters = sum(weights.get_tensor(name).size for name in names)
        assert {str(weights.get_tensor(name).dtype) for name in names} == {"float16"}
    assert 1_000_000 <= parameters <= 3_000_000


def test_the_early_checkpoint_is_another_one() -> None:
    one, other = map(check_checkpoint, (embedded.CHECKPOINT, embedded.CHECKPOINT_EARLY))
    assert one.weights != other.weights
    assert other.name == f"{one.name}-early"


def test_the_checkpoint_reads_the_marks() -> None:
    """The committed leaderboard, which another test reproduces, holds what was to be reached."""
    rows = json.loads((REPO / "results" / "demo" / "leaderboard.json").read_text())
    accuracy = {(row["model"], row["task"], row["style"]): row["accuracy"] for row in rows}
    least = {
        "visual7w_pointing": 0.80,
        "pointqa_looktwice": 0.70,
        "vcr_qa": 0.70,
        "vcr_qar": 0.70,
        "vip_bench_drawn": 0.80,
    }
    worse = 0
    for task, wanted in least.items():
        marked = accuracy["vipllava-demo", task, "demo"]
        assert marked >= wanted, task
        assert accuracy["vipllava-demo", task, "none"] <= marked - 0.20, task
        majority = accuracy["majority", task, "demo"]
        assert accuracy["vipllava-demo", task, "blind"] <= majority + 0.10, task
        assert accuracy["oracle", task, "demo"] == 1
        worse += accuracy["vipllava-demo-early", task, "demo"] <= marked - 0.15
    assert worse >= 2


def test_the_embedded_benchmark_is_made_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIPBENCH_CACHE", str(tmp_path))
    monkeypatch.setattr(embedded, "N", 4)
    first = embedded.benchmark()
    before = digests(tmp_path)
    assert embedded.benchmark() == first
    assert digests(tmp_path) == before
    assert [path.name for path in tmp_path.iterdir()] == [f"demo-{embedded.VERSION}-4"]
