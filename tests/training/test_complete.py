"""When a checkpoint has been written to its end."""

import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from vipbench.demo import embedded
from vipbench.training.complete import checkpoints_in, is_adapter, signature, why_incomplete


def sharded(folder: Path) -> Path:
    """Write a checkpoint of two shards, with its index."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    names = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
    for number, name in enumerate(names):
        save_file({f"layer.{number}": torch.ones(4)}, folder / name)
    weight_map = {f"layer.{number}": name for number, name in enumerate(names)}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    return folder


def test_a_checkpoint_of_one_file_or_of_shards_is_complete(tmp_path: Path) -> None:
    assert why_incomplete(embedded.CHECKPOINT) is None
    assert why_incomplete(sharded(tmp_path / "checkpoint-1")) is None


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("config.json", "config.json: does not exist"),
        ("model-00002-of-00002.safetensors", "does not exist"),
        ("model.safetensors.index.json", "has no weights"),
    ],
)
def test_what_is_not_there_yet_is_named(tmp_path: Path, name: str, said: str) -> None:
    folder = sharded(tmp_path / "checkpoint-1")
    (folder / name).unlink()
    assert said in (why_incomplete(folder) or "")


@pytest.mark.parametrize("n_bytes", [0, 5, 60, -1])
def test_a_file_that_is_cut_off_is_not_whole(tmp_path: Path, n_bytes: int) -> None:
    folder = sharded(tmp_path / "checkpoint-1")
    shard = folder / "model-00002-of-00002.safetensors"
    content = shard.read_bytes()
    shard.write_bytes(content[:n_bytes])
    assert str(shard) in (why_incomplete(folder) or "")
    shard.write_bytes(content)
    (folder / "config.json").write_text('{"a": ')
    assert "cannot be read as JSON" in (why_incomplete(folder) or "")


def test_a_tensor_that_no_shard_has_is_missed(tmp_path: Path) -> None:
    folder = sharded(tmp_path / "checkpoint-1")
    shard = "model-00002-of-00002.safetensors"
    save_file({"other": torch.ones(4)}, folder / shard)
    assert "layer.1 is in no shard yet (1 such)" in (why_incomplete(folder) or "")


def test_an_adapter_has_files_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text("{}")
    assert is_adapter(tmp_path)
    assert "adapter_model.safetensors: does not exist" in (why_incomplete(tmp_path) or "")
    save_file({"lora": torch.ones(4)}, tmp_path / "adapter_model.safetensors")
    assert why_incomplete(tmp_path) is None
    assert not is_adapter(embedded.CHECKPOINT)


def test_checkpoints_are_found_in_the_order_of_their_steps(tmp_path: Path) -> None:
    for name in ("checkpoint-1000", "checkpoint-200", "last", "tmp-checkpoint-9", ".hidden"):
        sharded(tmp_path / name)
    (tmp_path / "logs").mkdir()
    assert [path.name for path in checkpoints_in(tmp_path)] == [
        "last",
        "checkpoint-200",
        "checkpoint-1000",
    ]


def test_the_signature_changes_with_every_file(tmp_path: Path) -> None:
    folder = sharded(tmp_path / "checkpoint-1")
    before = signature(folder)
    assert signature(folder) == before
    os.utime(folder / "config.json", ns=(1, 1))
    assert signature(folder) != before
    shutil.rmtree(folder)
    assert signature(folder) == ()
