"""What is wrong with a checkpoint is found before torch sees it."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import CLIPImageProcessorPil

from tests.models import IMAGE_SIZE, make_old
from tests.runners.checkpoints.breaking import edit, refused
from vipbench.errors import RunnerError
from vipbench.runners.checkpoints.checkpoint import (
    CLIP_MEAN,
    CLIP_STD,
    Hints,
    check_checkpoint,
    check_model,
)


def test_a_good_checkpoint_is_described(checkpoint: Path) -> None:
    info = check_checkpoint(checkpoint)
    assert info == check_checkpoint(str(checkpoint))
    assert (info.name, info.path) == ("tiny-vip", checkpoint)
    assert (info.image_size, info.n_image_tokens) == (IMAGE_SIZE, 16)
    assert (info.image_size // info.patch_size) ** 2 == 16
    assert info.vision_feature_layers == (-2, -5, -8, -11, 6)
    assert (info.image_mean, info.image_std) == (CLIP_MEAN, CLIP_STD)
    assert info.chat_template
    assert info.hints == Hints()


def test_the_old_layout_says_the_same(folder: Path) -> None:
    new = check_checkpoint(folder)
    old = check_checkpoint(make_old(folder))
    same = {"weights": new.weights, "settings": new.settings, "parts": new.parts}
    assert old.model_copy(update=same) == new


def test_no_torch_is_needed(checkpoint: Path) -> None:
    code = (
        "import sys; from vipbench.runners.checkpoints.checkpoint import check_checkpoint;"
        "check_checkpoint(sys.argv[1]);"
        "assert not {'torch', 'transformers', 'safetensors'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, str(checkpoint)], check=True)


def test_hints_are_read(folder: Path) -> None:
    (folder / "vipbench.json").write_text('{"prompt_format": "llava_v1", "fit": "squash"}')
    assert check_checkpoint(folder).hints == Hints(prompt_format="llava_v1", fit="squash")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"promt_format": "hf"}', r"vipbench\.json: unknown key 'promt_format' · did you mean"),
        ('{"prompt_format": "vicuna"}', r"vipbench\.json: prompt_format = 'vicuna' .*llava_v1"),
        ("{", r"vipbench\.json: cannot be read as JSON"),
        ("[]", r"vipbench\.json: holds a list"),
    ],
)
def test_broken_hints_are_refused(folder: Path, content: str, message: str) -> None:
    (folder / "vipbench.json").write_text(content)
    refused(folder, message)


def test_another_model_is_refused_by_name(folder: Path) -> None:
    edit(
        folder / "config.json",
        lambda c: c.update(model_type="llava", architectures=["LlavaForConditionalGeneration"]),
    )
    refused(
        folder, r"model_type is 'llava' \(LlavaForConditionalGeneration\) · expected 'vipllava'"
    )


def test_an_official_checkpoint_is_told_from_others(folder: Path) -> None:
    edit(
        folder / "config.json",
        lambda c: c.update(model_type="llava", mm_vision_tower="clip_4layers_336"),
    )
    refused(folder, "checkpoint of the official ViP-LLaVA code .*vipbench convert ORIGINAL OUT")


def test_the_weights_decide_where_an_old_config_names_one_layer(folder: Path) -> None:
    edit(folder / "config.json", lambda c: c.pop("vision_feature_layers", None))
    edit(folder / "config.json", lambda c: c.update(vision_feature_layer=-2))
    assert check_checkpoint(folder).vision_feature_layers == (-2, -5, -8, -11, 6)
    edit(folder / "config.json", lambda c: c.update(vision_feature_layers=[-2, -3, -4, -5, 6]))
    assert check_checkpoint(folder).vision_feature_layers == (-2, -3, -4, -5, 6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda c: c["vision_config"].update(image_size="big"),
            "vision_config.image_size is 'big'",
        ),
        (lambda c: c["vision_config"].update(patch_size=0), "vision_config.patch_size is 0"),
        (lambda c: c["vision_config"].update(hidden_size=None), "vision_config.hidden_size is No"),
        (
            lambda c: c["vision_config"].update(patch_size=99),
            "image_size 56 is below patch_size 99",
        ),
        (lambda c: c.update(vision_config=3), "vision_config is 3"),
        (lambda c: c.update(vision_feature_layer=[-2, 13]), r"is \[-2, 13\] .* the 12 layers"),
    ],
)
def test_an_impossible_vision_config_is_refused(
    folder: Path, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    edit(folder / "config.json", lambda c: c.pop("vision_feature_layers", None))
    edit(folder / "config.json", change)
    refused(folder, message)


def test_a_broken_config_is_named_with_the_line(folder: Path) -> None:
    (folder / "config.json").write_text('{"model_type": "vipllava",\n "text_config": }')
    refused(folder, r"config\.json: cannot be read as JSON \(.*line 2")
    (folder / "config.json").unlink()
    refused(folder, r"has no config\.json")


@pytest.mark.parametrize("n_layers", [-1, 0, 1, 3, 1_000_000])
@pytest.mark.parametrize("part", ["text_config", "vision_config"])
def test_layers_are_counted_before_the_weights_are_read(
    folder: Path, part: str, n_layers: int
) -> None:
    edit(folder / "config.json", lambda c: c[part].update(num_hidden_layers=n_layers))
    edit(folder / "config.json", lambda c: c.update(vision_feature_layer=[0]))
    if part == "vision_config" and n_layers < 1:
        refused(folder, r"vision_config\.num_hidden_layers is .*expected a whole number")
    else:
        stored = {"text_config": 2, "vision_config": 12}[part]
        refused(folder, rf"{part}\.num_hidden_layers is {n_layers}, .* hold {stored} layers")


def test_more_layers_than_tensors_are_refused_of_any_model(folder: Path) -> None:
    edit(folder / "config.json", lambda c: c.update(model_type="llava"))
    check_model(folder)
    edit(folder / "config.json", lambda c: c["text_config"].update(num_hidden_layers=10**6))
    with pytest.raises(RunnerError, match=r"num_hidden_layers is 1000000, .* hold 2 layers"):
        check_model(folder)


def test_weights_of_another_model_are_refused(folder: Path) -> None:
    header = b'{"x":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}'
    (folder / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + b"\0")
    refused(folder, "no tensor is called multi_modal_projector")


def test_a_missing_tokenizer_is_found_at_once(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    refused(folder, r"has no tokenizer · expected tokenizer\.json")


def test_an_adapter_is_refused(folder: Path) -> None:
    (folder / "adapter_config.json").write_text("{}")
    refused(folder, "holds an adapter")


def test_the_statistics_are_the_processors(folder: Path) -> None:
    path = folder / "processor_config.json"
    edit(path, lambda c: c["image_processor"].update(image_mean=[0.5] * 3, image_std=[0.25] * 3))
    info = check_checkpoint(folder)
    assert (info.image_mean, info.image_std) == ((0.5,) * 3, (0.25,) * 3)
    edit(path, lambda c: c["image_processor"].update(do_normalize=False))
    info = check_checkpoint(folder)
    assert (info.image_mean, info.image_std) == ((0.0,) * 3, (1.0,) * 3)
    edit(path, lambda c: c["image_processor"].update(do_normalize=True, image_std=[1, 0, 1]))
    refused(folder, r"image_std is \[1, 0, 1\]")
    edit(path, lambda c: c["image_processor"].update(image_std=[1, 1]))
    refused(folder, r"image_std is \[1, 1\] · expected three numbers")
    path.unlink()
    info = check_checkpoint(folder)
    assert (info.image_mean, info.image_std) == (CLIP_MEAN, CLIP_STD)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("config.json", b"[" * 100_000, r"config\.json: cannot be read as JSON"),
        ("vipbench.json", b"[" * 100_000, r"vipbench\.json: cannot be read as JSON"),
        ("chat_template.jinja", b"\xff", r"chat_template\.jinja: cannot be read"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(
    folder: Path, name: str, content: bytes, message: str
) -> None:
    (folder / name).write_bytes(content)
    refused(folder, message)


@pytest.mark.parametrize("named", [None, 3, "LlavaModel", ["LlavaModel"]])
def test_another_model_is_refused_whatever_it_is_called(folder: Path, named: object) -> None:
    edit(folder / "config.json", lambda c: c.update(model_type="llava", architectures=named))
    refused(folder, "model_type is 'llava' .*expected 'vipllava'")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("image_mean", 0.5),
        ("image_mean", "abc"),
        ("image_mean", [0.5]),
        ("image_std", [float("nan"), 1, 1]),
        ("image_std", [0, 1, 1]),
    ],
)
def test_pixels_need_numbers_to_be_normalised_with(folder: Path, key: str, value: object) -> None:
    path = folder / "processor_config.json"
    edit(path, lambda config: config["image_processor"].update({key: value}))
    refused(folder, f"tiny-vip: image processor: {key} is ")


@pytest.mark.parametrize("layers", [[], [True], ["-2"], [99]])
def test_feature_layers_are_numbers_of_layers(folder: Path, layers: object) -> None:
    edit(folder / "config.json", lambda config: config.update(vision_feature_layer=layers))
    refused(folder, "vision_feature_layers is .*expected numbers of the 12 layers")


def test_folders_in_the_place_of_files(folder: Path) -> None:
    (folder / "tokenizer.json").rename(folder / "other.json")
    (folder / "tokenizer.json").mkdir()
    refused(folder, "has no tokenizer")
    (folder / "tokenizer.json").rmdir()
    (folder / "other.json").rename(folder / "tokenizer.json")
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").mkdir()
    refused(folder, "has no weights")


def test_a_name_that_no_file_can_have() -> None:
    refused("a" * 300, "cannot be read .*File name too long.*expected a checkpoint's folder")


@pytest.mark.parametrize(
    "settings",
    [
        {"rescale_factor": 1 / 127.5},
        {"do_rescale": False},
        {"do_rescale": False, "do_normalize": False},
        {"do_normalize": False, "rescale_factor": 2},
        {"rescale_factor": 1 / 127.5, "image_mean": [1.0] * 3, "image_std": [1, 1, 1]},
    ],
)
@pytest.mark.parametrize("alone", [False, True])
def test_bytes_are_rescaled_as_the_processor_does(
    folder: Path, settings: dict[str, Any], alone: bool
) -> None:
    path = folder / "processor_config.json"
    usual = {} if alone else json.loads(path.read_text())["image_processor"]
    edit(path, lambda config: config.update(image_processor=usual | settings))
    info = check_checkpoint(folder)
    image = np.random.default_rng(0).integers(0, 256, (IMAGE_SIZE, IMAGE_SIZE, 3), dtype=np.uint8)
    processor: Any = CLIPImageProcessorPil(do_resize=False, do_center_crop=False, **settings)
    expected = processor(image, return_tensors="np")["pixel_values"][0].transpose(1, 2, 0)
    values = (image / 255 - np.array(info.image_mean)) / np.array(info.image_std)
    np.testing.assert_allclose(values, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("factor", [1 / 255, 0.00392156862745098, 0.003921569, 0.00392157])
def test_the_usual_factor_changes_nothing(folder: Path, factor: float) -> None:
    path = folder / "processor_config.json"
    edit(path, lambda config: config["image_processor"].update(rescale_factor=factor))
    info = check_checkpoint(folder)
    assert (info.image_mean, info.image_std) == (CLIP_MEAN, CLIP_STD)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("rescale_factor", 0),
        ("rescale_factor", -1),
        ("rescale_factor", "1/255"),
        ("rescale_factor", None),
        ("rescale_factor", float("nan")),
        ("do_rescale", "no"),
        ("do_normalize", 0),
    ],
)
def test_settings_of_pixels_are_of_their_kind(folder: Path, key: str, value: object) -> None:
    path = folder / "processor_config.json"
    edit(path, lambda config: config["image_processor"].update({key: value}))
    refused(folder, f"tiny-vip: image processor: {key} is .* · expected ")
