"""Checkpoints and live models, made ready to decode."""

import json
import shutil
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.models import build_model, build_processor, build_tokenizer, make_old, save_checkpoint
from tests.runners.vipllava.asking import pictures, questions
from vipbench.errors import RunnerError
from vipbench.runners.device import dtype_on, find_placement
from vipbench.runners.vipllava.net import normalise
from vipbench.runners.vipllava.runner import VipLlavaRunner


@pytest.mark.parametrize(
    ("layers", "n_left"),
    [([-2, -5, -8, -11, 6], 11), ([-1, 3], 12), ([6, 2], 6), ([12], 12), ([0], 1), ([-4], 9)],
)
def test_vision_layers_that_nothing_reads_are_dropped(
    layers: list[int], n_left: int, tmp_path: Path
) -> None:
    model = build_model(feature_layers=layers)
    folder = save_checkpoint(tmp_path / "tiny", model)
    runner = VipLlavaRunner(folder, device="cpu")
    tower: Any = runner.model.model.vision_tower
    assert len(getattr(tower, "vision_model", tower).encoder.layers) == n_left
    pixels = normalise(runner.net, torch.from_numpy(np.stack(pictures(3))))
    with torch.inference_mode():
        found, expected = (
            each.model.get_image_features(pixel_values=pixels).pooler_output
            for each in (runner.model, model)
        )
    assert torch.equal(found, expected)
    requests, images = questions(5), pictures(5)
    live = VipLlavaRunner(model, build_processor())
    reference = VipLlavaRunner(folder, device="cpu", path="reference")
    answers = runner.generate(requests, images)
    assert answers == live.generate(requests, images) == reference.generate(requests, images)
    vision: Any = model.config.vision_config
    assert vision.num_hidden_layers == 12  # a live model stays whole


def test_every_feature_layer_of_the_checkpoint_counts(checkpoint: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(checkpoint, tmp_path / "other-layers"))
    config = json.loads((folder / "config.json").read_text())
    for key in {"vision_feature_layer", "vision_feature_layers"} & set(config):
        config[key] = [-2, -5, -8, -11, 1]
    (folder / "config.json").write_text(json.dumps(config))
    runner = VipLlavaRunner(folder)
    assert runner.info.vision_feature_layers == (-2, -5, -8, -11, 1)
    requests, images = questions(8), pictures(8)
    assert runner.generate(requests, images) != VipLlavaRunner(checkpoint).generate(
        requests, images
    )


@pytest.mark.parametrize("text", ["llama", "mistral"])
def test_checkpoints_of_transformers_4_load(
    text: Literal["llama", "mistral"], tmp_path: Path
) -> None:
    folder = save_checkpoint(tmp_path / "tiny", build_model(text))
    requests, images = questions(6), pictures(6)
    expected = VipLlavaRunner(folder).generate(requests, images)
    make_old(folder)
    assert "language_model.model.norm.weight" in load_file(folder / "model.safetensors")
    assert VipLlavaRunner(folder).generate(requests, images) == expected
    (folder / "preprocessor_config.json").unlink()
    assert VipLlavaRunner(folder).generate(requests, images) == expected


def test_stored_half_precision_is_run_in_float32_on_a_cpu(checkpoint: Path, tmp_path: Path) -> None:
    half_model = build_model()
    half_model.to(torch.float16)  # type: ignore[arg-type]
    half = save_checkpoint(tmp_path / "half", half_model)
    runner = VipLlavaRunner(half, device="cpu")
    assert runner.settings.dtype == "float32"
    assert runner.model.dtype == torch.float32
    assert VipLlavaRunner(half, device="cpu", dtype="bf16").settings.dtype == "bfloat16"
    assert VipLlavaRunner(checkpoint).settings.dtype == find_placement(None, None).dtype


def test_the_prompt_format_is_the_checkpoints_unless_given(
    checkpoint: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(checkpoint, tmp_path / "hinting"))
    assert VipLlavaRunner(folder).settings.prompt_format == "hf"
    (folder / "vipbench.json").write_text('{"prompt_format": "llava_v1"}')
    assert VipLlavaRunner(folder).settings.prompt_format == "llava_v1"
    runner = VipLlavaRunner(folder, prompt_format="chat_template")
    assert runner.settings.prompt_format == "chat_template"


def test_an_unusable_chat_template_is_found_when_the_runner_is_built() -> None:
    with pytest.raises(RunnerError, match="has no chat template · use --prompt-format"):
        VipLlavaRunner(build_model(), build_tokenizer(), prompt_format="chat_template")


def test_a_live_model_answers_as_its_checkpoint_and_stays_as_it_is(checkpoint: Path) -> None:
    model = build_model()
    model.train()
    live = VipLlavaRunner(model, build_processor(), device="cpu")
    stored = VipLlavaRunner(checkpoint, device="cpu", dtype="float32")
    requests, images = questions(6), pictures(6)
    assert live.generate(requests, images) == stored.generate(requests, images)
    assert model.training
    assert all(parameter.requires_grad for parameter in model.parameters())
    before = live.settings.weights
    with torch.no_grad():
        model.lm_head.weight[0, 0] += 1
    assert VipLlavaRunner(model, build_tokenizer()).settings.weights != before


def test_a_live_model_of_another_kind_is_refused() -> None:
    with pytest.raises(RunnerError, match="is a Linear"):
        VipLlavaRunner(torch.nn.Linear(1, 1), build_processor())  # type: ignore[arg-type]
    with pytest.raises(RunnerError, match="without processor"):
        VipLlavaRunner(build_model())


@pytest.mark.parametrize(
    ("kind", "name", "message"),
    [
        ("device", "gpu", "device 'gpu' is unknown"),
        ("device", "cuda:99", "device 'cuda:99' is not available"),
        ("dtype", "float61", "did you mean 'float16'"),
    ],
)
def test_unknown_devices_and_dtypes_are_refused(
    checkpoint: Path, kind: str, name: str, message: str
) -> None:
    with pytest.raises(RunnerError, match=message):
        VipLlavaRunner(checkpoint, **{kind: name})  # type: ignore[arg-type]


def test_float16_is_the_default_on_cuda_only() -> None:
    assert dtype_on("cuda", None) == "float16"
    assert dtype_on("mps", "auto") == "float32"
    assert dtype_on("cpu", None) == "float32"
