"""Checkpoints that transformers cannot load as they are."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from vipbench.errors import RunnerError
from vipbench.runners.vipllava.runner import VipLlavaRunner


def test_weights_that_lack_a_tensor_are_refused(checkpoint: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(checkpoint, tmp_path / "torn"))
    weights = load_file(folder / "model.safetensors")
    del weights["multi_modal_projector.linear_2.bias"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(RunnerError, match=r"missing keys.*multi_modal_projector\.linear_2\.bias"):
        VipLlavaRunner(folder)
    weights["multi_modal_projector.linear_2.bias"] = torch.zeros(3)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(RunnerError, match=r"torn: cannot be loaded|mismatched keys"):
        VipLlavaRunner(folder)


def test_a_broken_tokenizer_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(checkpoint, tmp_path / "mute"))
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(RunnerError, match="mute: the tokenizer cannot be loaded"):
        VipLlavaRunner(folder)


def test_weights_of_another_size_are_named_with_both_sizes(
    checkpoint: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(checkpoint, tmp_path / "tiny-vip"))
    config = json.loads((folder / "config.json").read_text())
    size = config["text_config"]["vocab_size"]
    config["text_config"]["vocab_size"] = 10
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(RunnerError, match=rf"lm_head\.weight \(\[{size}, 64\], not \[10, 64\]\)"):
        VipLlavaRunner(folder, device="cpu")


@pytest.mark.parametrize(
    ("file", "key", "value", "message"),
    [
        ("config.json", "text_config", "x", "cannot be loaded"),
        ("config.json", "image_token_index", "x", "cannot be loaded"),
        ("generation_config.json", "eos_token_id", "x", "eos_token_id is 'x'"),
    ],
)
def test_a_config_that_transformers_does_not_take_is_one_line(
    checkpoint: Path, tmp_path: Path, file: str, key: str, value: object, message: str
) -> None:
    folder = Path(shutil.copytree(checkpoint, tmp_path / "tiny-vip"))
    content = json.loads((folder / file).read_text())
    (folder / file).write_text(json.dumps(content | {key: value}))
    with pytest.raises(RunnerError, match=message) as caught:
        VipLlavaRunner(folder, device="cpu")
    assert "\n" not in str(caught.value)
