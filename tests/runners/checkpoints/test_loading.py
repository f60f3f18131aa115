"""Checkpoints that transformers cannot load as they are."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.models import (
    FAMILIES,
    TEXT_CONFIGS,
    Family,
    TextModel,
    build_model,
    make_old,
    save_checkpoint,
    save_family,
)
from vipbench.errors import RunnerError
from vipbench.runners.hf.runner import HfRunner
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


@pytest.mark.parametrize("value", [[1], "512", {}])
@pytest.mark.parametrize("runner", [VipLlavaRunner, HfRunner])
def test_a_tokenizer_that_cannot_cut_a_text_is_refused(
    checkpoint: Path, tmp_path: Path, value: object, runner: Callable[[Path], object]
) -> None:
    folder = Path(shutil.copytree(checkpoint, tmp_path / "mute"))
    config = json.loads((folder / "tokenizer_config.json").read_text())
    config["model_max_length"] = value
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    with pytest.raises(RunnerError, match=r"mute: the (tokenizer|processor) cannot be loaded"):
        runner(folder)


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
        ("config.json", "image_token_index", "x", "image_token_index is 'x' · expected the number"),
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


def add(folder: Path, *names: str) -> None:
    """Put tensors into a checkpoint that its config does not speak of."""
    path = folder / "model.safetensors"
    weights = load_file(path) | {name: torch.ones(2, 2) for name in names}
    save_file(weights, path, metadata={"format": "pt"})


def query(folder: Path) -> str:
    """Name of a layer's projection to queries, without its last part; Phi 3 has a joined one."""
    names = sorted(load_file(folder / "model.safetensors"))
    is_query = re.compile(r"language_model.*\.(?:q|qkv)_proj\.weight").search
    return next(name for name in names if is_query(name)).removesuffix("weight")


def attention(folder: Path) -> str:
    """Name of a layer's attention."""
    return query(folder).rpartition("self_attn.")[0] + "self_attn."


ADDITIONS: list[Callable[[str], str]] = [
    lambda query: f"{query}lora_A.default.weight",
    lambda query: query.rpartition("self_attn.")[0] + "mlp.gate_proj.bias",
    lambda query: query.replace("layers.0.", "layers.2.") + "weight",
    lambda query: "a_module_of_ones_own.weight",
]


@pytest.mark.parametrize("addition", ADDITIONS)
@pytest.mark.parametrize("text", TEXT_CONFIGS)
def test_tensors_that_the_model_has_no_place_for_are_refused(
    tmp_path: Path, text: TextModel, addition: Callable[[str], str]
) -> None:
    folder = save_checkpoint(tmp_path / "more", build_model(text))
    name = addition(query(folder))
    add(folder, name)
    expected = "unexpected keys|the weights hold 3 layers"
    with pytest.raises(RunnerError, match=expected) as caught:
        VipLlavaRunner(folder, device="cpu")
    assert "layers.2" in name or name.rpartition("language_model.")[2][-9:] in str(caught.value)


@pytest.mark.parametrize("addition", ADDITIONS)
@pytest.mark.parametrize("family", FAMILIES)
def test_so_they_are_for_other_models(
    tmp_path: Path, family: Family, addition: Callable[[str], str]
) -> None:
    folder = save_family(tmp_path / "more", family, [2])
    add(folder, addition(query(folder)))
    with pytest.raises(RunnerError, match=r"unexpected keys in the weights: .*config\.json"):
        HfRunner(folder, device="cpu")


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("text", TEXT_CONFIGS)
def test_older_layouts_tied_weights_and_constants_are_not(
    tmp_path: Path, text: TextModel, tied: bool
) -> None:
    folder = save_checkpoint(tmp_path / "old", build_model(text, tie_word_embeddings=tied))
    VipLlavaRunner(folder, device="cpu")
    make_old(folder)
    add(
        folder,
        f"{attention(folder)}rotary_emb.inv_freq",
        "vision_tower.vision_model.embeddings.position_ids",
    )
    VipLlavaRunner(folder, device="cpu")


@pytest.mark.parametrize("family", FAMILIES)
def test_nor_are_constants_of_other_models(tmp_path: Path, family: Family) -> None:
    folder = save_family(tmp_path / "old", family, [2])
    add(folder, f"{attention(folder)}rotary_emb.inv_freq")
    HfRunner(folder, device="cpu")


@pytest.mark.parametrize("family", FAMILIES)
def test_fewer_layers_than_the_weights_have_are_refused(tmp_path: Path, family: Family) -> None:
    folder = save_family(tmp_path / "shallow", family, [2])
    content = json.loads((folder / "config.json").read_text())
    content["text_config"]["num_hidden_layers"] -= 1
    content["text_config"].pop("layer_types", None)
    (folder / "config.json").write_text(json.dumps(content))
    with pytest.raises(RunnerError, match="unexpected keys"):
        HfRunner(folder, device="cpu")
