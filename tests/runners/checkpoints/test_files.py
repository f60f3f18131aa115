"""What is wrong with the files of a checkpoint is found before anything in them can run."""

import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import _TYPES, save_file

from tests.runners.checkpoints.breaking import edit, refused
from vipbench.errors import RunnerError
from vipbench.runners.checkpoints.checkpoint import check_checkpoint
from vipbench.runners.checkpoints.files import tensor_shapes
from vipbench.runners.conversion.weights import open_weights


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


def test_weights_in_one_file_and_in_shards_are_two_answers(folder: Path) -> None:
    shard = folder / "model-00001-of-00001.safetensors"
    shutil.copyfile(folder / "model.safetensors", shard)
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"x": shard.name}}))
    refused(folder, rf"holds model\.safetensors and {shard.name} .* expected the weights once")
    with pytest.raises(RunnerError, match=rf"model\.safetensors and {shard.name}"):
        open_weights(folder)
    shard.unlink()
    assert check_checkpoint(folder)  # the index alone names nothing that is there
    assert open_weights(folder)


def test_a_tensor_in_two_shards_is_two_answers(folder: Path) -> None:
    one, two = (folder / f"model-0000{i}-of-00002.safetensors" for i in (1, 2))
    (folder / "model.safetensors").rename(one)
    shutil.copyfile(one, two)
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"x": one.name, "y": two.name}}))
    refused(folder, rf"{two.name}: holds .*, as does {one.name} · expected each tensor once")


def tensor(start: object, stop: object, shape: object = (1,), dtype: object = "U8") -> object:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, stop]}


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ({"x": tensor(-1, 1)}, "x is at -1 to 1, where 0 comes next"),
        ({"x": tensor(1, 2)}, "x is at 1 to 2, where 0 comes next"),
        ({"x": tensor(0, 2, [2]), "y": tensor(1, 2)}, "y is at 1 to 2, where 2 comes next"),
        ({"x": tensor(0, 1), "y": tensor(0, 1)}, "y is at 0 to 1, where 1 comes next"),
        ({"x": tensor(0, "1")}, "x is at 0 to '1'"),
        ({"x": tensor(0, 1.0)}, "x is at 0 to 1.0"),
        ({"x": tensor(0, 2)}, r"x has 2 bytes for \[1\] numbers of U8"),
        ({"x": tensor(0, -1)}, r"x has -1 bytes for \[1\] numbers of U8"),
        ({"x": tensor(0, 1, [-1])}, r"x has the shape \[-1\]"),
        ({"x": tensor(0, 1, [True])}, r"x has the shape \[True\]"),
        ({"x": tensor(0, 1, 1)}, "x has the shape 1"),
        ({"x": tensor(0, 1, [1], "F9")}, "x has the dtype 'F9'"),
        ({"x": tensor(0, 1, [1], ["U8"])}, "TypeError"),
        ({"x": {}}, "KeyError"),
        ({"x": 3}, "TypeError"),
        (["x"], "TypeError|AttributeError"),
    ],
)
def test_a_broken_header_is_refused_before_the_weights_are_read(
    folder: Path, header: object, reason: str
) -> None:
    text = json.dumps(header).encode()
    path = folder / "model.safetensors"
    path.write_bytes(len(text).to_bytes(8, "little") + text + b"\0")
    expected = rf"model\.safetensors: broken safetensors header \(.*{reason}.* · fetch it again"
    refused(folder, expected)
    with pytest.raises(RunnerError, match=expected):
        open_weights(folder)


def test_every_dtype_of_the_library_is_known(folder: Path) -> None:
    held = {
        str(dtype): torch.zeros(4, dtype=dtype)
        for dtype in vars(torch).values()
        if isinstance(dtype, torch.dtype) and dtype in _TYPES.values()
    }
    save_file(held, folder / "model.safetensors")
    assert set(tensor_shapes(folder / "model.safetensors")) == set(held)
