"""What is wrong with the files of a checkpoint is found before anything in them can run."""

import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.runners.checkpoints.breaking import edit, refused
from vipbench.runners.checkpoints.checkpoint import check_checkpoint


def test_the_fingerprint_is_that_of_the_weights(folder: Path, tmp_path: Path) -> None:
    info = check_checkpoint(folder)
    moved = check_checkpoint(shutil.copytree(folder, tmp_path / "other"))
    assert (moved.weights, moved.settings) == (info.weights, info.settings)
    edit(folder / "generation_config.json", lambda config: config.update(eos_token_id=7))
    changed = check_checkpoint(folder)
    assert changed.weights == info.weights
    assert changed.settings != info.settings
    raw = bytearray((folder / "model.safetensors").read_bytes())
    raw[-1] ^= 1
    (folder / "model.safetensors").write_bytes(raw)
    assert check_checkpoint(folder).weights != info.weights


def test_sharded_weights_are_found(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "model-00001-of-00001.safetensors")
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"x": "model-00001-of-00001.safetensors"}}))
    assert check_checkpoint(folder).weights
    edit(index, lambda content: content["weight_map"].update(y="model-00002-of-00002.safetensors"))
    refused(folder, "model-00002-of-00002.safetensors: does not exist")
    edit(index, lambda content: content["weight_map"].update(y="../secret.safetensors"))
    refused(folder, r"weight_map names '\.\./secret\.safetensors'")
    index.write_text("{}")
    refused(folder, "weight_map is missing")


class Bomb:
    """Unpickling it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("file", ["pytorch_model.bin", "model.pth"])
def test_pickled_weights_are_refused_unopened(folder: Path, file: str, tmp_path: Path) -> None:
    (folder / file).write_bytes(pickle.dumps(Bomb(tmp_path / "exploded")))
    assert check_checkpoint(folder)  # beside safetensors it does not matter
    (folder / "model.safetensors").unlink()
    refused(folder, rf"the weights are pickled \({file}\).* expected model\.safetensors")
    assert not (tmp_path / "exploded").exists()
    (folder / file).unlink()
    refused(folder, "has no weights")


def test_torn_weights_are_refused(folder: Path) -> None:
    path = folder / "model.safetensors"
    raw = path.read_bytes()
    path.write_bytes(raw[:-100])
    refused(folder, f"has {len(raw) - 100} bytes · its header promises {len(raw)}")
    path.write_bytes(raw[:100])
    refused(folder, r"is not a whole safetensors file \(100 bytes\)")
    path.write_bytes(raw[:8] + b"x" + raw[9:])
    refused(folder, "broken safetensors header")
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    refused(folder, "is a Git LFS pointer")
    path.write_bytes(b"")
    refused(folder, "is not a whole safetensors file")


@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json", "processor_config.json"])
def test_remote_code_is_refused_wherever_it_stands(folder: Path, file: str) -> None:
    edit(folder / file, lambda c: c.update(part={"auto_map": {"AutoModel": "evil.Model"}}))
    refused(folder, rf"{file}: part\.auto_map asks for remote code")


def test_remote_code_is_found_however_deep_it_is_asked_for(folder: Path) -> None:
    nested: dict[str, Any] = {"auto_map": {"AutoModel": "evil.Model"}}
    for _ in range(400):
        nested = {"a": [nested]}
    edit(folder / "config.json", lambda config: config.update(deep=nested))
    refused(folder, r"auto_map asks for remote code")
